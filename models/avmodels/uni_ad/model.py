"""The network: a language model that reads words, characters and video in one sequence."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from avmodels.errors import WeightsError
from avmodels.uni_ad.lora import LoRASize, adapt
from avmodels.uni_ad.perceiver import Perceiver
from avmodels.uni_ad.prompt import extra_ids
from avmodels.uni_ad.qformer import QFormerSize, VideoQFormer


@dataclass(frozen=True)
class Size:
    """The numbers of one model beside those of its language model.

    `form` is the published form. `features` is the width of what is given for a frame or a character; `video` and
    `image` are the tokens of a video and a character; `qformer` is that of the form cmd-tv. With `shared`
    characters are mapped as video is; with `together` a character's picture is mapped behind the clip's frames.
    """

    form: Literal["mad", "cmd-tv"]
    features: int = 768
    video: int = 30
    image: int = 30
    depth: int = 2
    heads: int | None = None
    qformer: QFormerSize | None = None
    lora: LoRASize | None = field(default_factory=LoRASize)
    marks: bool = False
    shared: bool = False
    together: bool = False


class UniAD(nn.Module):
    """A language model of the transformers library with eyes.

    Its vocabulary is the language model's, a video token and an image token; the ids behind that stand only in
    prompts (see prompt.Extra).
    """

    def __init__(self, size: Size, language: Any):
        super().__init__()
        self.size, self.gpt = size, language
        if size.lora is not None:
            adapt(language, size.lora)
        words, width = language.get_input_embeddings().weight.shape
        self.extra = extra_ids(words, size.form, size.marks)
        rows = 3 if size.marks else 1
        self.video_input_token_embedding = nn.Embedding(rows, width)
        self.image_input_token_embedding = nn.Embedding(rows, width)
        if size.form == "mad":
            self.project = nn.Linear(size.features, width)
            self.perceiver = Perceiver(size.video, width, size.depth, size.heads)
            nn.init.normal_(self.project.weight, std=size.features**-0.5)
            nn.init.zeros_(self.project.bias)
            if not size.shared:
                self.project_img = nn.Linear(size.features, width)
                self.perceiver_img = Perceiver(size.image, width, size.depth, size.heads)
                nn.init.normal_(self.project_img.weight, std=size.features**-0.5)
                nn.init.zeros_(self.project_img.bias)
        else:
            self.context_input_token_embedding = nn.Embedding(1, width)
            self.perceiver = VideoQFormer(size.qformer or QFormerSize(), width)
            self.project_img = nn.Linear(size.features, width)
            self.project_img.load_state_dict(self.perceiver.llama_proj.state_dict())
        self.start_tokens()

    @torch.no_grad()
    def start_tokens(self) -> None:
        """New words start as the mean of all words."""
        mean = self.gpt.get_input_embeddings().weight.mean(0)
        for name, module in self.named_children():
            if name.endswith("token_embedding"):
                assert isinstance(module, nn.Embedding)
                module.weight.copy_(mean.expand_as(module.weight))

    @property
    def words(self) -> int:
        """The size of the language model's own vocabulary."""
        return self.extra.words

    def map_video(self, frames: Tensor) -> Tensor:
        """Frames (batch, frames, features), or (batch, frames, tokens, features) in the form cmd-tv ->
        (batch, video, width)."""
        if self.size.form == "mad":
            frames = self.project(frames)
        return self.perceiver(frames)

    def map_characters(self, exemplars: Tensor, frames: Tensor | None = None) -> Tensor:
        """Exemplars (n, features), or (n, image, features) in the form cmd-tv -> (n, image, width).

        `frames` (n, frames, features) are those of each one's clip, for a network that maps them together.
        A character's tokens depend on nothing else: keep them for a film.
        """
        if self.size.form == "cmd-tv":
            return self.project_img(exemplars)
        x = exemplars[:, None]
        if self.size.together and frames is not None:
            x = torch.cat([frames, x], dim=1)
        if self.size.shared:
            return self.perceiver(self.project(x))
        return self.perceiver_img(self.project_img(x))

    def embed_ids(self, ids: Tensor) -> Tensor:
        """ids (...) of words, video and image tokens -> (..., width)."""
        words = self.gpt.get_input_embeddings()
        x = words(ids.clamp(max=self.words - 1).where(ids < self.words, 0))
        for first, table in self.tables():
            row = (ids - first).clamp(0, table.num_embeddings - 1)
            own = (ids >= first) & (ids < first + table.num_embeddings)
            x = torch.where(own[..., None], table(row).to(x.dtype), x)
        return x

    def tables(self) -> list[tuple[int, nn.Embedding]]:
        """The first id of each table of extra words.

        The context token has none: the published code compares ids with it after they were set to zero, and
        trained checkpoints so always read the word 0 in its place.
        """
        return [
            (self.extra.video, self.video_input_token_embedding),
            (self.extra.image, self.image_input_token_embedding),
        ]

    def embed(self, ids: Tensor, video: Tensor, characters: Tensor) -> Tensor:
        """The sequence a language model reads: ids (batch, length) -> (batch, length, width).

        video (batch, video, width) and characters (n, image, width), those of the first sample first, stand in
        their places in order. Raises ValueError where places and tokens differ in number.
        """
        ends = torch.full_like(ids, self.eos)
        x = self.embed_ids(torch.where(ids == self.extra.pad, ends, ids))
        for token, mapped in ((self.extra.video, video), (self.extra.image, characters)):
            places = ids == token
            if not ids.is_meta and int(places.sum()) != mapped.shape[0] * mapped.shape[1]:
                raise ValueError(
                    f"{int(places.sum())} places for {mapped.shape[0]} x {mapped.shape[1]} tokens"
                )
            x = x.masked_scatter(places[..., None], mapped.to(x.dtype))
        return x

    @property
    def eos(self) -> int:
        """The id that ends a description. Raises WeightsError where the language model has none."""
        eos = self.gpt.config.eos_token_id
        if eos is None:
            raise WeightsError("the language model has no token that ends a text (EOS)")
        return eos[0] if isinstance(eos, list) else eos

    def read(self, embeds: Tensor, **more: Any) -> Any:
        """The language model's hidden states, (batch, length, width) and its cache, for embedded tokens.

        Always causal; `more` goes to the model of the transformers library.
        """
        return self.gpt.base_model(inputs_embeds=embeds, **more)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden (..., width) -> (..., words + extra words): the language model's, then video and image."""
        extra = torch.cat([table.weight for _, table in self.tables()]).to(hidden.dtype)
        return torch.cat([self.gpt.get_output_embeddings()(hidden), hidden @ extra.T], dim=-1)

    def forward(self, ids: Tensor, frames: Tensor, exemplars: Tensor, places: Tensor | None = None) -> Tensor:
        """The logits (rows, length, words + extra words) of whole sequences, ids (rows, length); of `places`
        (rows, length) only, where it is given: (places, words + extra words).

        There may be several sequences for each clip, those of all clips first, then all clips' second: rows is a
        multiple of the clips of `frames`, of which there are none for texts alone. Pads at the end change nothing
        before them.
        """
        times = len(ids) // max(len(frames), 1)
        video = self.map_video(frames).repeat(times, 1, 1)
        characters = self.map_characters(exemplars).repeat(times, 1, 1)
        x = self.embed(ids, video, characters)
        hidden = self.read(x, use_cache=False).last_hidden_state
        return self.logits(hidden if places is None else hidden[places])


def freeze(model: UniAD, language: bool, mapping: bool = True) -> None:
    """Sets what learns: with `mapping` the mapping and the new words, with `language` low-rank maps and norms."""
    for name, parameter in model.named_parameters():
        if name.startswith("gpt."):
            parameter.requires_grad_(language and (".lora_" in name or "norm" in name or ".ln_" in name))
        else:
            parameter.requires_grad_(mapping)
