"""What a frame of a film is to the network: the features its mapping was trained on, from the picture itself.

MAD's are CLIP's image features; those of CMD-AD and TV-AD are the tokens of BLIP-2's image Q-Former, as Video-LLaMA
reads them (arXiv 2306.02858); toy films' are their pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import open_clip
import torch
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transformer import QuickGELU, VisionTransformer
from PIL import Image
from safetensors import safe_open
from torch import Tensor, nn
from transformers import Blip2Config, Blip2QFormerModel, Blip2VisionModel

from avmodels.engine import processes, weights
from avmodels.engine.weights import State
from avmodels.errors import WeightsError
from avmodels.nn.clip_blocks import HEAD_WIDTH
from avmodels.nn.clip_names import openai_names
from avmodels.uni_ad.config import Sees

# Frames a second: MAD's features, those of TVQA, toy films.
RATES: dict[str, float] = {"clip": 5, "q-former": 3, "pixels": 5}
# What the three parts of a BLIP-2 of the transformers library are called in its files.
BLIP2 = ("vision_model.", "qformer.", "query_tokens")


@dataclass(frozen=True)
class Extractor:
    """Frames (n, height, width, 3) uint8 to features (n, *shape) float32, by `read`; wants `fps` frames a second.

    `digest` changes with the weights.
    """

    sees: Sees
    shape: tuple[int, ...]
    digest: str
    read: Callable[[np.ndarray], np.ndarray]

    @property
    def fps(self) -> float:
        return RATES[self.sees]


def pixels(width: int) -> Extractor:
    """The picture itself, squeezed to the square of three colours that has `width` numbers."""
    side = round((width / 3) ** 0.5)
    return Extractor("pixels", (width,), f"{side}", partial(squeezed, side=side))


def squeezed(frames: np.ndarray, side: int) -> np.ndarray:
    """Frames (n, height, width, 3) uint8 -> (n, 3 side²): their pixels around 0, no finer than a square of `side`."""
    small = [cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA) for frame in frames]
    return (np.stack(small).reshape(len(small), 3 * side * side) / 64 - 2).astype(np.float32)


def clip(path: Path) -> Extractor:
    """The image features of a CLIP: OpenAI's file, one of open_clip, or a folder of the transformers library.

    Raises WeightsError for a file that is none.
    """
    file = state_file(path)
    state = openai_names(weights.read(file, "clip"))
    state = {
        name.removeprefix("visual."): value for name, value in state.items() if name.startswith("visual.")
    }
    if "conv1.weight" not in state or "proj" not in state:
        raise WeightsError(f"{path} holds no image transformer of CLIP")
    tower = image_tower(state, quick=is_quick(path, state=file))
    weights.fit(tower, state, str(path))
    here = processes.accelerator("bf16")
    tower.to(here.device).eval()
    side = tower.conv1.kernel_size[0] * grid(state)

    @torch.inference_mode()
    def read(frames: np.ndarray) -> np.ndarray:
        with here.autocast():
            return tower(pictures(frames, side, "shortest").to(here.device)).float().cpu().numpy()

    return Extractor("clip", (state["proj"].shape[1],), digest(file), read)


def pictures(frames: np.ndarray, side: int, resize: Literal["shortest", "squash"]) -> Tensor:
    """Frames (n, height, width, 3) uint8 -> (n, 3, side, side), as CLIP normalises them: the middle square of each, or
    all of it squeezed into one."""
    prepare: Any = open_clip.image_transform(
        side, is_train=False, mean=OPENAI_DATASET_MEAN, std=OPENAI_DATASET_STD, resize_mode=resize
    )
    return torch.stack([prepare(Image.fromarray(frame)) for frame in frames])


def image_tower(state: State, quick: bool) -> VisionTransformer:
    """A CLIP's image transformer of the size of its tensors; `quick`: with the quick GELU of OpenAI's."""
    width, _, patch, _ = state["conv1.weight"].shape
    return VisionTransformer(
        image_size=patch * grid(state),
        patch_size=patch,
        width=width,
        layers=len([name for name in state if name.endswith("attn.in_proj_weight")]),
        heads=width // HEAD_WIDTH,
        mlp_ratio=4.0,
        output_dim=state["proj"].shape[1],
        act_layer=QuickGELU if quick else nn.GELU,
    )


def grid(state: State) -> int:
    """Patches along a side."""
    return round((len(state["positional_embedding"]) - 1) ** 0.5)


def state_file(path: Path) -> Path:
    """The weights of a file or a folder. Raises WeightsError where a folder has none."""
    names = (
        "model.safetensors",
        "open_clip_model.safetensors",
        "pytorch_model.bin",
        "open_clip_pytorch_model.bin",
    )
    if not path.is_dir():
        return path
    for name in names:
        if (path / name).is_file():
            return path / name
    raise WeightsError(f"the folder {path} holds none of {', '.join(names)}")


def is_quick(path: Path, state: Path) -> bool:
    """Whether a CLIP was trained with the quick GELU: its folder says so, or it is OpenAI's own file."""
    folder = state.parent if path.is_dir() else path.parent
    for name, keys in (
        ("open_clip_config.json", ("model_cfg", "quick_gelu")),
        ("config.json", ("vision_config", "hidden_act")),
    ):
        if path.is_dir() and (folder / name).is_file():
            said: Any = json.loads((folder / name).read_text(encoding="utf-8"))
            for key in keys:
                said = said.get(key, {}) if isinstance(said, dict) else {}
            # A folder of the transformers library that is silent has the library's default.
            return said in (True, "quick_gelu") or (name == "config.json" and said == {})
    return path.suffix == ".pt"


