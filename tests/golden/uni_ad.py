"""Runs the golden cases of Uni-AD on our network and rules."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from avmodels import zoo
from avmodels.engine import weights
from avmodels.uni_ad import batches, checkpoint, cost, films, loss, recipe
from avmodels.uni_ad.generate import Rules, Said, beam_search, disciplined, greedy, read_prompt, words_only
from avmodels.uni_ad.lora import LoRASize, merge
from avmodels.uni_ad.model import Size, UniAD, freeze
from avmodels.uni_ad.perceiver import Perceiver
from avmodels.uni_ad.prompt import Form, prompt
from avmodels.uni_ad.qformer import Layer, QFormerSize, VideoQFormer
from tests.golden.__main__ import differing_keys
from tests.golden.case import Case
from tests.golden.uni_ad_measures import (
    Outputs,
    character_recognition,
    critic_films,
    document,
    metrics,
    tensors,
)


def run(case: Case) -> Outputs:
    """Our outputs of one case, by name."""
    kinds: dict[str, Callable[[Case], Outputs]] = {
        "visual-mapping": visual_mapping,
        "video-qformer": video_qformer,
        "mad-train": mad_train,
        "mad-generate": mad_generate,
        "cmd-tv-generate": cmd_tv_generate,
        "character-recognition": character_recognition,
        "critic": critic_films,
        "metrics": metrics,
    }
    if case.spec["kind"] not in kinds:
        raise NotImplementedError(f"uni-ad has no cases of kind {case.spec['kind']!r}")
    got = kinds[case.spec["kind"]](case)
    return {
        name: value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        for name, value in got.items()
    }


def like(case: Case, name: str, value: Tensor) -> Tensor:
    """As much of a value as the case stores: of the batch the first samples."""
    return value[: len(case.stored[name])]


@torch.no_grad()
def visual_mapping(case: Case) -> Outputs:
    """The mapping of video, and of characters as clips of one frame, block by block."""
    config, inputs, state = (
        case.spec["config"],
        tensors(case.inputs()),
        checkpoint.state_of(tensors(case.state())),
    )
    got: Outputs = {}
    given = {"video": inputs["video_embeds"], "char": inputs["charactor_images"][:, None]}
    for kind, (part, latents) in {"video": ("", "num_latents"), "char": ("_img", "char_length")}.items():
        width, depth = config["gpt_embedding_size"], config["num_layers"]
        network = Perceiver(config[latents], width, depth, config["nhead"]).eval()
        own = {name.removeprefix(f"perceiver{part}."): value for name, value in state.items()}
        weights.fit(network, {name: own[name] for name in network.state_dict()}, case.spec["case"])
        weight, bias = state[f"project{part}.weight"], state[f"project{part}.bias"]
        projected = torch.nn.functional.linear(given[kind], weight, bias)
        x = network.sequence(projected)
        got |= {f"{kind}/project": projected, f"{kind}/tokens_after_prenorm_and_pos": x[:, config[latents] :]}
        for number, block in enumerate(network.encoder.blocks):
            x = block(x)
            got[f"{kind}/block{number}"] = x
        got[f"{kind}/latents"] = network(projected)
    return {name: like(case, name, value) for name, value in got.items()}


def qformer_size(config: dict[str, Any], queries: int, depth: int = 2, frames: int = 32) -> QFormerSize:
    return QFormerSize(
        queries,
        config["hidden_size"],
        config["num_attention_heads"],
        config["intermediate_size"],
        config.get("num_hidden_layers", depth),
        frames,
    )


@torch.no_grad()
def video_qformer(case: Case) -> Outputs:
    """The mapping of CMD-AD and TV-AD, layer by layer."""
    state = checkpoint.state_of({f"perceiver.{name}": value for name, value in tensors(case.state()).items()})
    state = {name.removeprefix("perceiver."): value for name, value in state.items()}
    config = case.spec["config"]
    depth = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
    frames = len(state["frame_position.weight"])
    qformer = config.get("qformer", config)
    network = VideoQFormer(
        qformer_size(qformer, state["query_tokens"].shape[1], depth, frames), len(state["llama_proj.bias"])
    ).eval()
    weights.fit(network, state, case.spec["case"])
    x = tensors(case.inputs())["q_hidden_state"]
    read, now = network.read(x), network.queries(len(x))
    got: Outputs = {"frame_tokens": read, "embeddings": now}
    for number, layer in enumerate(network.layers):
        assert isinstance(layer, Layer)
        looked = layer.attention(now, now)
        got |= {
            f"layer{number}/self_attention": looked,
            f"layer{number}/cross_attention": layer.crossattention(looked, read),
        }
        now = got[f"layer{number}"] = layer(now, read)
    return got | {"output": network(x)}


def depth(config: dict[str, Any]) -> int:
    """The layers of the mapping, by either of their names."""
    return config.get("perceiver_depth", config.get("num_layers", 2))


def build(case: Case) -> UniAD:
    """Our network of the case's configuration and state."""
    config = case.spec["config"]
    language = LlamaForCausalLM(LlamaConfig(**config["llama"]))
    lora = LoRASize(config["lora_r"], config["lora_alpha"], config.get("lora_dropout", 0.05))
    state = checkpoint.state_of(tensors(case.state()))
    if "qformer" in config:
        qformer = qformer_size(config["qformer"], config["tokens_per_frame"], depth(config))
        size = Size(
            "cmd-tv",
            config["qformer"]["hidden_size"],
            config["num_latents"],
            config["num_char"],
            qformer=qformer,
            lora=lora,
        )
    else:
        size = Size(
            "mad",
            config["prefix_size"],
            config["num_latents"],
            config["num_char"],
            depth(config),
            lora=lora,
        )
    model = UniAD(size, language).eval()
    weights.fit(model, state, case.spec["case"])
    return model


