"""Runs the golden cases of TagAlign's data and evaluation."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from avmodels.nn.clip_tokens import tokenize
from avmodels.tag_align import lists, miou, pictures, prompts, refine, segment
from avmodels.tag_align.model import TagAlign
from avmodels.tag_align.segment import PUBLISHED, Protocol
from tests.golden.case import Case

Outputs = dict[str, Any]


def tokenizer(case: Case) -> Outputs:
    """Texts in tokens."""
    config = case.spec["config"]
    return {"token_ids": tokenize(config["texts"], config["context_length"])}


def geometry(case: Case) -> Outputs:
    """The size of pictures, and where their windows are."""
    config, picture = case.spec["config"], case.inputs()["image"]
    bounds, crop = tuple(config["img_scale"]), tuple(config["crop_size"])
    sizes = [pictures.fitted(height, width, bounds) for height, width in config["sizes"]]
    places = [
        [segment.windows(height, width, crop, (stride, stride)) for stride in config["strides"]]
        for height, width in sizes
    ]
    small = pictures.fit(picture, tuple(config["small_scale"]))
    return {
        "resized": sizes,
        "window_counts": [[len(some) for some in of_size] for of_size in places],
        "windows": [place for of_size in places for some in of_size for place in some],
        "small_resized_rgb": small,
        "small_normalised": pictures.normalised(small).permute(1, 2, 0),
    }


def segmentation(case: Case, model: TagAlign) -> Outputs:
    """The whole evaluation of a tiny data set."""
    config, inputs, step = case.spec["config"], case.inputs(), case.spec["config"]["stored_pixel_step"]
    background = config["classes"][0] == "background"
    names = config["classes"][background:]
    words = prompts.embed_words(model.clip_text_encoder, names, config["template"])
    got: Outputs = {"text_embedding": words}
    found = []
    for number in range(config["images"]):
        for form, published in (("main", "v1"), ("dev", "v3")):
            prefix = "" if form == "main" else "dev/"
            if f"{prefix}prediction{number}" not in case.outputs():
                continue
            protocol = as_configured(PUBLISHED[published], config, form)
            outputs = one_picture(model, inputs[f"image{number}"], words, protocol, background, step)
            got |= {f"{prefix}{name}{number}": value for name, value in outputs.items()}
        label = inputs[f"label{number}"]
        label = miou.without_zero(label) if config["reduce_zero_label"] else label
        found.append(miou.areas(got[f"prediction{number}"], label, len(config["classes"])))
    for name in [name for name in got if "prediction" in name]:
        decisive = case.stored[name.replace("prediction", "decisive")]
        got[name] = np.where(decisive, got[name], case.stored[name])
    total = sum_of(found)
    return got | {
        "areas": np.stack([np.stack(areas) for areas in found]),
        "miou_percent": [miou.mean_iou(total)],
        "iou": miou.ious(total).round(4),
    }


def as_configured(protocol: Protocol, config: dict[str, Any], form: str) -> Protocol:
    how = config[form]
    return replace(
        protocol,
        scale=how["scale"],
        bias=how.get("bias", protocol.bias),
        clip=how["clip_w"],
        background=how["bg_thresh"],
        crop=tuple(config["crop_size"]),
        stride=tuple(config["stride"]),
        bounds=tuple(config["img_scale"]),
    )


def one_picture(
    model: TagAlign,
    picture: np.ndarray,
    words: Tensor,
    protocol: Protocol,
    background: bool,
    step: int,
) -> Outputs:
    """Scores and classes of one picture."""
    image = pictures.normalised(pictures.fit(picture, protocol.bounds))
    maps = segment.picture_scores(model, image, words, protocol)
    height, width = picture.shape[:2]
    original = segment.resize(maps[None], height, width)[0]
    if background:
        maps, original = (segment.with_background(some, protocol) for some in (maps, original))
    best = original.topk(2, dim=0).values
    return {
        "input_tensor": image[:, ::step, ::step],
        "resized_shape": image.shape[1:],
        "windows": segment.windows(image.shape[1], image.shape[2], protocol.crop, protocol.stride),
        "scores": maps[:, ::step, ::step],
        "scores_original_size": original[:, ::step, ::step],
        "prediction": segment.segment(model, image, words, protocol, (height, width), background).numpy(),
        "decisive": best[0] - best[1] > 1e-4,
    }


def sum_of(found: list[miou.Areas]) -> miou.Areas:
    total = found[0]
    for areas in found[1:]:
        total = miou.add(total, areas)
    return total


def mean_iou(case: Case) -> Outputs:
    """Areas and mean intersection over union of made-up label maps."""
    inputs, got = case.inputs(), {}
    for setting in case.spec["config"]["settings"]:
        name, found = setting["name"], []
        for number in range(case.spec["config"]["images"]):
            label = inputs[f"{name}/label{number}"]
            label = miou.without_zero(label) if setting["reduce_zero_label"] else label
            prediction = inputs[f"{name}/prediction{number}"]
            found.append(miou.areas(prediction, label, setting["num_classes"]))
            got[f"{name}/areas{number}"] = np.stack(found[-1])
        total = sum_of(found)
        got |= {
            f"{name}/iou": miou.ious(total),
            f"{name}/acc": miou.recalls(total),
            f"{name}/pixel_acc": [total.intersection.sum() / total.labelled.sum()],
            f"{name}/miou_percent": [miou.mean_iou(total)],
            f"{name}/miou_of_mean_per_image": [np.mean([np.nanmean(miou.ious(areas)) for areas in found])],
        }
    return got


def reader(case: Case) -> Outputs:
    """The published lists of two sources."""
    config = case.spec["config"]
    tags = config["num_tags"]
    with tempfile.TemporaryDirectory() as folder:
        sources = []
        for number, source in enumerate(config["sources"]):
            root = Path(folder) / str(number)
            root.mkdir()
            (root / "captions.csv").write_text(source["meta_csv"], encoding="utf-8")
            (root / "tags.json").write_text(source["tag_json"], encoding="utf-8")
            sources.append(root)
        pairs = lists.read_pairs(sources, tags)
    order, hot = [], np.zeros((len(pairs), tags), np.float32)
    for number, place in enumerate(pairs.places):
        name = place.path.relative_to(folder).parts
        files = config["sources"][int(name[0])]["image_files"]
        order.append((int(name[0]), files.index("/".join(name[1:]))))
        hot[number, pairs.present(number)] = 1
    return {
        "length": [len(pairs)],
        "class_freq": pairs.frequencies(tags),
        "order": order,
        "tag_label": hot,
        "caption": tokenize(pairs.captions),
    }


def pamr(case: Case) -> Outputs:
    """Pixel-adaptive refinement."""
    config, inputs = case.spec["config"], case.inputs()
    image, step = torch.from_numpy(inputs["image"]), config["stored_pixel_step"]
    dilations, masks = config["dilations"], torch.from_numpy(inputs["masks"])
    got = {
        "affinity": refine.affinity(image, dilations),
        "local_std": refine.local_deviation(image, dilations),
        "refined": refine.refine(image, masks, config["iterations"], dilations),
        "refined_one_iteration": refine.refine(image, masks, 1, dilations),
    }
    return {name: value[:, :, ::step, ::step] for name, value in got.items()}
