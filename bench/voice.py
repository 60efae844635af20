"""How long voice and mix take, against the film's own time, and how much memory, short film and long.

    uv run python bench/voice.py            2 hours, 500 descriptions
    uv run python bench/voice.py --hours 0.5

The example film is looped; its descriptions are English sentences of 3 to 12 words, no two alike. Writes
bench/out/voice.txt.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "the-quiet-street.mp4"
EVERY = 14.4  # seconds from one description to the next: 500 in 2 hours
WHO = ["A man", "A woman", "Marcus", "Ellen", "The driver", "A cyclist", "The girl in red", "An old man"]
DOES = [
    "walks away",
    "looks up",
    "opens the door",
    "sits down at the table",
    "smiles",
    "lifts a lantern",
    "turns to the window",
]
WHERE = ["", "in the rain", "by the canal", "at night", "behind the car", "without a word", "and nods"]


def sentences(count: int) -> list[str]:
    """`count` sentences, no two alike up to some 390, then numbered scenes."""
    return [
        f"{WHO[n % 8]} {DOES[n // 8 % 7]} {WHERE[n // 56 % 7]}".strip()
        + (f", take {n // 392}." if n >= 392 else ".")
        for n in range(count)
    ]


def speak_and_mix(seconds: float) -> None:
    """Voice and mix of a film of `seconds`; one line of numbers on stdout."""
    import imageio_ffmpeg

    from avtool.media.probe import probe
    from avtool.timeline import SECOND, Span
    from avtool.tracks import ducking, loudness, mix, sound
    from avtool.tracks.engines import engine
    from avtool.tracks.voice import Voice

    with tempfile.TemporaryDirectory() as part:
        folder = Path(part)
        film = folder / "film.mp4"
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-stream_loop", "-1", "-i", str(EXAMPLE),
            "-t", str(seconds), "-c", "copy", str(film),
        ]  # fmt: skip
        subprocess.run(command, check=True)
        source = probe(film)
        texts = sentences(int(seconds / EVERY))
        began = time.perf_counter()
        clips = list(Voice(engine("piper"), folder / "voice").say(texts, 175).values())
        spoken = time.perf_counter()
        stream = source.audio[0]
        layout = sound.layout(stream)
        levels = loudness.levels(
            loudness.measure(sound.programme(source, stream, layout), "bench"), [], "ebu"
        )
        spans = [
            Span(round(n * EVERY * SECOND), round(n * EVERY * SECOND) + clip.duration)
            for n, clip in enumerate(clips)
        ]
        ducks = ducking.duck(spans, levels)
        mix.narration(source.duration, clips, ducks, levels.narration, folder / "narration.flac")
        measured = mix.described(
            lambda: sound.blocks(source, stream, layout), layout, clips, ducks, levels, folder / "mix.m4a"
        )
        mixed = time.perf_counter()
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
    print(
        f"{seconds / 60:.0f} min, {len(texts)} descriptions: voice {spoken - began:.0f} s, "
        f"mix {mixed - spoken:.0f} s, {seconds / (mixed - began):.0f} times faster than real time "
        f"(processor {processor:.0f} s: {2 * seconds / processor:.0f} times on two idle cores), "
        f"peak memory {own.ru_maxrss >> 10} MB and {children.ru_maxrss >> 10} MB in a child, "
        f"{measured.loudness:.1f} LUFS"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.seconds:
        speak_and_mix(arguments.seconds)
        return
    # Each in a process of its own, whose peak memory is its own.
    lines = [
        subprocess.run(
            [sys.executable, __file__, "--seconds", str(seconds)], check=True, capture_output=True, text=True
        ).stdout.strip()
        for seconds in (600.0, arguments.hours * 3600)
    ]
    out = HERE / "out" / "voice.txt"
    out.parent.mkdir(exist_ok=True)
    out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
