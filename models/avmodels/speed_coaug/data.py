"""From a clip to the tensors of a recipe: frames and sound, decoded once for all speeds."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import ColorJitter

from avmodels.data import augment
from avmodels.data.clips import UnreadableError, Video
from avmodels.data.samples import Sample
from avmodels.speed_coaug import speed
from avmodels.speed_coaug.config import Clips, PlayedClips, Pretraining, Recognition, Sound
from avmodels.speed_coaug.sets import Clip
from avmodels.speed_coaug.sound import read_sound

# ImageNet's mean and deviation of pixels in [0, 1].
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMAL = Fraction(1)
Reader = Callable[[Clip], list[Sample]]


class Film:
    """A clip's frames at the short side asked for, and its sound, both from a frame of the clip on.

    Raises UnreadableError, here or when something is taken, for what is missing, broken or has no frame.
    """

    def __init__(self, clip: Clip, how: Clips):
        self._clip, self._how = clip, how
        self._video = Video(clip.path)
        times = self._video.times()[:, 0]
        self._times = times - times[0]
        inside = np.flatnonzero((self._times >= clip.start) & (self._times < clip.end))
        if not len(inside):
            raise UnreadableError(f"{clip.path} has no frame from {clip.start:g} to {clip.end:g} s")
        self._first, self.frames = int(inside[0]), len(inside)
        # About the frame rate asked for, at speed 1.
        self._rate = self._video.frame_rate
        self.stride = max(round(self._rate / how.frame_rate), 1)

    def latest_start(self, fastest: Fraction) -> int:
        """The last frame from which a clip at that speed does not run out; 0 where every one does."""
        return max(self.frames - speed.span(self._how.frames, self.stride, fastest), 0)

    def show(self, start: int, speeds: list[Fraction]) -> list[np.ndarray]:
        """The clip's frames from one of them on, at every speed: (T, H, W, 3) uint8 each."""
        how = self._how
        numbers = [
            self._first + speed.frame_numbers(self.frames, start, how.frames, self.stride, each)
            for each in speeds
        ]
        distinct, at = np.unique(np.stack(numbers), return_inverse=True)
        frames = augment.resize_short(self._video.frames(distinct), how.short)
        return [frames[places] for places in at.reshape(len(speeds), how.frames)]

    def play(self, start: int, speeds: list[Fraction], how: Sound, linearly: bool = False) -> Tensor:
        """The sound around the pictures that `show` gives, at every speed: (speeds, n) float32.

        It is as long as `how.seconds` at any speed, and centred on the pictures of its own.
        """
        shown = Fraction(self._how.frames * self.stride) / Fraction(self._rate)
        early = (how.seconds - shown) / 2
        wide = [(-early * each, speed.sample_count(how.seconds, how.rate, each)) for each in speeds]
        begins = [round(begin * how.rate) for begin, _ in wide]
        first = min(begins)
        count = max(begin + n for begin, (_, n) in zip(begins, wide, strict=True)) - first
        moment = self._times[self._first + start] + first / how.rate
        wave = torch.from_numpy(read_sound(self._clip.path, moment, count, how.rate))
        play = speed.play_linearly if linearly else speed.play
        length = speed.sample_count(how.seconds, how.rate)
        return torch.stack(
            [
                play(wave[begin - first : begin - first + n], each, length)
                for each, begin, (_, n) in zip(speeds, begins, wide, strict=True)
            ]
        )


def draw_speeds(how: PlayedClips) -> list[Fraction]:
    """The speeds of a clip's views."""
    if how.first_is_normal:
        others = [each for each in how.speeds if each != NORMAL or not how.distinct]
        return [NORMAL, *draw(others, how.views - 1, how.distinct)]
    return draw(list(how.speeds), how.views, how.distinct)


def draw(speeds: list[Fraction], count: int, distinct: bool) -> list[Fraction]:
    """Some of the speeds, each as likely as the others."""
    return [speeds[number] for number in np.random.choice(len(speeds), count, replace=not distinct)]


def pretraining_reader(config: Pretraining) -> Reader:
    """Reads a clip as views that begin together: video (V, 3, T, H, W), wave (V, n), and the pictures' speeds (V,)."""
    how = config.data

    def read(clip: Clip) -> list[Sample]:
        film = Film(clip, how)
        seen = draw_speeds(how)
        heard = draw_speeds(how) if how.independent_audio else seen
        start = int(np.random.randint(film.latest_start(max(seen)) + 1))
        wave = film.play(start, heard, config.sound, how.resampling == "linear")
        video = torch.stack([vary(frames, how) for frames in film.show(start, seen)])
        return [{"video": video, "wave": wave, "speed": torch.tensor([float(each) for each in seen])}]

    return read


def pair_reader(config: Pretraining) -> Reader:
    """Reads a video as test clips at speed 1: video (clips, 3, T, H, W) and wave (clips, n)."""

    def read(clip: Clip) -> list[Sample]:
        film = Film(clip, config.data)
        starts = test_starts(film, config.data)
        wave = torch.cat([film.play(start, [NORMAL], config.sound) for start in starts])
        return [{"video": middles(film, starts, config.data), "wave": wave}]

    return read


def silent_reader(how: Clips) -> Reader:
    """Reads a video as test clips at speed 1, without its sound: video (clips, 3, T, H, W)."""

    def read(clip: Clip) -> list[Sample]:
        film = Film(clip, how)
        return [{"video": middles(film, test_starts(film, how), how)}]

    return read


def recognition_reader(config: Recognition, classes: list[str]) -> Reader:
    """Reads one clip of a video from anywhere in it: video (3, T, H, W) and its label."""

    def read(clip: Clip) -> list[Sample]:
        film = Film(clip, config.data)
        start = int(np.random.randint(film.latest_start(NORMAL) + 1))
        (frames,) = film.show(start, [NORMAL])
        return [{"video": vary(frames, config.data), "label": classes.index(clip.label)}]

    return read


def test_starts(film: Film, how: Clips) -> list[int]:
    """Where the test clips of a video begin: evenly through it, and never twice at the same frame."""
    places = np.linspace(0, film.latest_start(NORMAL), how.test_clips + 2)[1:-1]
    return sorted({int(place) for place in places})


def middles(film: Film, starts: list[int], how: Clips) -> Tensor:
    """The middle squares of test clips, (clips, 3, T, side, side)."""
    return torch.stack([middle(film.show(start, [NORMAL])[0], how.side) for start in starts])


def middle(frames: np.ndarray, side: int) -> Tensor:
    """The middle square of frames (T, H, W, 3), normalised: (3, T, side, side)."""
    top, left = ((length - side) // 2 for length in frames.shape[1:3])
    return augment.normalise(frames[:, top : top + side, left : left + side], MEAN, STD)


def vary(frames: np.ndarray, how: Clips) -> Tensor:
    """frames (T, H, W, 3) cut, mirrored and coloured by one draw for all of them: (3, T, side, side)."""
    top, left = (int(np.random.randint(length - how.side + 1)) for length in frames.shape[1:3])
    cut = torch.from_numpy(frames[:, top : top + how.side, left : left + how.side]).permute(0, 3, 1, 2)
    if how.flip:
        cut = augment.random_flip(cut)
    if any(how.jitter):
        cut = ColorJitter(*how.jitter)(cut)
    return augment.normalise(cut.permute(0, 2, 3, 1), MEAN, STD)
