"""The rules' numbers, each with its default from the audio-description spec (3.1, 3.3, 5.1)."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """What a user may set: by preset, `avtool.toml`, `AVTOOL_*`, or flag. Durations are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    language: str = Field(default="en", description="language of the descriptions")
    rate: float = Field(default=175, gt=60, le=230, description="words a minute the narration is planned at")
    rate_max: float = Field(default=230, gt=60, description="words a minute never exceeded (AD106)")
    lead_in: float = Field(default=0.20, ge=0, description="pause between dialogue and description (AD102)")
    lead_out: float = Field(default=0.30, ge=0, description="pause between description and dialogue (AD103)")
    min_gap: float = Field(default=1.2, ge=0, description="shortest gap used between two speeches (AD104)")
    min_gap_edge: float = Field(
        default=0.9, ge=0, description="shortest gap used with speech on one side only"
    )
    overlap_tolerance: float = Field(
        default=0.10, ge=0, description="overlap with dialogue that is an error (AD101)"
    )
    length_tolerance: float = Field(
        default=0.15, ge=0, description="speaking time beyond the cue's end (AD105)"
    )
    early: float = Field(
        default=4.0, ge=0, description="how long before its event a description may start (AD108)"
    )
    late: float = Field(
        default=2.0, ge=0, description="how long after its event a description may start (AD108)"
    )
    spacing: float = Field(default=0.25, ge=0, description="pause between two descriptions (AD110)")
    fill: float = Field(
        default=0.70, gt=0, le=1, description="share of the pauses filled in any 2 min (AD112)"
    )
    repeat_window: int = Field(
        default=5, ge=0, description="cues within which a fact is not told twice (AD207)"
    )
    name_policy: Literal["always", "introduced", "never"] = Field(
        default="always", description="when a recognised character is named"
    )
    name_confidence: float = Field(
        default=0.75, gt=0, le=1, description="calibrated confidence to use a name"
    )
    name_margin: float = Field(default=0.10, ge=0, description="lead over the second name")
    film_terms: bool = Field(default=False, description="allow words of camera and editing (AD203)")
    narrator: str = Field(
        default="auto",
        description="auto, facts, uni-ad, uni-ad:WEIGHTS, vlm:FOLDER: who writes the sentences",
    )
    narrator_confidence: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="mean probability of a network's words below which it is not heard",
    )
    language_model: str = Field(
        default="", description="folder or .gguf file of Uni-AD's language model, instead of the pulled one"
    )
    precision: Literal["fp32", "bf16", "int8", "4bit"] = Field(
        default="bf16", description="arithmetic of a narrator's language model"
    )
    characters: Literal["face", "clip", "both"] = Field(
        default="face", description="how characters are known: by their faces, by CLIP's features, by both"
    )
    clip: str = Field(
        default="", description="CLIP's weights, OpenAI's or open_clip's, instead of the pulled ones"
    )
    voice: str = Field(
        default="piper", description="piper, a Piper voice's .onnx file, espeak-ng, or a command with {wav}"
    )
    loudness: Literal["programme", "ebu", "atsc", "netflix", "web"] = Field(
        default="ebu", description="loudness that the described sound is brought to"
    )
