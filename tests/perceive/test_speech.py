"""What must not be covered is found in whole films: dialogue, songs, a show that never pauses."""

import json
import logging
import socket
from itertools import pairwise
from pathlib import Path

import ffmpeg
import numpy as np
import pytest

from avtool import gaps
from avtool.errors import MissingError, UsageError
from avtool.media import audio
from avtool.media.probe import Probe, probe
from avtool.perceive.speech import listen
from avtool.settings import Settings
from avtool.timeline import SECOND, Span, Speech, complement, merge
from tests.media import clips
from tests.perceive import sounds

TRUTH = json.loads((Path(__file__).parents[1] / "truth" / "music_vocals.json").read_text())
PAUSES = (0.6, 1.5, 3.0, 5.0)


def shared(a: list[Span], b: list[Span]) -> int:
    return sum(x.overlap(y) for x in a for y in b)


def total(spans: list[Span]) -> int:
    return sum(span.duration for span in spans)


def mixed(tmp_path: Path, kind: str, decibels: float) -> tuple[Probe, list[Span]]:
    """A film of dialogue over noise of `kind`, `decibels` below it."""
    spoken, truth = sounds.dialogue(PAUSES)
    noise = sounds.noise(kind, len(spoken)) * sounds.SPEECH * 10 ** (-decibels / 20)
    return sounds.film(tmp_path / "film.wav", spoken + noise), truth


def usable(film: Probe, speech: list[Speech]) -> list[Span]:
    return [gap.usable for gap in gaps.find(speech, film.span, Settings())]


@pytest.fixture(scope="module")
def music() -> tuple[Probe, list[Speech]]:
    film = probe(sounds.music_video())
    return film, listen(film)


def test_sung_lines_are_protected_and_the_intro_is_free(music: tuple[Probe, list[Speech]]) -> None:
    film, speech = music
    sung = [Span(*pair) for pair in TRUTH["sung"]]
    assert shared(sung, [heard.span for heard in speech]) >= 0.95 * total(sung)
    assert {heard.kind for heard in speech} == {"song"}
    assert shared([Span(*TRUTH["instrumental"])], usable(film, speech)) >= 17 * SECOND


def test_speech_of_a_long_film_is_in_order_and_never_overlaps(music: tuple[Probe, list[Speech]]) -> None:
    film, speech = music
    assert all(a.span.end <= b.span.start for a, b in pairwise(speech))
    assert all(heard.span.overlap(film.span) == heard.span.duration > 0 for heard in speech)


@pytest.mark.parametrize("kind", ["street", "white", "engine"])
def test_dialogue_is_found_and_noisy_pauses_stay_usable(tmp_path: Path, kind: str) -> None:
    film, truth = mixed(tmp_path, kind, decibels=10)
    speech = listen(film)
    found = [heard.span for heard in speech]
    assert shared(found, truth) >= 0.95 * total(truth)
    long = [Span(a.end, b.start) for a, b in pairwise(truth) if b.start - a.end > 2.5 * SECOND]
    assert shared(long, usable(film, speech)) >= 0.6 * total(long)
    assert {heard.kind for heard in speech} == {"dialogue"}


def test_dialogue_has_its_words(tmp_path: Path) -> None:
    spoken, truth = sounds.dialogue(PAUSES)
    speech = listen(sounds.film(tmp_path / "film.wav", spoken))
    said = (
        " ".join(sounds.TEXTS)
        .lower()
        .replace(",", "")
        .replace(".", "")
        .replace("?", "")
        .replace("!", "")
        .split()
    )
    heard = " ".join(part.text for part in speech).lower()
    assert sum(word in heard for word in said) >= 0.9 * len(said)
    for part in speech:
        assert part.sources == ("vad", "asr")
        assert part.text == " ".join(word.text for word in part.words)
        assert part.language == "en"
    assert len(speech) >= len(truth)


def show(tmp_path: Path, decibels: float) -> Probe:
    """Somebody rhymes over a band; the audience claps all the while."""
    spoken, _ = sounds.dialogue((0.5, 1.4, 2.5, 3.5))
    intro = Span(2 * SECOND, 17 * SECOND)
    band = np.concatenate([block for _, block in audio.blocks(probe(sounds.music_video()), span=intro)])
    band = np.resize(band / band.std(), len(spoken))
    clapping = sounds.noise("applause", len(spoken))
    level = sounds.SPEECH * 10 ** (-decibels / 20)
    return sounds.film(
        tmp_path / "show.wav", spoken + level * (0.8 * band + 0.6 * clapping).astype(np.float32)
    )


@pytest.mark.parametrize("decibels", [pytest.param(3, marks=pytest.mark.slow), 8])
def test_a_show_that_never_pauses_has_no_gap(tmp_path: Path, decibels: float) -> None:
    film = show(tmp_path, decibels)
    assert usable(film, listen(film)) == []


