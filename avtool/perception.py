"""What is perceived in one film: each sense on demand, none twice, all of sight in one decoding pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avtool import __version__, ledger, networks
from avtool.errors import UsageError
from avtool.senses import HEARING, READS, SIGHT, watchers, with_needs
from avtool.timeline import (
    Action,
    Attribute,
    Film,
    Gap,
    Look,
    Shot,
    Sighting,
    Sound,
    Span,
    Speech,
    Tag,
    Text,
    clock,
)
from avtool.weights import index
from avtool.workspace import Workspace, key, replacing

if TYPE_CHECKING:
    from avmodels.uni_ad.frames import Extractor
    from avtool.cast import Cast
    from avtool.media.probe import Probe
    from avtool.narrate.narrators import Narrator
    from avtool.perceive.characters import Bank
    from avtool.perceive.frames import Features
    from avtool.perceive.people import Crowd
    from avtool.settings import Settings

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]  # (stage, done, total), microseconds of the film


class Perception:
    """A film's senses over its workspace. Reading an attribute computes what it needs and has not got.

    Call `see` first with every sense of sight that will be wanted: they then share one decoding pass.
    """

    def __init__(
        self,
        film: Probe,
        work: Workspace,
        settings: Settings,
        *,
        cast: Cast | None = None,
        span: Span | None = None,
        audio_track: int | None = None,
        subtitles: Path | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.source = film
        self.work = work
        self.settings = settings
        self.cast = cast
        self.span = span or film.span
        self._audio_track = audio_track
        self._subtitles = subtitles
        self.progress = progress
        self._stopping = False  # what goes on beside the main thread is to end

    def key(self, stage: str, *parts: Any) -> str:
        """The key of a stage's file: the film, the part looked at, what made it and what it reads."""
        return key(__version__, self.source.digest, self.span.start, self.span.end, stage, *parts)

    def taking(self, stage: str) -> AbstractContextManager[None]:
        """Notes what the block takes, in the film's workspace."""
        return ledger.taking(self.work.folder, self.source.path, stage, self.span.seconds)

    @cached_property
    def narrator(self) -> Narrator:
        """Who tells of the film. Raises UsageError, MissingError."""
        from avtool.narrate import narrators

        return narrators.choose(self.settings)

    @cached_property
    def extractor(self) -> Extractor | None:
        """What makes the features of frames that the narrator reads, or characters are known by."""
        if self.narrator.extractor or self.cast is None or self.settings.characters == "face":
            return self.narrator.extractor
        from avtool.perceive import exemplars

        return exemplars.clip(self.settings)

    @property
    def sight(self) -> tuple[str, ...]:
        """The senses that watch the picture; "frames" are a network's features of them, where one is to read them."""
        return (*SIGHT, "frames") if self.extractor else tuple(SIGHT)

    def _sight_key(self, sense: str) -> str:
        if sense == "frames":
            made_by = self.extractor
            assert made_by is not None
            return self.key(sense, made_by.sees, made_by.shape, made_by.digest)
        weights = [index()[name].sha256 for name in SIGHT[sense]]
        return self.key(sense, weights, [self._sight_key(other) for other in READS[sense]])

    def _has(self, sense: str) -> bool:
        return self.work.has(sense, self._sight_key(sense))

    def see(self, *senses: str) -> None:
        """Watch the film once with every one of `senses` whose records are not there yet."""
        missing = [sense for sense in with_needs(senses) if not self._has(sense)]
        if not missing:
            return
        from avtool import cores
        from avtool.media import frames

        watching = {sense: watcher for sense, watcher in watchers(self.source).items() if sense in missing}
        with ExitStack() as files, cores.shared(), self.taking("sight"):
            if "frames" in missing:
                watching["frames"] = self._features_to(files.enter_context(replacing(self._features_file())))
            damaged = frames.show(
                self.source, list(watching.values()), span=self.span, progress=self.report("watching")
            )
            for perceiver in watching.values():
                perceiver.finish()
        for span in damaged:
            log.warning(
                "%s: the picture cannot be decoded from %s to %s; nothing is said of it",
                self.source.path.name,
                clock(span.start),
                clock(span.end),
            )

        shots = watching["shots"].shots(self.span) if "shots" in watching else self.shots
        crowd: Crowd | None = None
        if "people" in watching:
            crowd = watching["people"].people(shots)
        for sense in missing:
            match sense:
                case "shots":
                    records: list[Any] = shots
                case "looks":
                    people = crowd or self.crowd
                    records = watching[sense].looks(shots, people.tracks, people.faces)
                case "people":
                    assert crowd is not None
                    self.work.discard("people")  # no header may vouch for another run's arrays
                    crowd.save(self.work.file("people", ".npz"))
                    records = crowd.tracks
                case "tags":
                    records = watching[sense].tags(shots)
                case "frames":
                    records = []
                case _:
                    records = watching[sense].texts(shots, self.span)
            self.work.save(sense, self._sight_key(sense), records, weights=SIGHT.get(sense, ()))

    def _features_file(self) -> Path:
        self.work.discard("frames")  # no header may vouch for another run's features
        return self.work.file("frames", ".h5")

    def _features_to(self, path: Path) -> Any:
        from avtool.perceive.frames import Frames

        assert self.extractor is not None
        return Frames(self.source.picture.height, self.source.picture.width, self.extractor, path)

    @cached_property
    def features(self) -> Features:
        """What the extractor makes of the frames."""
        from avtool.perceive import frames

        self.see("frames")
        return frames.read(self.work.file("frames", ".h5"))

    def _records(self, sense: str, record: type) -> list[Any]:
        self.see(sense)
        records = self.work.load(sense, self._sight_key(sense), record)
        assert records is not None, f"{sense} was just computed"
        return records

    @cached_property
    def shots(self) -> list[Shot]:
        return self._records("shots", Shot)

    @cached_property
    def looks(self) -> list[Look]:
        return self._records("looks", Look)

    @cached_property
    def tags(self) -> list[Tag]:
        return self._records("tags", Tag)

    @cached_property
    def texts(self) -> list[Text]:
        return self._records("texts", Text)

    @cached_property
    def crowd(self) -> Crowd:
        from avtool.perceive.tracks import Crowd  # without a network: what was seen before is read at once

        self.see("people")
        return Crowd.load(self.work.file("people", ".npz"))

    def _speech_key(self) -> str:
        weights = [index()[name].sha256 for name in HEARING]
        subtitles = sha256(self._subtitles.read_bytes()).hexdigest() if self._subtitles else None
        return self.key("speech", weights, self._audio_track, subtitles)

    @cached_property
    def speech(self) -> list[Speech]:
        stage_key = self._speech_key()
        found = self.work.load("speech", stage_key, Speech)
        if found is None:
            from avtool.perceive.speech import listen

            with self.taking("hearing"):
                found = listen(
                    self.source,
                    audio_track=self._audio_track,
                    subtitles=self._subtitles,
                    span=self.span,
                    progress=self.report("listening"),
                )
            self.work.save("speech", stage_key, found, weights=HEARING)
        return found

    @cached_property
    def gaps(self) -> list[Gap]:
        from avtool import gaps

        return gaps.find(self.speech, self.span, self.settings)

    @cached_property
    def sightings(self) -> list[Sighting]:
        if self.cast is None:
            return []
        found = self.work.load("characters", self._characters_key(), Sighting)
        if found is None:
            with self.taking("characters"):
                found = self._recognised(self.cast)
            self.work.save("characters", self._characters_key(), found)
        return found

    def _recognised(self, cast: Cast) -> list[Sighting]:
        """Who is where, by what the settings tell to know characters by."""
        from avtool.perceive import characters

        how = self.settings.characters
        if how != "clip":
            found = characters.recognise(self.crowd, self.bank, self.settings)
        else:
            found = characters.unread(self.crowd)
        if how != "face":
            from avtool.perceive import exemplars

            assert self.extractor is not None
            whole = exemplars.recognise(self.features, cast, self.extractor, self.shots, self.settings)
            found = exemplars.joined(found, whole, how == "both")
        return found

    def _characters_key(self) -> str:
        from avtool.cast import digest

        how = self.settings.characters
        settings = self.settings.name_confidence, self.settings.name_margin, how
        reads = [self._sight_key(sense) for sense in (("people",) if how == "face" else ("people", "frames"))]
        return self.key("characters", reads, self.cast and digest(self.cast), settings)

    @cached_property
    def bank(self) -> Bank:
        """The faces of the cast. Raises UsageError for a portrait that does not show one face."""
        from avtool.perceive import characters

        assert self.cast is not None
        return characters.bank(self.cast)

    @cached_property
    def actions(self) -> list[Action]:
        found = self.work.load("actions", self._actions_key(), Action)
        if found is None:
            from avtool.perceive.actions import act

            crowd, shots, speech = self.crowd, self.shots, self.speech if self.source.audio else None
            with self.taking("actions"):
                found = [*act(crowd, shots, speech), *networks.actions(self)]
                found.sort(key=lambda action: (action.span, action.track, action.verb))
            self.work.save("actions", self._actions_key(), found)
        return found

    def _actions_key(self) -> str:
        senses = self._sight_key("people"), self._speech_key()
        return self.key("actions", *senses, networks.made_by("actions"))

    @cached_property
    def attributes(self) -> list[Attribute]:
        """What is told of things; nothing without the weights of a network that tells it."""
        made_by = networks.made_by("attributes")
        if not made_by:
            return []
        stage_key = self.key("attributes", self._sight_key("people"), made_by)
        found = self.work.load("attributes", stage_key, Attribute)
        if found is None:
            _ = self.crowd
            with self.taking("attributes"):
                found = networks.attributes(self)
            self.work.save("attributes", stage_key, found)
        return found

    @cached_property
    def sounds(self) -> list[Sound]:
        """The sounds whose source is surely seen, or not; none without trained weights."""
        return networks.sounds(self) if self.source.audio else []

    def script_key(self) -> str:
        """The key of what is told: everything that perception and narration stand on."""
        senses = [self._sight_key(sense) for sense in self.sight]
        characters = self._characters_key() if self.cast else None
        added = [networks.made_by(stage) for stage in ("actions", "attributes", "sounds")]
        told_by = self.narrator.weights, self.settings.model_dump()
        return self.key("script", senses, self._speech_key(), characters, added, told_by)

    def film(self) -> Film:
        """Everything, for the narrator. What the user gave is read before the long work, and a bad cast told."""
        _ = self.narrator
        by_face = self.cast is not None and self.settings.characters != "clip"
        if by_face and not self.work.has("characters", self._characters_key()):
            _ = self.bank
        self._watch_and_listen()
        return Film(
            path=self.source.path,
            span=self.span,
            shots=self.shots,
            looks=self.looks,
            speech=self.speech,
            gaps=self.gaps,
            tracks=self.crowd.tracks,
            sightings=self.sightings,
            actions=self.actions,
            things=self.crowd.things,
            attributes=self.attributes,
            tags=self.tags,
            texts=self.texts,
            sounds=self.sounds,
        )

    @property
    def weights(self) -> set[str]:
        """The names of the weights that a full look and listen stand on."""
        return {*HEARING, *(name for names in SIGHT.values() for name in names)}

    def _watch_and_listen(self) -> None:
        """Both at a time: neither keeps every core busy by itself."""
        _ = self.source.picture
        if all(done for stage, done in self.stages() if stage in ("speech", *self.sight)):
            return
        # Two threads must not import one package at the same time: it may be seen half made.
        for package in ("faster_whisper", "scipy.ndimage", "scipy.optimize", "scipy.signal"):
            import_module(package)
        for sense in ("look", "people", "shots", "speech", "tags", "text"):
            import_module(f"avtool.perceive.{sense}")
        with ThreadPoolExecutor(1, "listening") as ears:
            heard = ears.submit(lambda: self.speech)
            try:
                self.see(*self.sight)
            except BaseException:
                self._stopping = True
                raise
            heard.result()

    def stages(self) -> list[tuple[str, bool]]:
        """Every stage, and whether its records are there already."""
        done = [("speech", self.work.has("speech", self._speech_key()))]
        done += [(sense, self._has(sense)) for sense in self.sight]
        if self.cast is not None:
            done.append(("characters", self.work.has("characters", self._characters_key())))
        return [*done, ("actions", self.work.has("actions", self._actions_key()))]

    def report(self, stage: str) -> Callable[[int], None]:
        """Tells who asked for progress how many microseconds of this stage are `done`."""

        def report(done: int) -> None:
            if self._stopping:
                raise KeyboardInterrupt
            if self.progress is not None:
                self.progress(stage, min(done, self.span.duration), self.span.duration)

        return report


