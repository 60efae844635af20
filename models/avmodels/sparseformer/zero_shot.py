"""Images against words: a bootstrapped network in place of the vision tower of its CLIP parent (open_clip)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
from torch import Tensor, nn

from avmodels.data.images import Picture
from avmodels.engine import weights
from avmodels.engine.weights import State
from avmodels.errors import DataError, WeightsError
from avmodels.metrics.retrieval import recall_at

TEXT_PARTS = ("token_embedding.", "positional_embedding", "transformer.", "ln_final.", "text_projection")
# One attention head for so many channels, in every text tower that was published.
HEAD_WIDTH = 64
# The vision tower that open_clip makes at first, and that is thrown away.
NO_VISION = CLIPVisionCfg(layers=1, width=64, head_width=64, patch_size=32, image_size=32)
PROMPTS: dict[str, Sequence[Callable[[str], str]]] = {
    "openai": open_clip.OPENAI_IMAGENET_TEMPLATES,
    "plain": ("a photo of a {}.".format,),
}
CAPTIONS = ("annotations/captions_val2017.json", "captions.json")


def clip(
    visual: nn.Module, state: State, what: str, heads: int | None = None, quick_gelu: bool = True
) -> CLIP:
    """open_clip's CLIP whose vision tower is the network `visual`, in evaluation mode.

    `state` holds the text tower of an OpenAI or open_clip model, or all of it; sizes are read from it. `heads` is
    the number of attention heads, one for every 64 channels if None. OpenAI's models have `quick_gelu`. Raises
    WeightsError where `what` holds no such tower, or one of another joint space.
    """
    state = {name: tensor for name, tensor in state.items() if name.startswith((*TEXT_PARTS, "logit_scale"))}
    blocks = [
        int(found[1]) for name in state if (found := re.match(r"transformer\.resblocks\.(\d+)\.", name))
    ]
    if not blocks or "token_embedding.weight" not in state or "text_projection" not in state:
        raise WeightsError(f"{what} holds no text tower of CLIP")
    width, embedding = state["text_projection"].shape
    if (outputs := visual.get_submodule("proj").get_parameter("weight").shape[0]) != embedding:
        raise WeightsError(f"{what} speaks of a space of {embedding} dimensions, the network of {outputs}")
    text = CLIPTextCfg(
        context_length=len(state["positional_embedding"]),
        vocab_size=len(state["token_embedding.weight"]),
        width=width,
        heads=heads or width // HEAD_WIDTH,
        layers=max(blocks) + 1,
    )
    made = CLIP(embedding, NO_VISION, text, quick_gelu)
    made.visual = visual  # pyright: ignore[reportAttributeAccessIssue]
    weights.fit(made, state, what, missing=("visual.", "logit_scale"))
    return made.eval()


@torch.inference_mode()
def class_vectors(model: CLIP, names: Sequence[str], prompts: str = "openai") -> Tensor:
    """Unit vectors (classes, embedding): for each name the mean direction of the prompts it is put into."""
    tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
    device = model.logit_scale.device
    return open_clip.build_zero_shot_classifier(model, tokenizer, names, PROMPTS[prompts], device=device).T


@torch.inference_mode()
def text_vectors(model: CLIP, texts: Sequence[str], batch: int = 256) -> Tensor:
    """Unit vectors (texts, embedding)."""
    tokens = open_clip.SimpleTokenizer(context_length=model.context_length)(list(texts))
    parts = tokens.to(model.logit_scale.device).split(batch)
    return torch.cat([model.encode_text(part, normalize=True) for part in parts])


def similarities(images: Tensor, texts: Tensor, log_scale: float | Tensor) -> Tensor:
    """Logits (images, texts) of unit vectors (images, embedding) and (texts, embedding): exp(log_scale) cosine."""
    return torch.as_tensor(log_scale).exp() * F.normalize(images, dim=-1) @ texts.T


def words_of(names: Sequence[str]) -> list[str]:
    """What to call classes of such folders: ImageNet's words where they are its 1000, else the names themselves."""
    if len(names) == len(open_clip.IMAGENET_CLASSNAMES) and all(re.match(r"n\d{8}$", name) for name in names):
        return list(open_clip.IMAGENET_CLASSNAMES)
    return [name.replace("_", " ") for name in names]


def captioned(folder: Path) -> tuple[list[Picture], list[str], np.ndarray]:
    """The pictures and captions of a set in COCO's form, and the number of each caption's picture.

    They are listed in annotations/captions_val2017.json, the pictures below val2017/, or in captions.json, the
    pictures beside it. Raises DataError where there is none of them, or it is of another form.
    """
    path = next((folder / name for name in CAPTIONS if (folder / name).is_file()), None)
    if path is None:
        raise DataError(f"{folder} holds neither {CAPTIONS[0]} nor {CAPTIONS[1]}")
    place = folder if path.parent == folder else folder / "val2017"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        numbers = {image["id"]: number for number, image in enumerate(document["images"])}
        pictures = [Picture(place / image["file_name"]) for image in document["images"]]
        captions = [entry["caption"] for entry in document["annotations"]]
        owners = np.array([numbers[entry["image_id"]] for entry in document["annotations"]], np.int64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} lists no captions as COCO does: {error!r}") from error
    if set(owners.tolist()) != set(range(len(pictures))):
        raise DataError(f"{path}: there are pictures without a caption")
    return pictures, captions, owners


def recalls(scores: np.ndarray, owners: np.ndarray) -> dict[str, float]:
    """R@1, R@5 and R@10 in percent, both ways: scores (texts, images), owners (texts,) the image of each text.

    A text finds its image; an image one of its texts.
    """
    own = scores[np.arange(len(owners)), owners]
    best = np.full(scores.shape[1], -np.inf)
    np.maximum.at(best, owners, own)
    ways = {"text_to_image": (scores > own[:, None]).sum(1), "image_to_text": (scores > best).sum(0)}
    return {f"{way}_R@{k}": recall_at(ranks, k) for way, ranks in ways.items() for k in (1, 5, 10)}
