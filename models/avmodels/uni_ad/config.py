"""The settings of Uni-AD's recipe."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from avmodels.engine.config import Config, Section, Training
from avmodels.uni_ad.language import SIZES
from avmodels.uni_ad.lora import LoRASize
from avmodels.uni_ad.model import Size
from avmodels.uni_ad.prompt import Form
from avmodels.uni_ad.qformer import QFormerSize

# What a frame is to the network (see frames).
Sees = Literal["clip", "q-former", "pixels"]


class Language(Section):
    """The language model: one of the known sizes made anew, or that of the files `weights` names.

    `weights` is a folder of the transformers library or a .gguf file; `words` the same or a tokenizer.json, where
    it is not that of the weights; relative paths are in the data's folder. `learns` says what of it does: nothing,
    as published; the low-rank maps and norms; or everything, for a model that starts from nothing.
    """

    size: str = "llama-2-7b"
    weights: str = ""
    words: str = ""
    rank: int = Field(default=16, ge=0)
    alpha: float = 16
    dropout: float = Field(default=0.05, ge=0, lt=1)
    learns: Literal["nothing", "adaptation", "everything"] = "nothing"

    @model_validator(mode="after")
    def _is_known(self) -> Language:
        if self.size not in SIZES:
            raise ValueError(f"model.language.size is {self.size!r}; there are {', '.join(SIZES)}")
        return self


class Network(Section):
    """What maps frames and characters into the language model's space.

    `form` is that of MAD (a vector a frame) or of CMD-AD and TV-AD (tokens a frame); `sees` is what makes them of a
    film's pictures (see frames); `features` is their width; `video` and `image` the tokens of video and of a
    character.
    """

    form: Literal["mad", "cmd-tv"]
    sees: Sees = "clip"
    features: int = Field(default=768, gt=0)
    video: int = Field(default=30, gt=0)
    image: int = Field(default=30, gt=0)
    depth: int = Field(default=2, gt=0)
    heads: int | None = None
    marks: bool = False
    shared: bool = False
    together: bool = False
    language: Language = Language()

    def size(self) -> Size:
        """The numbers as the network takes them."""
        how = self.language
        lora = LoRASize(how.rank, how.alpha, how.dropout) if how.rank else None
        qformer = (
            None
            if self.form == "mad"
            else QFormerSize(self.video, self.features, self.heads or 12, 4 * self.features, self.depth)
        )
        shape = self.model_dump(include={"form", "features", "video", "image", "depth", "heads"})
        return Size(
            **shape, qformer=qformer, lora=lora, marks=self.marks, shared=self.shared, together=self.together
        )


class Prompt(Section):
    """What is said of a character: with `actor` who plays them, with `exemplar` their tokens; `short_roles` keeps
    one word of a role. A description of more than `longest` tokens is not learned."""

    actor: bool = True
    exemplar: bool = True
    short_roles: bool = False
    longest: int = Field(default=51, gt=0)


class Films(Section):
    """The files of the data's folder: lists in the published form, features of clips or films (HDF5), characters'
    exemplars (safetensors, or the published pickle).

    `told` and `candidates` are what the lists call those who stand in a prompt, in training (as published those who
    are named; MAD) and in evaluation (as published those whom refinement left). With `context` the frames of the
    clip before are read too. `texts` are descriptions alone, one a line; `captions` the shards of captioned videos."""

    train: str = "train.json"
    evaluation: str = "eval.json"
    told: str = "ad_chars_in_chars"
    candidates: str = "prob"
    context: bool = True
    texts: str = "descriptions.txt"
    captions: str = "*.tar"
    features: str = "features.h5"
    exemplars: str = "exemplars.safetensors"


class Objectives(Section):
    """`contrast` is the weight of the hinge that the description before must be less likely."""

    contrast: float = Field(default=1.0, ge=0)


class Schedule(Section):
    """AdamW; a line to `lr` over so many steps, then half a cosine to 0."""

    lr: float = Field(gt=0)
    warmup_steps: int = Field(default=6000, ge=0)
    weight_decay: float = 0.0
    clip: float | None = Field(default=None, gt=0)


class Generation(Section):
    """Beam search, or `sampled`: drawn from the likeliest words that have `top_p` of the probability together.

    A word already said has its score multiplied by `repetition`, and no `grams` words come twice. `alone` also
    describes the first clip of a scene (CMD-AD, TV-AD), which the published evaluation leaves out.
    """

    beams: int = Field(default=5, gt=0)
    longest: int = Field(default=66, gt=0)
    repetition: float = Field(default=1.2, gt=0)
    grams: int = Field(default=3, gt=1)
    sampled: bool = False
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    alone: bool = False


class Describing(Config):
    """Describes clips of films.

    `stage` is what is learned: the language of `texts` by the low-rank maps, to see from `captions` by the mapping,
    or descriptions of clips.
    """

    recipe: Literal["describe"]
    stage: Literal["texts", "captions", "descriptions"] = "descriptions"
    model: Network
    prompt: Prompt = Prompt()
    data: Films = Films()
    objectives: Objectives = Objectives()
    schedule: Schedule
    training: Training
    generation: Generation = Generation()

    def form(self) -> Form:
        """How its prompts are written."""
        how = self.model
        return Form(
            how.form,
            how.video,
            how.image,
            self.prompt.actor,
            self.prompt.exemplar,
            how.marks,
            self.prompt.short_roles,
        )


class RefiningNetwork(Section):
    """AutoAD II's recogniser over features so wide; it reads the first `most` candidates."""

    features: int = Field(default=768, gt=0)
    depth: int = Field(default=2, gt=0)
    heads: int | None = None
    project: bool = True
    most: int = Field(default=10, gt=0)


class Refining(Config):
    """Tells which candidates a description will name; those likelier than `threshold` are left."""

    recipe: Literal["refine"]
    model: RefiningNetwork = RefiningNetwork()
    data: Films = Films(candidates="char")
    schedule: Schedule
    training: Training
    threshold: float = Field(default=0.5, gt=0, lt=1)


Settings = Describing | Refining
RECIPES: dict[str, type[Config]] = {"describe": Describing, "refine": Refining}
