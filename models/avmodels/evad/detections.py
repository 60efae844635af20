"""From what the network says to people with boxes and scores."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from avmodels.evad.context import clipped
from avmodels.evad.model import Located, Predictions


class Detections(NamedTuple):
    """n people: the number of the clip each is in, (n,); boxes (n, 4), x1 y1 x2 y2 as shares of the picture;
    how surely each is a person, (n,); and the score of every action, (n, classes)."""

    clips: Tensor
    boxes: Tensor
    people: Tensor
    actions: Tensor


def proposals(located: Located, sizes: Tensor, originals: Tensor) -> tuple[Tensor, Tensor]:
    """All proposals of the last stage: boxes (B, P, 4), x1 y1 x2 y2 in pixels of the original picture and
    within it, and person scores (B, P).

    sizes, originals (B, 2): height and width of the clips, without padding, and of the pictures they were
    resized from. As published, a box ends at the last pixel of the clip: at W - 1, not at W.
    """
    boxes = clipped(located.boxes[-1].float(), sizes - 1)
    boxes = boxes * (originals / sizes).flip(1).repeat(1, 2)[:, None]
    return clipped(boxes, originals), located.people[-1].float().softmax(-1)[..., 0]


def select(
    predictions: Predictions,
    sizes: Tensor,
    originals: Tensor,
    threshold: float,
    all_if_none: bool = False,
    best_actions: int = 0,
) -> Detections:
    """The proposals whose person score reaches the threshold, clip by clip.

    With `all_if_none`, as the published test does, a clip where none does gives all of its proposals. With
    `best_actions`, only so many actions of a person keep their score.
    """
    boxes, people = proposals(predictions.located, sizes, originals)
    chosen = people >= threshold
    if all_if_none:
        chosen = chosen | ~chosen.any(1, keepdim=True)
    clips = chosen.nonzero()[:, 0]
    shares = boxes / originals.flip(1).repeat(1, 2)[:, None]
    actions = predictions.actions[-1].float().sigmoid()[chosen]
    if best_actions:
        kept = actions.topk(best_actions, dim=1)
        actions = torch.zeros_like(actions).scatter(1, kept.indices, kept.values)
    return Detections(clips, shares[chosen], people[chosen], actions)
