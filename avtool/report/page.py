"""The report: one HTML page that needs nothing else, made to be read with eyes, ears or fingers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from PIL import Image

from avtool.media.probe import Probe
from avtool.report import strip
from avtool.timeline import Description, Sighting, Span, Track, clock
from avtool.tracks import files
from avtool.tracks.script import Script

FRAME = 180  # pixels: height of the frame beside a description
FACE = 96  # pixels: a face's height and width
FACES = 24  # at most of one character

SEVERITIES = {"E": "error", "W": "warning", "I": "note"}


def write(script: Script, film: Probe, path: Path) -> None:
    """Write the report of `script`, which describes `film`.

    Raises MediaError where the film cannot be read, UsageError where `path` cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("avtool.report", ""), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"clock": clock, "data": _data, "percent": lambda share: f"{share:.0%}"}
    page = environment.get_template("page.html").render(
        title=script.film.path.name,
        language=script.settings.language,
        notice=files.notice(script.settings.language),
        script=script,
        strip=strip,
        rows=strip.rows(script, film),
        descriptions=_descriptions(script, film),
        characters=_characters(script, film),
        moments=_moments(script),
        findings=script.findings,
        severities=SEVERITIES,
        errors=sum(finding.severity == "E" for finding in script.findings),
    )
    files.save(path, page)


def _data(picture: Image.Image) -> str:
    """A picture as a URL that holds it."""
    out = BytesIO()
    picture.save(out, "JPEG", quality=72)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def _moments(script: Script) -> list[tuple[Span, str, str]]:
    """Everything on the time axis that is not a picture: when, what, its words."""
    said = [(one.span, one.kind, one.text or "(no words known)") for one in script.film.speech]
    told = [(one.span, "description", one.text) for one in script.descriptions]
    free = [(span, "free pause", "") for span in script.unused]
    return sorted([*said, *told, *free])


def _descriptions(script: Script, film: Probe) -> list[dict[str, Any]]:
    """Each description with its frame, who is in it, its facts and its findings."""
    cues = script.descriptions
    frames = strip.pictures(film, [(cue.event or cue.span).middle for cue in cues], FRAME)
    return [
        {
            "cue": cue,
            "frame": frame,
            "people": _people(script, cue),
            "findings": [finding for finding in script.findings if finding.cue == cue.id],
        }
        for cue, frame in zip(cues, frames, strict=True)
    ]


def _people(script: Script, cue: Description) -> Sequence[Sighting]:
    """Who was recognised while what `cue` tells was seen."""
    seen = cue.event or cue.span
    return [one for one in script.film.sightings if one.name and one.span.overlap(seen)]


def _characters(script: Script, film: Probe) -> list[tuple[str, list[tuple[Image.Image, Sighting]]]]:
    """Every recognised character with a picture of each sighting, the surest first."""
    tracks = {track.id: track for track in script.film.tracks}
    named: dict[str, list[Sighting]] = {}
    for sighting in sorted(script.film.sightings, key=lambda one: -one.confidence):
        if sighting.name and sighting.track in tracks:
            named.setdefault(sighting.name, []).append(sighting)
    shown = [(name, one) for name, sightings in named.items() for one in sightings[:FACES]]
    times = [_best(tracks[one.track])[0] for _, one in shown]
    found: dict[str, list[tuple[Image.Image, Sighting]]] = {}
    for (name, one), frame in zip(shown, strip.pictures(film, times, 4 * FACE), strict=True):
        found.setdefault(name, []).append((_head(frame, tracks[one.track]), one))
    return sorted(found.items())


def _best(track: Track) -> tuple[int, tuple[float, float, float, float]]:
    """When the person is seen best, and where."""
    at = max(range(len(track.times)), key=lambda number: track.scores[number])
    return track.times[at], track.boxes[at]


def _head(frame: Image.Image, track: Track) -> Image.Image:
    """The upper end of the person, which is where the face is."""
    left, top, right, bottom = _best(track)[1]
    width, height = (right - left) * frame.width, (bottom - top) * frame.height
    side = max(8.0, min(width, height))
    x, y = (left + right) / 2 * frame.width - side / 2, top * frame.height
    return frame.crop((round(x), round(y), round(x + side), round(y + side))).resize((FACE, FACE))
