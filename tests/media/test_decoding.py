"""Where decoding sets in, and when it stops to believe."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from avtool.media.decoding import watch
from avtool.media.probe import probe
from avtool.timeline import SECOND
from tests.media import clips
from tests.media.clips import FRAME, X264


def test_watching_sets_in_at_the_key_frame_before(folder: Path) -> None:
    film = probe(clips.write(folder / "long.mp4", clips.picture(10), **X264))  # a key frame every 12
    with closing(watch(film, 8 * SECOND, [])) as frames:
        assert 8 * SECOND - 24 * FRAME <= next(frames)[0] <= 8 * SECOND


def test_after_a_fault_no_old_picture_is_taken_for_a_new_one(folder: Path) -> None:
    """Decoders fill holes with what they have, times going on: every frame believed must carry its own number."""
    whole = clips.write(folder / "long.ts", clips.picture(10), **X264)
    for tenth in range(1, 9):
        hurt = clips.damage(folder / "hurt.ts", whole, tenth / 10, tenth / 10 + 0.05)
        film = probe(hurt)
        with closing(watch(film, 0, [])) as frames:
            shown = [(time, frame.to_ndarray(format="gray")) for time, frame in frames]
        assert len(shown) > 150
        assert all(clips.number(frame) == round(time / FRAME) % 256 for time, frame in shown)
