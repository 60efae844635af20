"""Reading films with sound: which moment, which speed, and what cannot be read."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avmodels.data.clips import UnreadableError, Video
from avmodels.data.samples import Samples
from avmodels.errors import ConfigError, DataError
from avmodels.speed_coaug import data, sets, speed
from avmodels.speed_coaug.config import PlayedClips, Pretraining, Sound
from avmodels.speed_coaug.sound import SilentError, read_sound

HOW = PlayedClips(frames=8, short=36, side=32, jitter=(0, 0, 0, 0))
SOUND = Sound(seconds=Fraction(1), rate=8000, n_fft=256, window=200, hop=80, bands=40, high=4000)
# A flash and a beep, both from this second on, for a quarter of a second.
EVENT = 1.5


def ffmpeg(*arguments: str) -> None:
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *arguments], check=True, timeout=60
    )


def film(path: Path, sound: str | None, *options: str, seconds: float = 3.0) -> Path:
    """A film of 64 x 48 pixels, 16 frames a second, that flashes at EVENT, with a sound by ffmpeg's expression."""
    flash = f"color=black:s=64x48:r=16:d={seconds},drawbox=c=white:t=fill:enable='between(t,{EVENT},{EVENT + 0.24})'"
    inputs = ["-f", "lavfi", "-i", flash]
    if sound is not None:
        inputs += ["-f", "lavfi", "-i", f"aevalsrc='{sound}':d={seconds}:s=48000"]
    ffmpeg(*inputs, *options, str(path))
    return path


BEEP = f"if(between(t,{EVENT},{EVENT + 0.25}),0.5*sin(2*PI*440*t),0)"


def begin_of(wave: np.ndarray, rate: int) -> float:
    """When the sound sets in, in seconds."""
    return int(np.flatnonzero(np.abs(wave) > 0.1)[0]) / rate


def pitch_of(wave: np.ndarray, rate: int) -> float:
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)), 65536))
    return int(power.argmax()) * rate / 65536