def q_former(folder: Path) -> Extractor:
    """The tokens of BLIP-2's image Q-Former, (queries, width) a frame, before Video-LLaMA adds frames' places.

    `folder` holds a BLIP-2 of the transformers library; its language model is not read. Raises WeightsError.
    """
    try:
        config = Blip2Config.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{folder} holds no BLIP-2 of the transformers library") from error
    state, files = parts_of(folder)
    side = config.vision_config.image_size
    eyes, queries = Blip2VisionModel(config.vision_config), Blip2QFormerModel(config.qformer_config)
    for model, prefix in ((eyes, BLIP2[0]), (queries, BLIP2[1])):
        part = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
        weights.fit(model, part, str(folder), unused=("embeddings.position_ids",))
    here = processes.accelerator("bf16")
    eyes.to(here.device).eval()
    queries.to(here.device).eval()
    asked = state[BLIP2[2]].float().to(here.device)

    @torch.inference_mode()
    def read(frames: np.ndarray) -> np.ndarray:
        with here.autocast():
            seen = eyes(pictures(frames, side, "squash").to(here.device)).last_hidden_state
            found = queries(asked.expand(len(seen), -1, -1), encoder_hidden_states=seen).last_hidden_state
        return found.float().cpu().numpy()

    return Extractor("q-former", tuple(asked.shape[1:]), digest(*files), read)


def parts_of(folder: Path) -> tuple[State, list[Path]]:
    """The tensors of a BLIP-2's eyes and Q-Former, and the files they are in. Raises WeightsError."""
    found: State = {}
    files = sorted(folder.glob("*.safetensors"))
    used = []
    for path in files:
        with safe_open(path, "pt") as file:
            # HF files of the whole model name its parts at the top.
            names = [name for name in file.keys() if name.startswith(BLIP2)]  # noqa: SIM118
            found |= {name: file.get_tensor(name) for name in names}
            used += [path] * bool(names)
    if BLIP2[2] not in found:
        raise WeightsError(f"{folder} has no safetensors that hold BLIP-2's query_tokens")
    return found, used


def digest(*files: Path) -> str:
    """The hash of files' contents."""
    content = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            content.update(hashlib.file_digest(file, "sha256").digest())
    return content.hexdigest()