def form_of(model: UniAD, config: dict[str, Any]) -> Form:
    kind = config["char_prompt_type"]
    return Form(
        model.size.form,
        config["num_latents"],
        config["num_char"],
        actor=kind in (0, 2),
        exemplar=kind in (0, 1),
    )


def encoder(case: Case) -> tuple[Callable[[str], list[int]], Tokenizer]:
    tokenizer = Tokenizer.from_file(str(case.folder / "tokenizer.json"))
    return (lambda text: tokenizer.encode(text).ids[1:]), tokenizer


def gather(
    case: Case, model: UniAD, samples: Sequence[films.Sample], drawn: bool
) -> tuple[list[batches.Item], Tokenizer]:
    """The items of samples of MAD."""
    encode, tokenizer = encoder(case)
    inputs = case.inputs()
    exemplars = {
        name.removeprefix("char/"): value for name, value in inputs.items() if name.startswith("char/")
    }
    form = form_of(model, case.spec["config"])
    items = []
    for sample in samples:
        ids, shown = prompt(encode, form, model.extra, sample.characters, list(exemplars), 1)
        film = inputs[f"movie/{sample.film}"]
        frames = batches.clip_frames(film, sample, drawn)
        people = [exemplars[character.id][0] for character in shown]
        said = [encode(clip.text) for clip in (sample.clip, sample.before)] if drawn else []
        items.append(batches.item(ids, frames, people, said, model.eos))
    return items, tokenizer


def mad_train(case: Case) -> Outputs:
    """Items, the batch, the losses and their gradients."""
    model, config = build(case), case.spec["config"]
    freeze(model, language=False)
    samples = [
        films.mad_sample(entry, entry["movie_id"], "ad_chars_in_chars")
        for entry in document(case, "annotations.json")
    ]
    random.seed(config["random_seed"])
    kept = [number for number, sample in enumerate(samples) if sample]
    items, _ = gather(case, model, [sample for sample in samples if sample], drawn=True)
    got: Outputs = {}
    for number, item in zip(kept, items, strict=True):
        got |= {
            f"item{number}/ids": [*item.prompt, *item.said[0]],
            f"item{number}/ids_negative": [*item.prompt, *item.said[1]],
            f"item{number}/ad_start": len(item.prompt) - 1,
        }
    batch = batches.training_batch(items, model.extra.pad)
    width = case.stored["batch/video"].shape[-1]
    got |= {
        "batch/text": batch["right"],
        "batch/text_neg": batch["before"],
        "batch/ad_start_ids": batch["last_of_prompt"],
        "batch/image_idx": batch["sample"],
        "batch/video": batch["frames"][..., :width],
        "batch/char_image": batch["exemplars"][..., :width],
        "batch/video_idx_flat": torch.stack([batch["sample"], torch.arange(len(batch["sample"]))], dim=1),
    }
    wanted = loss.labels(batch["right"], batch["last_of_prompt"], model.extra.pad)
    got |= {
        "labels": wanted,
        "labels_negative": loss.labels(batch["before"], batch["last_of_prompt"], model.extra.pad),
    }
    mapped = model.map_video(batch["frames"]), model.map_characters(batch["exemplars"])
    embeds = model.embed(batch["right"], *mapped)
    got |= {"inputs_embeds/sample0": embeds[0], "inputs_embeds/norms": embeds.norm(dim=-1)}
    logits = model.logits(model.read(embeds).last_hidden_state)
    positions = (wanted[0] != loss.IGNORED).nonzero()[:, 0] - 1
    got |= {
        "logits/positions": positions,
        "logits/sample0": logits[0, positions],
        "logits/last_position_all": logits[:, -1],
    }
    right, before = loss.description_losses(model, batch, model.extra.pad)
    hinge = loss.contrast(right, before)
    (right + hinge).backward()
    got |= {"loss_pos": right, "loss_neg": before, "contrastive": hinge, "total": right + hinge}
    for name, value in model.named_parameters():
        if value.requires_grad:
            gradient = torch.zeros_like(value) if value.grad is None else value.grad
            got[f"grad/{checkpoint.published_name(name)}"] = torch.linalg.vector_norm(gradient)
    random.seed(config["random_seed"])
    for name in case.outputs():
        if name.startswith("sampler/"):
            frames = np.arange(1, int(name.removeprefix("sampler/len")) + 1)
            got[name] = films.read_frames(frames, drawn=True, fill=True).astype(np.int64)
    return got


