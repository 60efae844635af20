"""What is wrong in a configuration is said in words, wherever it is."""

from __future__ import annotations

import pytest
from pydantic import BaseModel, ConfigDict, model_validator

from avmodels.engine import config as configs
from avmodels.errors import ConfigError


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    size: int = 1


class Whole(configs.Config):
    part: Part = Part()
    parts: tuple[Part, ...] = ()

    @model_validator(mode="after")
    def _small(self) -> Whole:
        if self.part.size > 9:
            raise ValueError("part.size may be 9 at most")
        return self


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"part": {"size": 10}}, "part.size may be 9 at most"),
        ({"part": {"sise": 1}}, "part.sise is no setting; did you mean size"),
        ({"parts": [{"sise": 1}]}, "parts.0.sise is no setting"),
        ({"part": {"size": "x"}}, "part.size: input should be a valid integer"),
    ],
)
def test_faults_are_told(document: dict, told: str):
    with pytest.raises(ConfigError, match=told):
        configs.validate({"about": "a", **document}, Whole, "here")