# --- sound ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ("-c:a", "aac", "-ac", "1", "-ar", "8000"),
        ("-c:a", "aac", "-ac", "2", "-ar", "44100"),
        ("-c:a", "ac3", "-ac", "6", "-ar", "48000"),
        ("-c:a", "pcm_s16le", "-ar", "11127"),
        ("-c:a", "flac", "-ar", "96000"),
        ("-c:a", "libopus"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("start", [0.7, 1.3])
def test_every_form_of_sound_is_read_on_time(tmp_path: Path, options: tuple[str, ...], start: float) -> None:
    path = film(tmp_path / "film.mkv", BEEP, *options)
    wave = read_sound(path, start, 24000, 24000)
    assert wave.shape == (24000,) and wave.dtype == np.float32
    assert begin_of(wave, 24000) == pytest.approx(EVENT - start, abs=0.01)


def test_time_is_told_from_the_first_picture(tmp_path: Path) -> None:
    plain = film(tmp_path / "plain.mp4", BEEP, "-c:a", "aac")
    for suffix in ("mp4", "mkv"):
        late = tmp_path / f"late.{suffix}"  # its picture begins 0.85 s after its sound
        ffmpeg(
            "-i",
            str(plain),
            "-itsoffset",
            "0.85",
            "-i",
            str(plain),
            "-map",
            "1:v",
            "-map",
            "0:a",
            "-c",
            "copy",
            str(late),
        )
        wave = read_sound(late, 0.0, 24000, 24000)
        assert begin_of(wave, 24000) == pytest.approx(EVENT - 0.85, abs=0.01)


def test_there_is_silence_before_and_after_the_sound(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", "0.5*sin(2*PI*440*t)", "-c:a", "pcm_s16le")
    wave = read_sound(path, -0.5, 8 * 8000, 8000)
    heard = np.flatnonzero(np.abs(wave) > 0.01)
    assert heard[0] == pytest.approx(0.5 * 8000, abs=10) and heard[-1] == pytest.approx(3.5 * 8000, abs=20)


def test_no_sound_and_silence_are_told(tmp_path: Path) -> None:
    with pytest.raises(SilentError, match="has no sound"):
        read_sound(film(tmp_path / "mute.mp4", None), 0, 100, 8000)
    with pytest.raises(SilentError, match="is silent from 0.0 to 1.0 s"):
        read_sound(film(tmp_path / "still.mp4", "0", "-c:a", "aac"), 0, 8000, 8000)
    (tmp_path / "text.mp4").write_text("no film")
    for name in ("text.mp4", "missing.mp4"):
        with pytest.raises(UnreadableError, match=name):
            read_sound(tmp_path / name, 0, 100, 8000)


# --- speeds --------------------------------------------------------------------------------------------------


@given(
    st.integers(1, 400),
    st.integers(1, 32),
    st.integers(1, 4),
    st.fractions(Fraction(1, 4), Fraction(4)),
    st.data(),
)
def test_a_clip_stays_in_the_video_and_within_its_span(
    frames: int, length: int, stride: int, value: Fraction, draw: Any
) -> None:
    start = draw.draw(st.integers(0, frames - 1))
    numbers = speed.frame_numbers(frames, start, length, stride, value)
    assert ((numbers >= 0) & (numbers < frames)).all() and numbers[0] == start
    reach = speed.span(length, stride, value)
    if start + reach <= frames:
        assert numbers[-1] - start + 1 == reach and (np.diff(numbers) >= 0).all()


@given(st.fractions(Fraction(1, 4), Fraction(4), max_denominator=8), st.integers(40, 400))
def test_resampling_gives_the_length_and_moves_the_pitch(value: Fraction, hertz: int) -> None:
    source = speed.sample_count(Fraction(1), 8000, value)
    wave = torch.sin(2 * torch.pi * hertz * torch.arange(source) / 8000)
    for method in (speed.play, speed.play_linearly):
        played = method(wave, value, 8000)
        assert played.shape == (8000,)
        assert pitch_of(played.numpy(), 8000) == pytest.approx(hertz * float(value), abs=2)


@pytest.mark.parametrize("value", [Fraction(1), Fraction(2), Fraction(4), Fraction(3, 2), Fraction(1, 2)])
def test_sight_and_sound_stay_together_at_every_speed(tmp_path: Path, value: Fraction) -> None:
    clip = sets.Clip(film(tmp_path / "film.mp4", BEEP, "-c:a", "aac", seconds=6))
    made = data.Film(clip, HOW)
    start = round(16 * (EVENT - 0.2 * float(value)))  # the event comes about 0.2 s into the clip
    (frames,) = made.show(start, [value])
    (wave,) = made.play(start, [value], SOUND)
    assert frames.shape == (8, 36, 48, 3) and wave.shape == (8000,)
    flash = int(np.flatnonzero(frames.mean((1, 2, 3)) > 100)[0]) / 16
    # The second of sound is centred on the half second of pictures.
    assert begin_of(wave.numpy(), 8000) - 0.25 == pytest.approx(flash, abs=0.07)
    assert pitch_of(wave.numpy(), 8000) == pytest.approx(440 * float(value), rel=0.03)


def test_both_views_come_from_one_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = sets.Clip(film(tmp_path / "film.mp4", "0.5*sin(2*PI*440*t)", "-c:a", "aac", seconds=6))
    calls: list[str] = []
    frames, sound = Video.frames, data.read_sound

    def counted_frames(self: Video, numbers: np.ndarray) -> np.ndarray:
        calls.append("frames")
        assert len(np.unique(numbers)) == len(numbers)
        return frames(self, numbers)

    def counted_sound(*arguments: Any) -> np.ndarray:
        calls.append("sound")
        return sound(*arguments)

    monkeypatch.setattr(Video, "frames", counted_frames)
    monkeypatch.setattr(data, "read_sound", counted_sound)
    (sample,) = data.pretraining_reader(config())(clip)
    assert sorted(calls) == ["frames", "sound"]
    assert sample["video"].shape == (2, 3, 8, 32, 32) and sample["wave"].shape == (2, 8000)


def test_a_clip_shorter_than_the_fastest_window_begins_anew(tmp_path: Path) -> None:
    made = data.Film(
        sets.Clip(film(tmp_path / "film.mp4", "0.5*sin(2*PI*440*t)", "-c:a", "aac", seconds=1)), HOW
    )
    assert made.latest_start(Fraction(4)) == 0
    (frames,) = made.show(0, [Fraction(4)])
    (wave,) = made.play(0, [Fraction(4)], SOUND)
    assert np.array_equal(frames[0], frames[4]) and len(frames) == 8
    assert np.abs(wave.numpy()[-2000:]).max() < 1e-3  # the film's second lasts a quarter of one


def config(**changes: Any) -> Pretraining:
    how = HOW.model_copy(update=changes)
    training = {"epochs": 1, "batch": 4}
    return Pretraining.model_validate(
        {
            "recipe": "pretrain",
            "about": "",
            "data": how,
            "sound": SOUND,
            "optimiser": {"lr": 0.001},
            "training": training,
        }
    )


def test_views_are_a_function_of_seed_epoch_and_clip(tmp_path: Path) -> None:
    clip = sets.Clip(film(tmp_path / "film.mp4", "0.5*sin(2*PI*440*t)", "-c:a", "aac", seconds=4))
    read = data.pretraining_reader(config())
    one, other = (Samples([clip], read, seed=3)[2, 0]["samples"][0] for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)
    later = [
        tuple(Samples([clip], read, seed=3)[epoch, 0]["samples"][0]["speed"].tolist()) for epoch in range(12)
    ]
    assert len(set(later)) > 3 and all(first != second for first, second in later)


def test_speeds_are_drawn_alike_and_as_told() -> None:
    np.random.seed(0)
    drawn = [data.draw_speeds(HOW) for _ in range(800)]
    counts = [sum(value in pair for pair in drawn) for value in HOW.speeds]
    assert all(330 < count < 470 for count in counts)  # each in half of the pairs
    normal = [data.draw_speeds(HOW.model_copy(update={"first_is_normal": True})) for _ in range(100)]
    assert all(first == 1 and second != 1 for first, second in normal)
    free = [data.draw_speeds(HOW.model_copy(update={"distinct": False})) for _ in range(100)]
    assert any(first == second for first, second in free)


# --- data sets -----------------------------------------------------------------------------------------------


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_lists_are_read(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("path,label,start,end\na.mp4,cat,,\nb/c.mp4,dog,1.5,4\n")
    assert sets.clips_of(tmp_path, "train") == [
        sets.Clip(tmp_path / "a.mp4", "cat"),
        sets.Clip(tmp_path / "b/c.mp4", "dog", 1.5, 4),
    ]
    (tmp_path / "val.csv").write_text("path\na.mp4\n")
    assert sets.clips_of(tmp_path, "val") == [sets.Clip(tmp_path / "a.mp4")]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("file,label\na.mp4,cat\n", "the header has to be"),
        ("path,start,end\na.mp4,1,2\nb.mp4,5,2\n", "line 3"),
        ("path,start\na.mp4,soon\n", "line 2"),
        ("path\n", "no videos for train"),
    ],
)
def test_a_wrong_list_is_told(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "train.csv").write_text(text)
    with pytest.raises(DataError, match=fault):
        sets.clips_of(tmp_path, "train")


def test_kinetics_is_read_and_cut_to_its_sounding_classes(tmp_path: Path) -> None:
    header = "label,youtube_id,time_start,time_end,split\n"
    (tmp_path / "train.csv").write_text(header + "abseiling,x_-1,4,14,train\ntap dancing,y2,127,137,train\n")
    whole = sets.clips_of(tmp_path, "train")
    assert [clip.path.name for clip in whole] == ["x_-1_000004_000014.mp4", "y2_000127_000137.mp4"]
    assert sets.clips_of(tmp_path, "train", classes="kinetics-sounds") == whole[1:]
    (tmp_path / "mine.txt").write_text("# one class\nabseiling\n")
    assert sets.clips_of(tmp_path, "train", classes=str(tmp_path / "mine.txt")) == whole[:1]
    with pytest.raises(ConfigError, match="cannot be read"):
        sets.clips_of(tmp_path, "train", classes=str(tmp_path / "nowhere.txt"))


def test_ucf101_is_read(tmp_path: Path) -> None:
    touched(tmp_path, "UCF-101/Archery/v_Archery_g01_c01.avi", "UCF-101/Biking/v_Biking_g01_c01.avi")
    splits = tmp_path / "ucfTrainTestlist"
    splits.mkdir()
    (splits / "trainlist02.txt").write_text("Archery/v_Archery_g01_c01.avi 1\n")
    (splits / "testlist02.txt").write_text("Biking/v_Biking_g01_c01.avi\n")
    path = tmp_path / "UCF-101/Biking/v_Biking_g01_c01.avi"
    assert sets.clips_of(tmp_path, "val", split=2) == [sets.Clip(path, "Biking")]
    assert [clip.label for clip in sets.clips_of(tmp_path, "train", split=2)] == ["Archery"]
    assert sets.is_action_set(tmp_path) and sets.has_held_out(tmp_path)


def test_hmdb51_is_read(tmp_path: Path) -> None:
    touched(tmp_path, "brush_hair/a.avi", "cartwheel/b.avi", "splits/brush_hair_test_split1.txt")
    (tmp_path / "splits/brush_hair_test_split1.txt").write_text("a.avi 1 \nunused.avi 0 \nc.avi 2 \n")
    (tmp_path / "splits/cartwheel_test_split1.txt").write_text("b.avi 2 \n")
    train, test = (sets.clips_of(tmp_path, part) for part in ("train", "val"))
    assert train == [sets.Clip(tmp_path / "brush_hair/a.avi", "brush_hair")]
    assert [(clip.path.name, clip.label) for clip in test] == [
        ("c.avi", "brush_hair"),
        ("b.avi", "cartwheel"),
    ]


def test_folders_are_read(tmp_path: Path) -> None:
    touched(tmp_path / "set", "train/cat/a.mp4", "train/dog/b.MKV", "train/cat/notes.txt", "val/cat/c.webm")
    assert [clip.label for clip in sets.clips_of(tmp_path / "set", "train")] == ["cat", "dog"]
    assert [clip.path.name for clip in sets.clips_of(tmp_path / "set", "val")] == ["c.webm"]
    touched(tmp_path / "films", "one.mp4", "below/two.mp4")
    assert len(sets.clips_of(tmp_path / "films", "train")) == 2 and not sets.has_held_out(tmp_path / "films")
    with pytest.raises(DataError, match="no folder"):
        sets.clips_of(tmp_path / "nowhere", "train")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no videos for train"):
        sets.clips_of(tmp_path / "empty", "train")
