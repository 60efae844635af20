"""Runs the golden cases of Speed Co-Augmentation on our rules."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from avmodels.metrics.retrieval import column_ranks, median_rank, recall_at
from avmodels.speed_coaug import loss, retrieval, spectrogram, speed
from avmodels.speed_coaug.config import Sound
from tests.golden.case import Case

Outputs = dict[str, Any]
FORMS: tuple[loss.Form, ...] = ("log_of_sum", "sum_of_logs", "sum_of_logs_normalised")


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "soft_infonce": soft_infonce,
        "soft_infonce_batches": soft_infonce,
        "limits": limits,
        "frame_index": frame_index,
        "audio_speed": audio_speed,
        "logmel": logmel,
        "retrieval": retrieved,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"speed-coaug has no cases of kind {case.spec['kind']!r}")
    return kinds[case.spec["kind"]](case)


def named(value: Fraction) -> str:
    """A speed as the cases write it."""
    return str(value).replace("/", "over")


def partner_targets(weight: Tensor) -> Tensor:
    """Targets of 1 on the diagonal and weight (M,) at each row's partner."""
    own = torch.arange(len(weight))
    targets = torch.eye(len(weight))
    targets[own, loss.mate(own)] = weight
    return targets


def weights_of(name: str, case: Case, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The partners' weights for rows of sights and rows of sounds, each (M,)."""
    rows, config = case.spec["config"]["M"], case.spec["config"]
    kind, _, value = name.partition(":")
    if kind == "attention":
        seen, heard, scale = inputs["video_feature"], inputs["audio_feature"], config["affinity_scale"]
        return loss.attention_weight(seen, heard, scale), loss.attention_weight(heard, seen, scale)
    if kind == "ratio":
        weight = loss.ratio_weight(torch.tensor([float(Fraction(speed)) for speed in config["speeds"]]))
    else:
        weight = torch.full((rows,), float(value) if kind == "constant" else 0.0)
    return weight, weight


def soft_infonce(case: Case) -> Outputs:
    """Losses, targets and gradients of every form, target and temperature."""
    config = case.spec["config"]
    inputs = {name: torch.from_numpy(value) for name, value in case.inputs().items()}
    video = F.normalize(inputs["video"], dim=1)
    audio = F.normalize(0.8 * inputs["video"] + inputs["audio_noise"], dim=1)
    got: Outputs = {"similarity": video @ audio.T}
    own = torch.arange(len(video))
    for temperature in config["temperatures"]:
        for name in config["targets"]:
            title = f"tau{temperature}/{name}"
            if name in ("free", "ones"):
                dense = torch.ones(len(own), len(own))
                if name == "free":
                    dense = torch.maximum(torch.eye(len(own)), inputs["free_target"])
                targets, weights = (dense, dense.T), None
            else:
                weights = weights_of(name, case, inputs)
                targets = tuple(map(partner_targets, weights))
            for form in FORMS:
                means = []
                for number, direction in enumerate(("v2a", "a2v")):
                    seeking, sought = (video, audio) if number == 0 else (audio, video)
                    logits = (seeking @ sought.T / temperature).requires_grad_()
                    if weights is None:
                        rows = loss.soft_infonce(logits, targets[number], form)
                    else:
                        rows = loss.partner_infonce(logits, own, loss.mate(own), weights[number], form)
                        dense_rows = loss.soft_infonce(logits, targets[number], form)
                        torch.testing.assert_close(rows, dense_rows, rtol=1e-4, atol=1e-5)
                    rows.mean().backward()
                    means.append(rows.mean())
                    got[f"{title}/{form}/{direction}_per_row"] = rows.detach()
                    got[f"{title}/{form}/{direction}_grad_logits"] = logits.grad
                    got[f"{title}/target_{direction}"] = targets[number]
                got[f"{title}/{form}"] = torch.stack(means).mean().detach()[None]
                if weights is not None:
                    whole = loss.co_augmented(video, audio, *weights, temperature, form)
                    torch.testing.assert_close(whole, torch.stack(means).mean(), rtol=1e-4, atol=1e-5)
    return got


def limits(case: Case) -> Outputs:
    """What the loss becomes for extreme weights, similarities and temperatures."""
    config, inputs, got = case.spec["config"], case.inputs(), {}

    def both(video: Tensor, audio: Tensor, weight: float, form: loss.Form, tau: float) -> Tensor:
        weights = torch.full((len(video),), weight)
        return loss.co_augmented(video, audio, weights, weights, tau, form)

    for clips in config["N"]:
        video, audio = (
            F.normalize(torch.from_numpy(inputs[f"{name}_{clips}"]), dim=1) for name in ("video", "audio")
        )
        tau, flat = config["tau"], torch.ones_like(video) / video.shape[1] ** 0.5
        logits = video @ audio.T / tau
        ones = [
            loss.soft_infonce(each, torch.ones_like(each), "log_of_sum").mean() for each in (logits, logits.T)
        ]
        values = {
            "infonce": both(video, audio, 0, "sum_of_logs_normalised", tau),
            "A_w0": both(video, audio, 0, "log_of_sum", tau),
            "B_w0": both(video, audio, 0, "sum_of_logs", tau),
            "A_w1": both(video, audio, 1, "log_of_sum", tau),
            "B_w1": both(video, audio, 1, "sum_of_logs", tau),
            "A_ones": torch.stack(ones).mean(),
            "A_flat": both(flat, flat, 0.5, "log_of_sum", tau),
            "B_flat": both(flat, flat, 0.5, "sum_of_logs", tau),
            "single_view": both(video[:clips], audio[:clips], 0, "log_of_sum", tau),
            "stable": both(video, audio, 0.5, "log_of_sum", 0.001),
        }
        for name, value in values.items():
            got.setdefault(name, []).append(value.item())
    return {name: np.array(values, np.float32) for name, values in got.items()}


def frame_index(case: Case) -> Outputs:
    """Frame numbers, spans and latest starts."""
    config, got = case.spec["config"], {}
    speeds = [Fraction(text) for text in config["speeds"]]
    for number, clip in enumerate(config["cases"]):
        spans = [speed.span(clip["L"], clip["d"], value) for value in speeds]
        got[f"{number}/span"] = spans
        got[f"{number}/max_start"] = [max(0, clip["n"] - reach) for reach in spans]
        for value in speeds:
            got[f"{number}/{named(value)}"] = speed.frame_numbers(
                clip["n"], clip["start"], clip["L"], clip["d"], value
            )
    return got


def audio_speed(case: Case) -> Outputs:
    """Lengths, linear interpolation, and where two tones go; the band-limited method has to agree on those."""
    config = case.spec["config"]
    rate, seconds = config["sample_rate"], Fraction(str(config["clip_seconds"]))
    noise = case.inputs()["noise"].astype(np.float64)
    time = np.arange(len(noise)) / rate
    tones = 0.5 * np.sin(2 * np.pi * 220 * time) + 0.25 * np.sin(2 * np.pi * 660 * time)
    wave = torch.from_numpy((tones + noise).astype(np.float32))
    speeds = [Fraction(text) for text in config["speeds"]]
    length = speed.sample_count(seconds, rate)
    got: Outputs = {"wave": wave, "output_length": [length] * len(speeds)}
    got["source_length"] = [speed.sample_count(seconds, rate, value) for value in speeds]
    for value, count in zip(speeds, got["source_length"], strict=True):
        source, pure = (
            segment(each, config["start_sample"], count) for each in (wave, torch.from_numpy(tones))
        )
        got[f"linear/{named(value)}"] = speed.play_linearly(source, value, length)
        peaks = strongest(speed.play_linearly(pure, value, length), rate)
        if value <= 3:
            assert np.abs(strongest(speed.play(pure.float(), value, length), rate) - peaks).max() < 2
        got[f"tone_bin/{named(value)}"] = peaks
    table = config["length_table"]
    got["length_table"] = [
        [[speed.sample_count(Fraction(str(s)), rate, value) for value in speeds] for s in table["seconds"]]
        for rate in table["sample_rates"]
    ]
    return got


def segment(wave: Tensor, start: int, count: int) -> Tensor:
    """`count` samples from `start`, silence where the wave has ended."""
    cut = wave[start : start + count]
    return F.pad(cut, (0, count - len(cut)))


def strongest(wave: Tensor, rate: int) -> np.ndarray:
    """The frequencies of the two strongest peaks, in hertz, ascending."""
    power = np.abs(np.fft.rfft(wave.numpy() * np.hanning(len(wave)), 65536))
    peaks = np.flatnonzero((power[1:-1] > power[:-2]) & (power[1:-1] > power[2:])) + 1
    return np.sort(peaks[np.argsort(power[peaks])[-2:]]) * rate / 65536


def logmel(case: Case) -> Outputs:
    """The filters, the log-mel spectrogram, and what the encoder sees of it."""
    config = case.spec["config"]
    names = {"rate": "sample_rate", "window": "win_length", "hop": "hop_length", "bands": "n_mels"}
    names |= {"n_fft": "n_fft", "low": "f_min", "high": "f_max", "floor": "log_floor"}
    how = Sound(**{ours: config[theirs] for ours, theirs in names.items()})
    mel = spectrogram.log_mel(torch.from_numpy(case.inputs()["wave"]), how)
    filters = spectrogram.mel_spectrogram(how, mel.device).mel_scale.fb.T
    return {
        "mel_filters": filters,
        "logmel": mel,
        "normalised": spectrogram.normalise(mel),
        "frames": [mel.shape[-1]],
    }


def retrieved(case: Case) -> Outputs:
    """Recall of the class among videos, and of the very moment between sight and sound."""
    inputs, ks = case.inputs(), case.spec["config"]["k"]
    labels, gallery_labels = inputs["query_label"], inputs["gallery_label"]
    query, gallery = (
        retrieval.unit((inputs[name] + 0.45 * inputs["centres"][label][:, None]).mean(1))
        for name, label in (("query", labels), ("gallery", gallery_labels))
    )
    order = retrieval.neighbours(query, gallery)
    places = retrieval.class_ranks(order, labels, gallery_labels)
    got: Outputs = {"neighbours": order[:, :5], "class_recall": [recall_at(places, k) for k in ks]}
    video = retrieval.unit(inputs["video"])
    audio = retrieval.unit(0.35 * inputs["video"] + inputs["audio"])
    for name, similarities in (("v2a", video @ audio.T), ("a2v", audio @ video.T)):
        ranks = column_ranks(similarities)
        got[name] = [*(recall_at(ranks, k) for k in ks), median_rank(ranks)]
    return {name: np.asarray(value) for name, value in got.items()}