@torch.no_grad()
def mad_generate(case: Case) -> Outputs:
    """The padded batch, its first logits, beams and greedy choice."""
    model = build(case)
    merge(model.gpt)
    samples = films.evaluation_samples(document(case, "annotations.json"))
    items, tokenizer = gather(case, model, samples, drawn=False)
    batch = batches.evaluation_batch(items, model.extra.pad)
    width = case.stored["batch/video"].shape[-1]
    embeds = model.embed(
        batch["ids"], model.map_video(batch["frames"]), model.map_characters(batch["exemplars"])
    )
    got: Outputs = {
        "batch/prompt": batch["ids"],
        "batch/mask": batch["mask"].float(),
        "batch/video": batch["frames"][..., :width],
        "batch/image_idx": batch["sample"],
        "inputs_embeds/norms": embeds.norm(dim=-1),
        "first_position_ids": (batch["mask"].cumsum(-1) - 1).masked_fill(batch["mask"] == 0, 1),
    }
    for name in case.outputs():
        if name.startswith("linspace/len"):
            got[name] = films.even_frames(int(name.removeprefix("linspace/len")))
        elif name.startswith("inputs_embeds/sample"):
            number = int(name.removeprefix("inputs_embeds/sample"))
            got[name] = embeds[number, batch["mask"][number] == 1]
    rules = Rules(start=1)
    reading = read_prompt(model, embeds, batch["mask"])
    start = torch.ones(len(embeds), 1, dtype=torch.long)
    got |= {
        "first_logits": reading.logits,
        "first_scores": disciplined(reading.logits.log_softmax(-1), start, rules),
    }
    beams = beam_search(model, embeds, batch["mask"], rules)
    for kind, said in (("beam", beams), ("greedy", greedy(model, embeds, batch["mask"], rules))):
        rows = returned(said, model, rules, kind)
        got |= {f"{kind}/sequences": rows, f"{kind}/after_mask": np.where(rows >= model.words, 0, rows)}
    same([tokenizer.decode(words_only(one.ids, model.words)) for one in beams], document(case, "texts.json"))
    return got | {"beam/sequences_scores": [one.score for one in beams]}


def returned(said: Sequence[Said], model: UniAD, rules: Rules, kind: str) -> np.ndarray:
    """Ids as the published generation returns them: start, ids, eos, and then pads.

    Greedy choice feeds pads back, which the published forward turns into eos where they stand; the last is not fed.
    """
    longest = max(len(one.ids) + one.ended for one in said)
    rows = np.full((len(said), 1 + longest), model.extra.pad)
    for row, one in zip(rows, said, strict=True):
        ids = [1, *one.ids, *([model.eos] if one.ended else [])]
        if kind == "greedy":
            row[len(ids) : -1] = model.eos
        row[: len(ids)] = ids
    return rows


