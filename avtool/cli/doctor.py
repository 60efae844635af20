"""`avtool doctor`: is everything here that avtool needs?"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.metadata import version

from avtool.cli import options
from avtool.cli.output import as_json, table
from avtool.errors import MissingError


def doctor(json: options.AsJson = False) -> None:
    """Check codecs, weights, devices and disk. Exit code 5 where something is missing."""
    checks: dict[str, Callable[[], str]] = {
        "decoders": _decoders,
        "ffmpeg": _ffmpeg,
        "weights": _weights,
        "device": _device,
        "voice": _voice,
        "disk": _disk,
    }
    found: list[tuple[str, bool, str]] = []
    for name, check in checks.items():
        try:
            found.append((name, True, check()))
        except (ImportError, MissingError, OSError, RuntimeError) as error:
            found.append((name, False, str(error)))
    if json:
        as_json("doctor", checks=[{"name": name, "ok": ok, "detail": detail} for name, ok, detail in found])
    else:
        table("doctor", ("", "", ""), [(name, "ok" if ok else "MISSING", text) for name, ok, text in found])
    missing = [f"{name}: {detail}" for name, ok, detail in found if not ok]
    if missing:
        raise MissingError("; ".join(missing))


def _decoders() -> str:
    import av

    wanted = ("h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "aac", "ac3", "opus", "flac")
    missing = [codec for codec in wanted if codec not in av.codecs_available]
    if missing:
        raise MissingError(
            f"PyAV {av.__version__} cannot decode {', '.join(missing)}: pip install --force-reinstall av"
        )
    return f"PyAV {av.__version__} decodes {', '.join(wanted)}"


def _ffmpeg() -> str:
    import imageio_ffmpeg

    return f"{imageio_ffmpeg.get_ffmpeg_version()} at {imageio_ffmpeg.get_ffmpeg_exe()}"


def _weights() -> str:
    from avtool import weights

    needed = [entry for entry in weights.index().values() if entry.source in ("embedded", "package")]
    for entry in needed:
        weights.where(entry.name)
    return f"{len(needed)} installed; `avtool weights verify` compares their hashes"


def _device() -> str:
    import torch

    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"torch {torch.__version__}, {', '.join(names) or 'no GPU'}, {torch.get_num_threads()} CPU threads"


def _voice() -> str:
    return f"Piper {version('piper-tts')}"


def _disk() -> str:
    from platformdirs import user_cache_path

    folder = user_cache_path("avtool")
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free / 1e9
    if free < 1:
        raise OSError(f"{free:.1f} GB free at {folder}; a film needs up to 1 GB")
    return f"{free:.0f} GB free at {folder}"
