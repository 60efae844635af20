"""Settings: default < preset < avtool.toml found upwards < AVTOOL_* < flags."""

from pathlib import Path

import pytest

from avtool.config import PRESETS, resolve
from avtool.errors import UsageError
from avtool.settings import Settings


def layered(folder: Path, **kwargs):
    return resolve(start=folder, environment=kwargs.pop("environment", {}), **kwargs)


def test_each_layer_covers_the_one_before(tmp_path: Path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert layered(deep)[0] == Settings()
    assert layered(deep, preset="children")[0].rate == 150
    (tmp_path / "avtool.toml").write_text("rate = 160\nlead_in = 0.4\n")
    values, origins = layered(deep, preset="children")
    assert (values.rate, values.lead_in, values.fill) == (160, 0.4, 0.5)
    assert origins["fill"] == "preset children"
    assert origins["rate"].endswith("avtool.toml")
    values, origins = layered(deep, environment={"AVTOOL_RATE": "170", "HOME": "/"})
    assert values.rate == 170
    assert origins["rate"] == "environment AVTOOL_RATE"
    values, origins = layered(deep, environment={"AVTOOL_RATE": "170"}, flags={"rate": "180", "fill": None})
    assert values.rate == 180
    assert origins["rate"] == "command line"
    assert origins["spacing"] == "default"


def test_the_file_may_name_a_preset(tmp_path: Path):
    (tmp_path / "avtool.toml").write_text('preset = "series"\n')
    assert layered(tmp_path)[0].rate == PRESETS["series"]["rate"]


@pytest.mark.parametrize(
    ("kwargs", "told"),
    [
        ({"preset": "childern"}, "did you mean 'children'"),
        ({"flags": {"rte": "1"}}, "did you mean 'rate'"),
        ({"flags": {"rate": "fast"}}, "setting rate = 'fast' does not fit"),
        ({"flags": {"rate": "400"}}, "setting rate = '400' does not fit"),
        ({"environment": {"AVTOOL_LEADIN": "1"}}, "did you mean 'lead_in'"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, kwargs, told):
    with pytest.raises(UsageError, match=told):
        layered(tmp_path, **kwargs)


def test_a_broken_file_is_named(tmp_path: Path):
    (tmp_path / "avtool.toml").write_text("rate = = 1")
    with pytest.raises(UsageError, match=r"avtool\.toml"):
        layered(tmp_path)


def test_every_preset_fits():
    for preset in PRESETS:
        assert isinstance(resolve(preset, environment={}, start=Path("/"))[0], Settings)
