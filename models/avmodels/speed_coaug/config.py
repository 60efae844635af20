"""The settings of Speed Co-Augmentation's recipes."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator

from avmodels.engine.config import Section

Speed = Annotated[Fraction, Field(gt=0)]


class Sound(Section):
    """The log-mel front end: `seconds` of mono sound at `rate`, in `bands` from `low` to `high` hertz."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seconds: Annotated[Fraction, Field(gt=0)] = Fraction(2)
    rate: int = Field(default=24000, gt=0)
    n_fft: int = Field(default=512, gt=0)
    window: int = Field(default=480, gt=0)
    hop: int = Field(default=240, gt=0)
    bands: int = Field(default=80, gt=0)
    low: float = Field(default=0.0, ge=0)
    high: float = Field(default=12000.0, gt=0)
    floor: float = Field(default=1e-6, gt=0)

    @model_validator(mode="after")
    def _fits(self) -> Sound:
        if not self.low < self.high <= self.rate / 2:
            raise ValueError(f"bands from {self.low:g} to {self.high:g} Hz do not fit a rate of {self.rate}")
        if self.window > self.n_fft:
            raise ValueError(f"a window of {self.window} is longer than n_fft = {self.n_fft}")
        return self
