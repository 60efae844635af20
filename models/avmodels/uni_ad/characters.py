"""Who may be in a clip: exemplars found in the film, the recogniser of AutoAD II, the faces of AutoAD-Zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.nn.clip_blocks import Attention, Mlp, QuickGELU

# 10 seconds on each side of a found frame are left out, at 5 frames a second.
APART = 50
EXEMPLARS = 5
HEAD_WIDTH = 64


def unit(x: np.ndarray) -> np.ndarray:
    """Rows of unit length."""
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def exemplar_frames(
    film: np.ndarray, portrait: np.ndarray, count: int = EXEMPLARS, apart: int = APART
) -> np.ndarray:
    """The frames (count,) of a film that are most like a portrait, the best first, none near another.

    film (frames, width) and portrait (width,): image features of CLIP. Section 3.2 of arXiv 2310.06838.
    """
    cosine = unit(film) @ unit(portrait)
    found = np.empty(count, np.int64)
    for number in range(count):
        found[number] = best = int(cosine.argmax())
        cosine[max(0, best - apart) : best + apart] = -1
    return found


def exemplar(film: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """A character's exemplar (width,): the mean of their frames' features, not normalised."""
    return film[frames].mean(0)


class Block(nn.Module):
    """Queries look at each other, then at memory, then are transformed; each after a LayerNorm."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, QuickGELU)
        self.ln_3 = nn.LayerNorm(width)

    def forward(self, x: Tensor, memory: Tensor, places: Tensor, present: Tensor) -> Tensor:
        """x (batch, n, width) reads memory (batch, m, width), whose keys also have `places` (m, width).

        Only those that are `present` (batch, n) are looked at by others.
        """
        parts = self.self_attn.project(self.ln_1(x))
        seen = present[:, None, None]
        x = x + self.self_attn.merge(F.scaled_dot_product_attention(*parts, attn_mask=seen))
        width, weight, bias = x.shape[-1], self.attn.in_proj_weight, self.attn.in_proj_bias
        projected = [
            F.linear(given, weight[first : first + width], bias[first : first + width])
            for given, first in ((self.ln_2(x), 0), (memory + places, width), (memory, 2 * width))
        ]
        queries, keys, values = (self.attn.split(part) for part in projected)
        x = x + self.attn.merge(F.scaled_dot_product_attention(queries, keys, values))
        return x + self.mlp(self.ln_3(x))


class Decoder(nn.Module):
    """Blocks one after the other."""

    def __init__(self, width: int, depth: int, heads: int):
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads) for _ in range(depth))

    @property
    def blocks(self) -> list[Block]:
        """The blocks in order."""
        return cast("list[Block]", list(self.resblocks))


class Recogniser(nn.Module):
    """AutoAD II's character recogniser: candidates' exemplars read a clip's frames.

    Its decoder was never published: this is a reconstruction from the same authors' blocks (TemporalAlignNet).
    The same network, asked whether the description names a candidate, refines candidates.
    """

    def __init__(
        self,
        width: int = 768,
        depth: int = 2,
        heads: int | None = None,
        frames: int = 256,
        project: bool = True,
    ):
        super().__init__()
        self.face_proj = nn.Linear(width, width) if project else nn.Identity()
        self.pos_enc = nn.Embedding(frames, width)
        self.tfm = Decoder(width, depth, heads or width // HEAD_WIDTH)
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, 1)
        nn.init.normal_(self.pos_enc.weight, std=0.5)

    def forward(self, exemplars: Tensor, frames: Tensor, present: Tensor) -> Tensor:
        """exemplars (batch, n, width), frames (batch, m, width), present (batch, n) -> logits (batch, n)."""
        x, memory = self.face_proj(exemplars), self.face_proj(frames)
        places = self.pos_enc.weight[: frames.shape[1]]
        for block in self.tfm.blocks:
            x = block(x, memory, places, present)
        return self.classifier(self.norm(x))[..., 0]


def probabilities(logits: Tensor, present: Tensor) -> Tensor:
    """The probability of each candidate, -1 for those that are absent."""
    return logits.sigmoid().masked_fill(~present, -1)


def recognition_loss(logits: Tensor, target: Tensor, present: Tensor) -> Tensor:
    """The mean cross-entropy over present candidates, those to be found weighing as much as the others."""
    logits, target = logits[present], target[present].float()
    share = target.mean()
    if share == 0:
        return F.binary_cross_entropy_with_logits(logits, target)
    weight = torch.where(target > 0, 0.5 / share, 0.5 / (1 - share))
    return F.binary_cross_entropy_with_logits(logits, target, weight)


def recognition_scores(logits: Tensor, target: Tensor, present: Tensor) -> tuple[float, float]:
    """Precision and recall of candidates above one half over a batch's present ones; 0 where there are none."""
    said, true = (logits > 0) & present, target.bool() & present
    right = float((said & true).sum())
    return right / max(float(said.sum()), 1), right / max(float(true.sum()), 1)


def recognised_faces(
    frames: Sequence[np.ndarray], cast: np.ndarray, least: float = 0.2
) -> tuple[dict[int, list[tuple[int, int]]], np.ndarray, np.ndarray]:
    """AutoAD-Zero's characters of a clip: {member of the cast: [(frame, face), ...]} in order of appearance.

    frames: the embeddings (faces, width) of each frame's faces; cast (members, width). Every face is the member's
    it is most like, if its cosine is at least `least`; a member has one face a frame, the most similar. Returned
    besides: (frame, face, member) of every face (n, 3), and their cosines (n,).
    """
    rows, cosines = [], []
    found: dict[int, list[tuple[int, int]]] = {}
    for number, faces in enumerate(frames):
        if not len(faces):
            continue
        near = unit(faces) @ unit(cast).T
        members, best = near.argmax(1), near.max(1)
        rows += [(number, face, int(member)) for face, member in enumerate(members)]
        cosines += best.tolist()
        for face, member in enumerate(members.tolist()):
            rivals = np.flatnonzero((members == member) & (best >= least))
            if len(rivals) and face == rivals[best[rivals].argmax()]:
                found.setdefault(member, []).append((number, face))
    return found, np.array(rows, np.int64).reshape(-1, 3), np.array(cosines, np.float32)