def same(ours: Any, theirs: Any) -> None:
    """Holds texts to those of the case."""
    expected = theirs if isinstance(theirs, list) else list(theirs.values())
    if expected and isinstance(expected[0], list):
        expected = expected[0]
    assert ours == expected, f"{ours!r}, expected {theirs!r}"


@torch.no_grad()
def cmd_tv_generate(case: Case) -> Outputs:
    """Prompts, first logits and beams, one record at a time."""
    model, config = build(case), case.spec["config"]
    merge(model.gpt)
    inputs = case.inputs()
    encode, tokenizer = encoder(case)
    clips = {name.removeprefix("clip/"): value for name, value in inputs.items() if name.startswith("clip/")}
    people = {
        name.removeprefix("char/").removesuffix(".jpg"): value
        for name, value in inputs.items()
        if name.startswith("char/")
    }
    (entries,) = document(case, "annotations.json").values()
    found = films.described(entries, list(clips))
    got: Outputs = {"valid/index": [number for number, _, _ in found]}
    texts = {}
    for number, entry, before in found:
        cast = [films.person(one) for one in entry["prob"]]
        ids, shown = prompt(encode, form_of(model, config), model.extra, cast, list(people), 1)
        parts = [clips[films.clip_key(entry["key_name"], one)] for one in (before, entry)]
        frames = np.concatenate([films.read_frames(part, drawn=False, fill=True) for part in parts])
        exemplars = [people[character.id][0] for character in shown]
        batch = batches.evaluation_batch(
            [batches.item(ids, frames, exemplars, [], model.eos)], model.extra.pad
        )
        embeds = model.embed(
            batch["ids"], model.map_video(batch["frames"]), model.map_characters(batch["exemplars"])
        )
        (said,) = beam_search(model, embeds, batch["mask"], Rules(longest=config["max_new_tokens"]))
        texts[f"item{number}"] = tokenizer.decode(words_only(said.ids, model.words))
        # What newer libraries make of the published code: the prompt sees itself from both sides.
        around = torch.zeros(1, 1, embeds.shape[1], embeds.shape[1])
        unmasked = model.read(embeds, attention_mask=around).last_hidden_state[:, -1]
        got |= {
            f"item{number}/prompt": ids,
            f"item{number}/frames": np.sqrt(
                (frames.astype(np.float64) ** 2).sum(axis=tuple(range(1, frames.ndim)))
            ),
            f"item{number}/inputs_embeds": embeds[0],
            f"item{number}/first_logits": read_prompt(model, embeds, batch["mask"]).logits[0],
            f"item{number}/first_logits_sdpa": model.logits(unmasked)[0],
            f"item{number}/sequences": [*said.ids, *([model.eos] if said.ended else [])],
        }
    assert texts == document(case, "texts.json"), texts
    return got


# Which of our configurations is of which published one.
VARIANTS = {"mad-llama2-7b": "mad", "cmd-tv-llama2-7b": "cmd-tv"}


def census(name: str, entry: dict[str, Any]) -> list[str]:
    """What differs between a published model of that name and ours: parameters, counts, cost."""
    config = zoo.load("uni-ad", VARIANTS[name])
    with torch.device("meta"):
        model = recipe.build(config)
    state = checkpoint.published_state(model.state_dict())
    faults = differing_keys({key: list(value.shape) for key, value in state.items()}, entry["keys"])
    total = sum(parameter.numel() for parameter in model.parameters())
    low = sum(value.numel() for key, value in model.named_parameters() if ".lora_" in key)
    language = sum(value.numel() for value in model.gpt.parameters())
    counts = {
        "params": total,
        "params_lora": low,
        "params_llm_frozen": language - low,
        "params_visual_mapping_and_new_tokens": total - language,
        "n_checkpoint_keys": len(checkpoint.trained(state)),
    }
    faults += [
        f"{count} {key}, expected {entry[key]}" for key, count in counts.items() if count != entry[key]
    ]
    size, width = model.size, model.gpt.config.hidden_size
    costs = {
        "gflops": cost.video(size, width),
        "visual_mapping_one_character": cost.character(size, width),
        "llm_prefill_gflops_per_200_tokens_analytic": cost.language(model.gpt.config, 200),
    }
    known = entry | entry["gflops_detail"]
    faults += [
        f"{key} {2 * macs / 1e9:.1f}, expected {known[key]}"
        for key, macs in costs.items()
        if key in known and abs(2 * macs / 1e9 / known[key] - 1) > 0.002
    ]
    return faults
