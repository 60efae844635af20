"""Saying what was read: beam search and greedy choice with the published rules.

A prompt is read once, whatever the number of hypotheses, which then go on from copies of its cache. Raw scores of
words that were said are made less likely, and no three words are said twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from avmodels.uni_ad.model import UniAD


@dataclass(frozen=True)
class Rules:
    """The rules of generation. `start` is an id that counts as said before the first (the BOS of the form mad).

    `longest` bounds the new tokens. A hypothesis is judged by its mean log-probability.
    """

    beams: int = 5
    longest: int = 66
    repetition: float = 1.2
    grams: int = 3
    start: int | None = None


@dataclass(frozen=True)
class Said:
    """One description's ids, without start and eos, its mean log-probability, and whether it came to its end."""

    ids: list[int]
    score: float
    ended: bool


@dataclass
class Closed:
    """The best ended hypotheses of one sample so far."""

    most: int
    done: bool = False
    said: list[Said] = field(default_factory=list)

    def add(self, said: Said) -> None:
        """Keeps a hypothesis if it is among the best."""
        self.said = sorted([*self.said, said], key=lambda one: -one.score)[: self.most]

    @property
    def worst(self) -> float:
        return self.said[-1].score if len(self.said) == self.most else float("-inf")


@dataclass
class Reading:
    """What was read of a batch of sequences: the next token's logits, the cache, the mask and places so far."""

    logits: Tensor
    cache: Any
    mask: Tensor
    places: Tensor

    def repeated(self, times: int) -> Reading:
        """Each sequence `times` times in a row."""
        self.cache.batch_repeat_interleave(times)
        parts = (part.repeat_interleave(times, 0) for part in (self.logits, self.mask, self.places))
        logits, mask, places = parts
        return Reading(logits, self.cache, mask, places)


@torch.no_grad()
def read_prompt(model: UniAD, embeds: Tensor, mask: Tensor) -> Reading:
    """Reads prompts embeds (batch, length, width) that begin where mask (batch, length) does.

    Padded places have position 1, as in the published evaluation.
    """
    mask = mask.long()
    places = (mask.cumsum(-1) - 1).masked_fill(mask == 0, 1)
    read = model.read(embeds, attention_mask=mask, position_ids=places, use_cache=True)
    return Reading(
        model.logits(read.last_hidden_state[:, -1]).float(), read.past_key_values, mask, places[:, -1:]
    )


@torch.no_grad()
def read_token(model: UniAD, before: Reading, ids: Tensor, rows: Tensor | None = None) -> Reading:
    """Reads one token (batch,) more, after the sequences `rows` of those read before."""
    mask, places = before.mask, before.places + 1
    if rows is not None:
        before.cache.reorder_cache(rows)
        mask, places = mask[rows], places[rows]
    mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=-1)
    x = model.embed_ids(ids)[:, None]
    read = model.read(
        x, attention_mask=mask, position_ids=places, past_key_values=before.cache, use_cache=True
    )
    return Reading(model.logits(read.last_hidden_state[:, -1]).float(), read.past_key_values, mask, places)


def disciplined(scores: Tensor, ids: Tensor, rules: Rules) -> Tensor:
    """scores (rows, vocabulary) after what was said, ids (rows, length), has been made less likely.

    Scores of said ids are multiplied by the penalty if negative and divided if positive; what would say the same
    `grams` tokens again has minus infinity.
    """
    own = scores.gather(1, ids)
    own = torch.where(own < 0, own * rules.repetition, own / rules.repetition)
    scores = scores.scatter(1, ids, own)
    before = rules.grams - 1
    starts = ids.shape[1] - before
    if starts < 1:
        return scores
    windows = ids.unfold(1, rules.grams, 1)
    again = (windows[..., :before] == ids[:, None, -before:]).all(-1)
    banned = torch.zeros_like(scores, dtype=torch.bool)
    banned = banned.scatter_reduce(1, windows[..., -1], again, "amax") if windows.shape[1] else banned
    return scores.masked_fill(banned, float("-inf"))


