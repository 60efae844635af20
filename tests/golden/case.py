"""Deterministic tensors for the golden cases; needs numpy only.

A golden case is a folder: `case.json` says how every weight and input is made,
`outputs.npz` holds what the published implementation computed from them.

    case = Case("tests/golden/cases/videomae-v2/finetune-tiny")
    model.load_state_dict({k: torch.from_numpy(v) for k, v in case.state().items()})
    got = model(torch.from_numpy(case.inputs()["video"]))
    case.check("logits", got.detach().numpy())

A fill is one of
    "normal:S"      S * N(0, 1)                 (weights, biases, embeddings, images)
    "one:S"         1 + S * N(0, 1)             (normalisation gains)
    "positive:S"    S * (|N(0, 1)| + 0.1)       (running variances)
    "const:V"       V everywhere
    "uniform:A:B"   uniform in [A, B)
    "integers:A:B"  int64 in [A, B)             (token ids, labels)
    "boolean:P"     True with probability P
    "stored"        the array of that name in outputs.npz, under "input/<name>" or "state/<name>"
and depends only on the tensor's name, the case's seed and the shape.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import numpy as np


def fill(name: str, shape, rule: str, seed: int = 0) -> np.ndarray:
    """The tensor called `name`: float32, int64 or bool, of shape `shape`."""
    rng = np.random.Generator(np.random.PCG64([zlib.crc32(name.encode()), seed]))
    kind, *args = rule.split(":")
    shape = tuple(shape)
    if kind == "const":
        return np.full(shape, float(args[0]), np.float32)
    if kind == "uniform":
        low, high = map(float, args)
        return (low + (high - low) * rng.random(shape, dtype=np.float32)).astype(np.float32)
    if kind == "integers":
        return rng.integers(int(args[0]), int(args[1]), shape, dtype=np.int64)
    if kind == "boolean":
        return rng.random(shape) < float(args[0])
    noise = rng.standard_normal(shape, dtype=np.float32)
    scale = np.float32(args[0])
    if kind == "normal":
        return np.asarray(scale * noise, np.float32)
    if kind == "one":
        return np.asarray(1 + scale * noise, np.float32)
    if kind == "positive":
        return np.asarray(scale * (np.abs(noise) + np.float32(0.1)), np.float32)
    raise ValueError(f"unknown fill rule {rule!r} for {name!r}")


class Case:
    """One golden case on disk."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.spec = json.loads((self.folder / "case.json").read_text())
        with np.load(self.folder / "outputs.npz") as stored:
            self.stored = {key: stored[key] for key in stored.files}

    def _make(self, group: str, prefix: str) -> dict[str, np.ndarray]:
        made = {}
        for name, how in self.spec.get(group, {}).items():
            if how["fill"] == "stored":
                made[name] = self.stored[f"{prefix}/{name}"]
            else:
                made[name] = fill(name, how["shape"], how["fill"], how.get("seed", self.spec.get("seed", 0)))
        return made

    def state(self) -> dict[str, np.ndarray]:
        """The weights, under the published implementation's own names."""
        return self._make("state", "state")

    def inputs(self) -> dict[str, np.ndarray]:
        return self._make("inputs", "input")

    def outputs(self) -> dict[str, np.ndarray]:
        return {k: v for k, v in self.stored.items() if not k.startswith(("state/", "input/"))}

    def tolerance(self, name: str) -> dict[str, float]:
        """The tolerance of one output: that of the longest matching prefix in `by_output`, else the case's."""
        rule = self.spec.get("tolerance", {"rtol": 1e-4, "atol": 1e-5})
        fitting = [prefix for prefix in rule.get("by_output", {}) if name.startswith(prefix)]
        return rule["by_output"][max(fitting, key=len)] if fitting else rule

    def check(self, name: str, got: np.ndarray) -> float:
        """Largest absolute difference; AssertionError where it exceeds the tolerance.

        {"rtol", "atol"} compares element by element; {"relative_l2"} compares |got - want| / |want|, for
        outputs that a correct change of operation order already moves (see the system's spec);
        {"cosine"} asks only for the direction.
        """
        want, got = self.stored[name], np.asarray(got)
        assert got.shape == want.shape, f"{name}: shape {got.shape}, expected {want.shape}"
        tolerance = self.tolerance(name)
        a, b = np.asarray(got, np.float64).ravel(), np.asarray(want, np.float64).ravel()
        if "relative_l2" in tolerance:
            off = np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12)
            assert off <= tolerance["relative_l2"], (
                f"{name}: relative L2 {off:.2e} over {tolerance['relative_l2']:.0e}"
            )
        elif "cosine" in tolerance:
            near = a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12)
            assert near >= tolerance["cosine"], f"{name}: cosine {near:.4f} under {tolerance['cosine']}"
        else:
            np.testing.assert_allclose(
                got, want, rtol=tolerance["rtol"], atol=tolerance["atol"], err_msg=name
            )
        return float(np.nanmax(np.abs(a - b), initial=0.0))
