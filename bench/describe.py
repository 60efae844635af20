"""How long describe takes and how much memory, as ratios against its peers in the same run.

    uv run python bench/describe.py                    speed
    uv run python bench/describe.py --memory           peak memory of 10 and 60 minutes as well (slow)

Two films of 720p: the example film, looped, in which little is said, and the same pictures with people talking
(the Piper voice) for most of their length. The peers: a bare PyAV decode of the same file, one decord pass with
full RGB, and whisperx alone with the same model and threads. Stages are told in CPU seconds, since they run side by
side. Writes bench/out/describe.{txt,png}.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from pathlib import Path

import numpy as np

RATE = 16_000
HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "the-quiet-street.mp4"
CAST = HERE.parent / "examples" / "cast.json"
OUT = HERE / "out"

TALK = (
    "I walked down to the harbour this morning, before the shops had opened.",
    "Did you meet anybody on the way, or was it as empty as it always is?",
    "Only the man who sells the papers. He asked how long we are going to stay.",
    "And what did you tell him? We have hardly unpacked the boxes in the kitchen.",
    "I said that nobody knows. Perhaps until the summer, perhaps for good.",
    "My mother wrote again. She wants us to visit before the end of the month.",
    "Then let us take the early train on Friday, and come back on Sunday night.",
    "There is coffee on the stove. Would you bring the cups from the other room?",
)
BREATHS = (0.5, 1.5, 0.7, 2.5)  # seconds between two lines


def looped(seconds: float, folder: Path) -> Path:
    """The example film again and again, `seconds` long."""
    import imageio_ffmpeg

    film = folder / f"{seconds:.0f}s.mp4"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-stream_loop", "-1", "-i", str(EXAMPLE),
        "-t", str(seconds), "-c", "copy", str(film),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return film


def talkative(film: Path, seconds: float, folder: Path) -> Path:
    """`film` with people talking instead of its sound."""
    import imageio_ffmpeg
    from piper import PiperVoice
    from scipy.io import wavfile

    from avtool.weights import where

    voice = PiperVoice.load(where("piper-en-us-joe"))
    lines = [np.concatenate([chunk.audio_int16_array for chunk in voice.synthesize(line)]) for line in TALK]
    rate = voice.config.sample_rate
    sound = [
        part
        for line, breath in zip(lines, cycle(BREATHS), strict=False)
        for part in (line, np.zeros(round(breath * rate), np.int16))
    ]
    talk = np.resize(np.concatenate(sound), round(seconds * rate))
    wavfile.write(folder / "talk.wav", rate, talk)
    made = folder / "talk.mp4"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(film), "-i", str(folder / "talk.wav"),
        "-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac", str(made),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return made


def timed(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def bare_decode(film: Path) -> None:
    import av

    with av.open(str(film)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass


def decord_pass(film: Path) -> None:
    import decord

    reader = decord.VideoReader(str(film))
    for number in range(len(reader)):
        reader[number].asnumpy()


def reading(film: Path) -> None:
    """The one pass with every perceiver's rates and sizes, but nobody looking."""
    from avtool.media import frames
    from avtool.media.probe import probe
    from avtool.senses import watchers

    class Blind:
        def __init__(self, perceiver) -> None:
            self.fps, self.size, self.gray = perceiver.fps, perceiver.size, perceiver.gray

        def see(self, times, frames) -> None:
            pass

        def finish(self) -> None:
            pass

    source = probe(film)
    frames.show(source, [Blind(perceiver) for perceiver in watchers(source).values()])


def heard(film: Path) -> None:
    """What describe does for speech."""
    from avtool.media.probe import probe
    from avtool.perceive.speech import listen

    listen(probe(film))


def transcription(film: Path, beam: int) -> None:
    """whisperx alone, with the embedded Whisper and Silero instead of what it would fetch."""
    import torch
    import whisperx
    from silero_vad import get_speech_timestamps, load_silero_vad
    from whisperx.diarize import Segment
    from whisperx.vads import Silero

    from avtool.media import audio
    from avtool.media.probe import probe
    from avtool.weights import where

    class Embedded(Silero):
        def __init__(self) -> None:
            self.model = load_silero_vad(onnx=True)

        def __call__(self, sound, **_):
            voiced = get_speech_timestamps(torch.as_tensor(sound["waveform"]), self.model)
            return [Segment(span["start"] / RATE, span["end"] / RATE, "UNKNOWN") for span in voiced]

    samples = np.concatenate([block for _, block in audio.blocks(probe(film))])
    model = whisperx.load_model(
        str(where("whisper-tiny-en").parent), "cpu", compute_type="int8", language="en", vad_model=Embedded(),
        asr_options={"beam_size": beam}, threads=os.cpu_count() or 1,
    )  # fmt: skip
    model.transcribe(samples, batch_size=4)


