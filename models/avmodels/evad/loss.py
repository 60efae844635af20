"""The training objective: proposals are matched one to one to the people (DETR, arXiv 2005.12872)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import generalized_box_iou, sigmoid_focal_loss

from avmodels.evad.model import Predictions

# The two classes of a proposal.
PERSON, NOBODY = 0, 1


@dataclass(frozen=True)
class Weights:
    """How much each term counts; `nobody` is the weight of proposals that match no one within the first, `focal`
    weighs down actions that are clear already."""

    person: float = 2.0
    distance: float = 5.0
    overlap: float = 2.0
    action: float = 12.0
    focal: bool = False
    nobody: float = 0.1


class Target(NamedTuple):
    """The people of one clip: boxes (n, 4), x1 y1 x2 y2 in its pixels, and actions (n, classes), 0 or 1."""

    boxes: Tensor
    actions: Tensor


class Match(NamedTuple):
    """Proposals of one clip and the people they are matched to, (n,) each, by increasing proposal."""

    proposals: Tensor
    people: Tensor


@torch.no_grad()
def match(
    people: Tensor, boxes: Tensor, sizes: Tensor, targets: list[Target], weights: Weights
) -> list[Match]:
    """The cheapest one-to-one matching of each clip, by person score, distance and overlap.

    people (B, P, 2) logits, boxes (B, P, 4), x1 y1 x2 y2 in pixels, sizes (B, 2), height and width.
    """
    found = []
    for logits, candidates, size, target in zip(people, boxes, sizes, targets, strict=True):
        scale = size.flip(0).repeat(2)
        score = logits.float().softmax(-1)[:, PERSON, None]
        distance = torch.cdist(candidates.float() / scale, target.boxes / scale, p=1)
        overlap = generalized_box_iou(candidates.float(), target.boxes)
        cost = weights.distance * distance - weights.person * score - weights.overlap * overlap
        # What is no number must not stop the matching: the loss will be none either, and that is told.
        cost = cost.nan_to_num(nan=0.0)
        pairs = linear_sum_assignment(cost.cpu().numpy())
        found.append(Match(*(torch.as_tensor(one, device=boxes.device) for one in pairs)))
    return found


def losses(
    predictions: Predictions, sizes: Tensor, targets: list[Target], weights: Weights, boxes: float
) -> dict[str, Tensor]:
    """Every term before its weight, by its published name: those of the last stage and the last decoder block
    bear no number, the earlier ones `_0`, `_1`, ...

    `boxes` is the number of people that one process has on average (see people_per_process).
    """
    located = predictions.located
    terms: dict[str, Tensor] = {}
    found: list[Match] = []
    for name, people, corners in zip(_suffixes(located.people), *located, strict=True):
        found = match(people, corners, sizes, targets, weights)
        terms[f"loss_ce{name}"] = person_loss(people, found, weights.nobody)
        distance, overlap = box_losses(corners, sizes, targets, found)
        terms[f"loss_bbox{name}"], terms[f"loss_giou{name}"] = distance / boxes, overlap / boxes
    # All decoder blocks are judged by whom the last stage found.
    for name, actions in zip(_suffixes(predictions.actions), predictions.actions, strict=True):
        terms[f"loss_bce{name}"] = action_loss(actions, targets, found, weights.focal)
    return terms


def weighted(terms: dict[str, Tensor], weights: Weights) -> dict[str, Tensor]:
    """The terms times their weights."""
    by_kind = {
        "ce": weights.person,
        "bbox": weights.distance,
        "giou": weights.overlap,
        "bce": weights.action,
    }
    return {name: term * by_kind[name.split("_")[1]] for name, term in terms.items()}


def total(terms: dict[str, Tensor]) -> Tensor:
    """The mean of the weighted terms: the published learning rates go with this division."""
    return torch.stack(list(terms.values())).mean()


def person_loss(people: Tensor, found: list[Match], nobody: float) -> Tensor:
    """Cross-entropy over all proposals (B, P, 2), weighed by class: a weighted mean."""
    classes = torch.full(people.shape[:2], NOBODY, device=people.device)
    for clip, pairs in enumerate(found):
        classes[clip, pairs.proposals] = PERSON
    by_class = torch.tensor([1.0, nobody], device=people.device)
    return F.cross_entropy(people.float().flatten(0, 1), classes.flatten(), by_class)


def box_losses(
    boxes: Tensor, sizes: Tensor, targets: list[Target], found: list[Match]
) -> tuple[Tensor, Tensor]:
    """The sums over matched boxes of the distance in shares of the clip, and of 1 - generalised IoU."""
    ours = matched(boxes.float(), found)
    theirs = torch.cat([target.boxes[pairs.people] for target, pairs in zip(targets, found, strict=True)])
    counts = torch.tensor([len(pairs.people) for pairs in found], device=boxes.device)
    scale = sizes.flip(1).repeat(1, 2).repeat_interleave(counts, dim=0)
    overlap = torch.diagonal(generalized_box_iou(ours, theirs))
    return ((ours - theirs) / scale).abs().sum(), (1 - overlap).sum()


def action_loss(actions: Tensor, targets: list[Target], found: list[Match], focal: bool) -> Tensor:
    """Binary cross-entropy, or with `focal` the focal loss (arXiv 1708.02002), the mean over matched people and
    classes; 0 where no clip has any people."""
    ours = matched(actions.float(), found)
    theirs = torch.cat([target.actions[pairs.people] for target, pairs in zip(targets, found, strict=True)])
    if len(ours) == 0:
        return ours.sum()
    if focal:
        return sigmoid_focal_loss(ours, theirs.float(), alpha=0.25, gamma=2.0, reduction="mean")
    return F.binary_cross_entropy_with_logits(ours, theirs.float())


def matched(values: Tensor, found: list[Match]) -> Tensor:
    """The rows (n, ...) of values (B, P, ...) that are matched, clip by clip."""
    return torch.cat([rows[pairs.proposals] for rows, pairs in zip(values, found, strict=True)])


def people_per_process(targets: list[Target]) -> float:
    """The number of people in the batches of all processes, divided by that of processes; at least 1."""
    count = torch.tensor(float(sum(len(target.boxes) for target in targets)))
    if torch.distributed.is_initialized():
        if targets:
            count = count.to(targets[0].boxes.device)
        torch.distributed.all_reduce(count)
        count = count / torch.distributed.get_world_size()
    return max(count.item(), 1.0)


def _suffixes(rounds: list[Tensor]) -> list[str]:
    return [f"_{number}" for number in range(len(rounds) - 1)] + [""]