def test_a_crowd_that_answers_is_protected(tmp_path: Path) -> None:
    spoken, truth = sounds.dialogue((5.0,))
    answer = Span(truth[3].end + SECOND // 2, truth[3].end + 4 * SECOND)
    first, last = (time * sounds.RATE // SECOND for time in (answer.start, answer.end))
    spoken[first:last] += sounds.noise("applause", last - first) * sounds.SPEECH
    film = sounds.film(tmp_path / "film.wav", spoken)
    speech = listen(film)
    assert not shared([answer.grow(-SECOND // 4, -SECOND // 4)], usable(film, speech))
    quiet = [Span(a.end, b.start) for a, b in pairwise(truth) if a != truth[3]]
    assert all(shared([pause], usable(film, speech)) > 3 * SECOND for pause in quiet)


@pytest.mark.parametrize("kind", ["white", "wind", "street"])
def test_noise_alone_is_one_gap(tmp_path: Path, kind: str) -> None:
    film = sounds.film(tmp_path / "film.wav", sounds.noise(kind, 40 * sounds.RATE) * 0.1)
    assert listen(film) == []


def test_a_film_without_sound_has_no_speech(silent: Path) -> None:
    assert listen(probe(silent)) == []


def test_a_foreign_track_is_heard_but_not_read(tmp_path: Path) -> None:
    spoken, truth = sounds.dialogue(PAUSES)
    wave = sounds.film(tmp_path / "film.wav", spoken).path
    path = clips.write(tmp_path / "film.mka", ffmpeg.input(str(wave)), **{"metadata:s:a:0": "language=fra"})
    speech = listen(probe(path))
    assert shared([heard.span for heard in speech], truth) >= 0.95 * total(truth)
    assert {(heard.text, heard.words, heard.language) for heard in speech} == {("", (), "fra")}


def test_subtitles_of_a_film_without_sound_are_its_speech(silent: Path, tmp_path: Path) -> None:
    subtitles = tmp_path / "film.srt"
    subtitles.write_text("1\n00:00:00,500 --> 00:00:01,500\nWhere are you?\n", encoding="utf-8")
    (speech,) = listen(probe(silent), subtitles=subtitles)
    assert (speech.text, speech.span) == ("Where are you?", Span(SECOND // 2, 3 * SECOND // 2))


def test_shifted_subtitles_are_heard_in_place(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoken, truth = sounds.dialogue(PAUSES)
    subtitles = tmp_path / "film.srt"
    cues = zip(truth, sounds.TEXTS, strict=True)
    subtitles.write_text(
        "\n\n".join(
            f"{n}\n{at(cue.start)} --> {at(cue.end)}\n{text}" for n, (cue, text) in enumerate(cues, 1)
        ),
        encoding="utf-8",
    )
    with caplog.at_level(logging.WARNING, logger="avtool"):
        speech = listen(sounds.film(tmp_path / "film.wav", spoken), subtitles=subtitles)
    assert "2.0 s late" in caplog.text
    for line, text in zip(truth, sounds.TEXTS, strict=True):
        assert any(part.span.overlap(line) and text in part.text for part in speech)


def at(time: int) -> str:
    """An SRT time two seconds after `time`."""
    seconds, milliseconds = divmod((time + 2 * SECOND) // 1000, 1000)
    return f"00:{seconds // 60:02}:{seconds % 60:02},{milliseconds:03}"


def test_a_part_of_a_film_is_heard_on_the_films_clock(tmp_path: Path) -> None:
    spoken, truth = sounds.dialogue(PAUSES)
    film = sounds.film(tmp_path / "film.wav", spoken)
    part = Span(truth[2].start - SECOND, truth[4].end + SECOND // 2)
    done: list[int] = []
    found = [heard.span for heard in listen(film, span=part, progress=done.append)]
    inside = truth[2:5]
    assert shared(found, inside) >= 0.95 * total(inside)
    assert all(span.overlap(part) == span.duration for span in found)
    assert done[-1] == pytest.approx(part.duration, abs=1000)


@pytest.mark.slow
def test_the_same_is_heard_every_time(tmp_path: Path) -> None:
    film = show(tmp_path, decibels=8)
    assert listen(film) == listen(film)


@pytest.mark.slow
def test_reels_lose_nothing_at_their_seams(tmp_path: Path) -> None:
    spoken, truth = sounds.dialogue(PAUSES)
    times = 9  # five minutes and a half, three reels
    film = sounds.film(tmp_path / "film.wav", np.tile(spoken, times))
    whole = len(spoken) * SECOND // sounds.RATE
    everywhere = [Span(line.start + n * whole, line.end + n * whole) for n in range(times) for line in truth]
    found = merge(heard.span for heard in listen(film))
    assert shared(found, everywhere) >= 0.95 * total(everywhere)
    free = complement(found, film.span)
    assert all(any((a.end + b.start) // 2 in pause for pause in free) for a, b in pairwise(everywhere))


def test_no_socket_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    film, _ = mixed(tmp_path, "white", decibels=20)
    assert listen(film)


def test_an_audio_track_that_is_not_there(tmp_path: Path) -> None:
    film, _ = mixed(tmp_path, "white", decibels=20)
    with pytest.raises(UsageError, match="no audio track 3"):
        listen(film, audio_track=3)


def test_a_missing_weight_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from avtool import weights
    from avtool.perceive import voice_activity

    entries = dict(weights.index())
    entries["silero-vad"] = weights.Weight(
        **{
            **{field: getattr(entries["silero-vad"], field) for field in weights.Weight.__slots__},
            "module": "not_there",
        }
    )
    monkeypatch.setattr(weights, "index", lambda: entries)
    voice_activity._session.cache_clear()
    film, _ = mixed(tmp_path, "white", decibels=20)
    with pytest.raises(MissingError, match="silero-vad"):
        listen(film)


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    """Two seconds of picture without sound."""
    return clips.write(tmp_path / "silent.mp4", clips.picture(), **clips.X264)