@contextmanager
def stopwatches() -> Iterator[dict[str, float]]:
    """CPU seconds spent inside each stage of describe while the block runs; each keeps to one thread but Whisper."""
    from avtool import gaps, schedule
    from avtool.narrate import facts, style
    from avtool.perceive import actions, characters, look, people, shots, tags, text

    seconds: dict[str, float] = defaultdict(float)
    watched = [
        (shots.Shots, "see", "shots"), (shots.Shots, "finish", "shots"), (look.Looks, "see", "looks"),
        (people.People, "see", "people"), (people.People, "finish", "people"), (people.People, "people", "people"),
        (tags.Tags, "see", "tags"), (text.Texts, "see", "text"), (text.Texts, "texts", "text"),
        (gaps, "find", "gaps"), (characters, "bank", "characters"),
        (characters, "recognise", "characters"), (actions, "act", "actions"), (facts, "candidates", "narration"),
        (schedule, "plan", "schedule"), (style, "check", "rules"),
    ]  # fmt: skip
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in watched]

    def watch(stage: str, function: Callable) -> Callable:
        def wrapped(*args, **kwargs):
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[stage] += time.thread_time() - began

        return wrapped

    for owner, name, stage in watched:
        setattr(owner, name, watch(stage, getattr(owner, name)))
    try:
        yield seconds
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def command(*arguments: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of one avtool command as a process of its own."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "avtool", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"avtool {' '.join(arguments)} ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def speed(seconds: float, folder: Path) -> tuple[list[str], dict[str, float]]:
    """The lines of the report, and the CPU seconds of each stage on the film with little speech."""
    film = looped(seconds, folder)
    for warm in (bare_decode, reading, heard):
        warm(film)
    decode = min(timed(lambda: bare_decode(film)) for _ in range(3))
    read = min(timed(lambda: reading(film)) for _ in range(3))
    decord = timed(lambda: decord_pass(film))
    lines = [
        f"{seconds:.0f} s of 720p, {os.cpu_count()} cores",
        f"reading / bare PyAV decode      {read / decode:7.2f}     ({read:.2f} s / {decode:.2f} s)",
        f"decord pass / bare PyAV decode  {decord / decode:7.2f}     ({decord:.2f} s)",
    ]
    stages: dict[str, float] = {}
    for name, one in (
        ("with people talking", talkative(film, seconds, folder)),
        ("with little speech", film),
    ):
        told, stages = whole(name, one, seconds, folder / name)
        lines += ["", *told]
    return lines, stages


def whole(name: str, film: Path, seconds: float, folder: Path) -> tuple[list[str], dict[str, float]]:
    """As `speed`, of one film."""
    import avtool

    alone = {beam: min(timed(partial(transcription, film, beam)) for _ in range(2)) for beam in (1, 5)}
    began = time.process_time()
    heard(film)
    hearing = time.process_time() - began
    began = time.process_time()
    with stopwatches() as stages:
        took = timed(lambda: avtool.describe(film, CAST, work=folder / "work"))
    used = time.process_time() - began
    work = ["--work", str(folder / "work"), "--cast", str(CAST), "-o", f"{folder}/"]
    again = command("describe", str(film), *work)[0]
    start = min(command("--help")[0] for _ in range(3))
    stages = dict(sorted((stages | {"speech": hearing}).items(), key=lambda item: -item[1]))
    stages["reading and the rest"] = max(0.0, used - sum(stages.values()))
    lines = [
        f"the film {name}",
        f"describe                        {took:7.2f} s   {seconds / took:.1f}x real time, {used:.1f} s of CPU",
        *(
            f"describe / whisperx, beam of {beam}  {took / other:7.2f}     ({other:.2f} s)"
            for beam, other in alone.items()
        ),
        f"second run, nothing changed     {again - start:7.2f} s   after start-up ({start:.2f} s, --help)",
        *(f"  {stage:<22}{cpu:8.2f} s {cpu / used:6.1%}" for stage, cpu in stages.items()),
    ]
    return lines, stages


def memory(folder: Path) -> list[str]:
    lines = []
    peaks = []
    for minutes in (10, 60):
        film = looped(60 * minutes, folder)
        used, peak = command("describe", str(film), "--cast", str(CAST), "-o", f"{folder}/", "--force",
                             "--work", str(folder / f"work-{minutes}"))  # fmt: skip
        peaks.append(peak)
        lines.append(f"{minutes} minutes: peak {peak:.0f} MB, {60 * minutes / used:.1f}x real time")
    lines.append(f"60 minutes take {peaks[1] - peaks[0]:.0f} MB more than 10")
    return lines


def picture(stages: dict[str, float], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 0.4 * len(stages) + 1.2), layout="constrained")
    bars = axes.barh(list(stages), list(stages.values()), color="#3b6ea5")
    axes.bar_label(bars, fmt="%.1f s", padding=3)
    axes.invert_yaxis()
    axes.set_xlabel("CPU seconds")
    axes.set_title("Where describe spends its time")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(file, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=112, help="length of the film for speed")
    parser.add_argument("--memory", action="store_true", help="measure 10 and 60 minutes too")
    options = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        lines, stages = speed(options.seconds, Path(folder))
        if options.memory:
            lines += ["", *memory(Path(folder))]
    picture(stages, OUT / "describe.png")
    report = "\n".join(lines)
    (OUT / "describe.txt").write_text(report + "\n")
    print(report)


if __name__ == "__main__":
    main()