@torch.no_grad()
def beam_search(model: UniAD, embeds: Tensor, mask: Tensor, rules: Rules) -> list[Said]:
    """The best description of each prompt; embeds (batch, length, width), padded in front where mask is 0.

    Penalised scores accumulate. An end among the best `beams` candidates of a step closes a hypothesis, one further
    down is dropped; a sample is done when so many are closed that no open one can be better than the worst. At the
    length limit the open ones are judged beside the closed ones.
    """
    batch, beams = len(embeds), rules.beams
    reading = read_prompt(model, embeds, mask).repeated(beams)
    counted = 0 if rules.start is None else 1
    ids = embeds.new_full((batch * beams, counted), rules.start or 0, dtype=torch.long)
    # In the first step all hypotheses are the same: one counts.
    totals = embeds.new_full((batch, beams), -1e9, dtype=torch.float32)
    totals[:, 0] = 0
    closed = [Closed(beams) for _ in range(batch)]
    for step in range(1, rules.longest + 1):
        scores = disciplined(reading.logits.log_softmax(-1), ids, rules)
        vocabulary = scores.shape[-1]
        scores = (scores + totals.view(-1, 1)).view(batch, -1)
        best, places = scores.topk(2 * beams, dim=1)
        rows, tokens = places // vocabulary, places % vocabulary
        chosen: list[tuple[float, int, int]] = []
        for sample, state in enumerate(closed):
            ranked = list(
                zip(best[sample].tolist(), rows[sample].tolist(), tokens[sample].tolist(), strict=True)
            )
            chosen += go_on(state, ranked, ids[sample * beams :], step, sample * beams, model.eos, rules)
            state.done |= state.worst >= ranked[0][0] / (counted + step)
        totals = totals.new_tensor([total for total, _, _ in chosen]).view(batch, beams)
        from_rows = ids.new_tensor([row for _, row, _ in chosen])
        said = ids.new_tensor([token for _, _, token in chosen])
        ids = torch.cat([ids[from_rows], said[:, None]], dim=1)
        if all(state.done for state in closed):
            break
        if step < rules.longest:
            reading = read_token(model, reading, said, from_rows)
    else:
        for row, total in enumerate(totals.flatten().tolist()):
            state = closed[row // beams]
            if not state.done:
                state.add(Said(ids[row, counted:].tolist(), total / ids.shape[1], False))
    return [state.said[0] for state in closed]


def go_on(
    state: Closed,
    ranked: Sequence[tuple[float, int, int]],
    ids: Tensor,
    step: int,
    first: int,
    eos: int,
    rules: Rules,
) -> list[tuple[float, int, int]]:
    """The hypotheses of one sample that stay open: (total, row, token) of each; closes those that end.

    `ranked` are a step's candidates as (total, hypothesis, token), `first` is the sample's first row.
    """
    if state.done:
        return [(0.0, first, eos)] * rules.beams
    open_ones = []
    for rank, (total, row, token) in enumerate(ranked):
        if token == eos:
            if rank < rules.beams:
                said = ids[row, 0 if rules.start is None else 1 :].tolist()
                state.add(Said(said, total / step, True))
        elif len(open_ones) < rules.beams:
            open_ones.append((total, first + row, token))
    return open_ones


@torch.no_grad()
def greedy(model: UniAD, embeds: Tensor, mask: Tensor, rules: Rules) -> list[Said]:
    """The likeliest next token, again and again; penalties apply to raw logits. See beam_search."""
    reading = read_prompt(model, embeds, mask)
    counted = 0 if rules.start is None else 1
    ids = embeds.new_full((len(embeds), counted), rules.start or 0, dtype=torch.long)
    totals, ended = (
        embeds.new_zeros(len(embeds)),
        torch.zeros(len(embeds), dtype=torch.bool, device=ids.device),
    )
    lengths = torch.full_like(ended, rules.longest, dtype=torch.long)
    for step in range(rules.longest):
        said = disciplined(reading.logits, ids, rules).argmax(-1)
        totals = totals + reading.logits.log_softmax(-1).gather(1, said[:, None])[:, 0].masked_fill(ended, 0)
        ids = torch.cat([ids, said[:, None]], dim=1)
        lengths = lengths.where(ended | (said != model.eos), torch.full_like(lengths, step))
        ended |= said == model.eos
        if bool(ended.all()) or step + 1 == rules.longest:
            break
        reading = read_token(model, reading, said)
    rows = zip(ids[:, counted:].tolist(), lengths.tolist(), totals.tolist(), ended.tolist(), strict=True)
    return [Said(row[:length], total / max(length, 1), end) for row, length, total, end in rows]


def words_only(said: Sequence[int], words: int) -> list[int]:
    """Ids to decode: video and image tokens are told as the word 0."""
    return [token if token < words else 0 for token in said]
