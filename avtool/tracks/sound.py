"""Sound in streams: a film's programme decoded, what ffmpeg runs told in words, nothing held but a second."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import ffmpeg
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from avtool.errors import MediaError, ResourceError
from avtool.media.container import FORMATS
from avtool.media.probe import AudioStream, Probe
from avtool.timeline import SECOND

RATE = 48_000  # samples a second of everything that is mixed
BLOCK = RATE  # samples

Report = Callable[[int], None]  # told how many microseconds of the film are done

# What a mix is made in: every layout that AAC, players and broadcasters have in common, by its channels.
CHANNELS = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}
CENTRE, BASS = 2, 3  # places in 5.1 and 7.1 (FL FR FC LFE ...)


def layout(stream: AudioStream | None) -> str:
    """The layout that `stream` is mixed in; a film without sound gets its narration in mono."""
    channels = stream.channels if stream else 1
    return next(name for name, count in reversed(CHANNELS.items()) if count <= max(1, channels))


def samples(time: int) -> int:
    """Microseconds as a number of samples."""
    return round(time * RATE / SECOND)


def source(film: Probe) -> Any:
    """The film's file as ffmpeg reads it, on the film's clock; run what comes of it with `running`."""
    return ffmpeg.input(
        f"file:{film.path}",
        itsoffset=-film.origin / SECOND,
        protocol_whitelist="file",
        format_whitelist=FORMATS,
    )


def programme(film: Probe, stream: AudioStream | None, layout: str) -> Any:
    """An ffmpeg stream of the film's sound at `RATE`: from the film's zero, as long as it, in step with it.

    Sound that drifts or breaks off is kept on its timestamps; where there is none there is silence.
    """
    length = film.duration / SECOND
    if stream is None:
        return ffmpeg.input(f"anullsrc=r={RATE}:cl={layout}:d={length}", f="lavfi").audio
    return (
        source(film)[str(stream.index)]
        .filter("aresample", RATE, **{"async": 1, "min_hard_comp": 0.02, "first_pts": 0})
        .filter("aformat", sample_fmts="flt", channel_layouts=layout)
        .filter("apad", whole_dur=length)
        .filter("atrim", duration=length)
    )


def blocks(film: Probe, stream: AudioStream | None, layout: str) -> Iterator[np.ndarray]:
    """The film's sound, float32 (samples, channels) in blocks of `BLOCK` samples (the last one shorter).

    Raises MediaError where it cannot be decoded.
    """
    raw = ffmpeg.output(programme(film, stream, layout), "pipe:", format="f32le")
    width, left = CHANNELS[layout], samples(film.duration)
    with running(raw, f"the sound of {film.path} cannot be decoded") as process:
        assert process.stdout is not None
        while left > 0:
            wanted = min(BLOCK, left)
            read = np.frombuffer(process.stdout.read(wanted * width * 4), np.float32)
            block = np.zeros((wanted, width), np.float32)
            block.reshape(-1)[: len(read)] = read
            yield block
            left -= wanted
        process.stdout.read()  # a sample too many, by rounding, must not stop ffmpeg at its last word


def told(blocks: Iterator[np.ndarray], report: Report) -> Iterator[np.ndarray]:
    """`blocks`, each reported when it is done with."""
    done = 0
    for block in blocks:
        yield block
        done += len(block)
        report(done * SECOND // RATE)


def encode(
    blocks: Iterator[np.ndarray], layout: str, path: Path, ceiling: float, codec: dict[str, Any]
) -> None:
    """Write `blocks`, float32 (samples, channels), to `path`, no peak above `ceiling` (dBFS).

    `codec` are ffmpeg's options for the output. Raises MediaError and ResourceError as `running` does.
    """
    raw = ffmpeg.input("pipe:", format="f32le", ar=RATE, ac=CHANNELS[layout], channel_layout=layout)
    limited = raw.filter("alimiter", limit=10 ** (ceiling / 20), level=False, latency=True)
    written = limited.output(f"file:{path}", map_metadata=-1, flags="+bitexact", fflags="+bitexact", **codec)
    with running(written, f"{path} cannot be written", feed=True) as process:
        assert process.stdin is not None
        for block in blocks:
            process.stdin.write(np.ascontiguousarray(block, np.float32).tobytes())


@contextmanager
def running(
    node: Any, failing: str, feed: bool = False, copyts: bool = True
) -> Iterator[subprocess.Popen[bytes]]:
    """ffmpeg at work on `node`, its output to be read from stdout, its input written to stdin where `feed`.

    Raises MediaError that begins with `failing` where ffmpeg fails, ResourceError where the disk is full.
    """
    # Without -copyts ffmpeg would count from the track's own beginning.
    options = ["-nostdin", "-v", "error", *(["-copyts"] if copyts else [])]
    command = node.global_args(*options).compile(get_ffmpeg_exe(), overwrite_output=True)
    with TemporaryFile() as said:
        with subprocess.Popen(
            command,
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            process_group=0,  # Ctrl-C is for avtool, which decides what becomes of ffmpeg
        ) as process:
            try:
                yield process
                if process.stdin:
                    process.stdin.close()
            except BrokenPipeError:
                pass  # ffmpeg gave up; its own words say why
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise _told(failing, process.returncode, said)


def run(node: Any, failing: str, copyts: bool = True, report: Report | None = None) -> None:
    """Run ffmpeg, which writes a file, to its end. Raises as `running` does."""
    with running(node.global_args("-progress", "pipe:1"), failing, copyts=copyts) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if report and line.startswith(b"out_time_us=") and line[12:].strip().isdigit():
                report(int(line[12:]))


def _told(failing: str, code: int, said: IO[bytes]) -> MediaError | ResourceError:
    said.seek(0)
    return failed(failing, code, said.read().decode(errors="replace"))


def failed(failing: str, code: int, said: str) -> MediaError | ResourceError:
    """What to tell of a program that ended with `code` and these words: a full disk, or its last line."""
    full = any(word in said for word in ("No space left", "File too large", "Disk quota exceeded"))
    if full or code == -signal.SIGXFSZ:
        return ResourceError(f"{failing}: the disk is full; free some space and run again")
    lines = said.strip().splitlines() or ["no reason given"]
    return MediaError(f"{failing}: {lines[-1]}")