def open_film(
    movie: str | Path,
    cast: str | Path | None = None,
    *,
    settings: Settings | None = None,
    subtitles: str | Path | None = None,
    audio_track: int | None = None,
    start: int | None = None,
    end: int | None = None,
    work: str | Path | None = None,
    force: bool = False,
    allow_outside: bool = False,
    progress: Progress | None = None,
) -> Perception:
    """The senses of `movie`, nothing perceived yet. Arguments and errors as for `avtool.describe`."""
    from avtool import cast as casts
    from avtool.media import audio
    from avtool.media.probe import probe
    from avtool.settings import Settings
    from avtool.workspace import workspace

    film = probe(movie)
    start, end = start or 0, film.span.end if end is None else min(end, film.span.end)
    if end <= start:
        raise UsageError(
            f"nothing to look at from {clock(start)} to {clock(end)}: {film.path.name} "
            f"ends at {clock(film.span.end)}"
        )
    if subtitles is not None:
        from avtool.tracks.subtitles import read

        read(Path(subtitles))
    if audio_track is not None:
        audio.choose(film, audio_track)
    return Perception(
        film,
        workspace(film.digest, work, force),
        settings or Settings(),
        cast=casts.load(cast, allow_outside) if cast else None,
        span=Span(start, end),
        audio_track=audio_track,
        subtitles=Path(subtitles) if subtitles else None,
        progress=progress,
    )
