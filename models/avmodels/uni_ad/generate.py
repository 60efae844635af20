"""Saying what was read: beam search, greedy choice and sampling with the published rules.

A prompt is read once, whatever the number of hypotheses, which then go on from copies of its cache; so is what
several prompts begin with. Raw scores of words that were said are made less likely, and no three words are said
twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from avmodels.uni_ad.model import UniAD


@dataclass(frozen=True)
class Rules:
    """The rules of generation. `start` is an id that counts as said before the first (the BOS of the form mad).

    `longest` bounds the new tokens. A hypothesis is judged by its mean log-probability. Sampling draws from the
    likeliest words that have `top_p` of the probability together, at a `temperature`.
    """

    beams: int = 5
    longest: int = 66
    repetition: float = 1.2
    grams: int = 3
    start: int | None = None
    temperature: float = 1.0
    top_p: float = 0.9


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
def read_prompt(model: UniAD, embeds: Tensor, mask: Tensor, shared: int = 0) -> Reading:
    """Reads prompts embeds (batch, length, width) that begin where mask (batch, length) does.

    The first `shared` tokens are the same in all of them, and read once. Padded places have position 1, as in the
    published evaluation.
    """
    mask = mask.long()
    cache, seen = None, mask
    if shared:
        first = int(mask[0].argmax())
        cache = model.read(embeds[:1, first : first + shared], use_cache=True).past_key_values
        cache.batch_repeat_interleave(len(embeds))
        # What a row still has of it behind so many columns is masked: it was read.
        rest = (mask * (mask.cumsum(-1) > shared))[:, shared:]
        seen = torch.cat([mask.new_ones(len(mask), shared), rest], dim=-1)
    places = (seen.cumsum(-1) - 1).masked_fill(seen == 0, 1)
    read = model.read(
        embeds[:, shared:],
        attention_mask=seen,
        position_ids=places[:, shared:],
        past_key_values=cache,
        use_cache=True,
    )
    return Reading(
        model.logits(read.last_hidden_state[:, -1]).float(), read.past_key_values, seen, places[:, -1:]
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


def beam_search(model: UniAD, embeds: Tensor, mask: Tensor, rules: Rules, shared: int = 0) -> list[Said]:
    """The best description of each prompt; see hypotheses."""
    return [best for best, *_ in hypotheses(model, embeds, mask, rules, shared=shared)]


@torch.no_grad()
def hypotheses(
    model: UniAD,
    embeds: Tensor,
    mask: Tensor,
    rules: Rules,
    limits: Sequence[int] | None = None,
    shared: int = 0,
) -> list[list[Said]]:
    """The best descriptions of each prompt, at most `beams`, the best first.

    embeds (batch, length, width) are padded in front where mask is 0; `limits` bounds the new tokens of each prompt
    where that is less than the rules' `longest`; see read_prompt for `shared`.

    Penalised scores accumulate. An end among the best `beams` candidates of a step closes a hypothesis, one further
    down is dropped; a sample is done when so many are closed that no open one can be better than the worst. At the
    length limit the open ones are judged beside the closed ones.
    """
    batch, beams = len(embeds), rules.beams
    most = [min(limit, rules.longest) for limit in limits or [rules.longest] * batch]
    reading = read_prompt(model, embeds, mask, shared).repeated(beams)
    counted = 0 if rules.start is None else 1
    ids = embeds.new_full((batch * beams, counted), rules.start or 0, dtype=torch.long)
    # In the first step all hypotheses are the same: one counts.
    totals = embeds.new_full((batch, beams), -1e9, dtype=torch.float32)
    totals[:, 0] = 0
    closed = [Closed(beams) for _ in range(batch)]
    for step in range(1, max(most) + 1):
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
            open_ones = go_on(state, ranked, ids[sample * beams :], step, sample * beams, model.eos, rules)
            state.done |= state.worst >= ranked[0][0] / (counted + step)
            if step == most[sample] and not state.done:
                for total, row, token in open_ones:
                    state.add(Said([*ids[row, counted:].tolist(), token], total / (counted + step), False))
                state.done = True
            chosen += open_ones
        if all(state.done for state in closed):
            break
        totals = totals.new_tensor([total for total, _, _ in chosen]).view(batch, beams)
        from_rows = ids.new_tensor([row for _, row, _ in chosen])
        said = ids.new_tensor([token for _, _, token in chosen])
        ids = torch.cat([ids[from_rows], said[:, None]], dim=1)
        reading = read_token(model, reading, said, from_rows)
    return [state.said for state in closed]


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


def greedy(model: UniAD, embeds: Tensor, mask: Tensor, rules: Rules, shared: int = 0) -> list[Said]:
    """The likeliest next token, again and again; penalties apply to raw logits. See hypotheses."""
    return one_by_one(model, embeds, mask, rules, lambda logits: logits.argmax(-1), shared)


def sample(model: UniAD, embeds: Tensor, mask: Tensor, rules: Rules, shared: int = 0) -> list[Said]:
    """A next token drawn by torch's generator, again and again; penalties apply to raw logits. See hypotheses."""

    def draw(logits: Tensor) -> Tensor:
        chances = likeliest(logits / rules.temperature, rules.top_p).softmax(-1)
        return torch.multinomial(chances, 1)[:, 0]

    return one_by_one(model, embeds, mask, rules, draw, shared)


def likeliest(logits: Tensor, top_p: float) -> Tensor:
    """logits (rows, vocabulary), minus infinity but for the fewest that have `top_p` of the probability together."""
    ordered, order = logits.sort(-1, descending=True)
    chances = ordered.softmax(-1)
    # Whether those before it are enough already: the likeliest always stays.
    needless = chances.cumsum(-1) - chances >= top_p
    return logits.masked_fill(needless.scatter(-1, order, needless), float("-inf"))


@torch.no_grad()
def one_by_one(
    model: UniAD,
    embeds: Tensor,
    mask: Tensor,
    rules: Rules,
    choose: Callable[[Tensor], Tensor],
    shared: int = 0,
) -> list[Said]:
    """One description of each prompt, each next token (batch,) chosen of its logits (batch, vocabulary)."""
    reading = read_prompt(model, embeds, mask, shared)
    counted = 0 if rules.start is None else 1
    ids = embeds.new_full((len(embeds), counted), rules.start or 0, dtype=torch.long)
    totals, ended = (
        embeds.new_zeros(len(embeds)),
        torch.zeros(len(embeds), dtype=torch.bool, device=ids.device),
    )
    lengths = torch.full_like(ended, rules.longest, dtype=torch.long)
    for step in range(rules.longest):
        said = choose(disciplined(reading.logits, ids, rules))
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
