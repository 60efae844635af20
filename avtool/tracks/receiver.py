"""What a receiver or an editor needs to mix by itself: the narration's script, and how the programme steps back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from avtool.timeline import SECOND, Description, Span, clock
from avtool.tracks import files, ttml
from avtool.tracks.dapt import (
    DESCRIBER,
    PICTURE,
    UNDETERMINED,
    UNSPOKEN,
    Agent,
    DaptScript,
    Event,
    Gain,
    Recording,
    Text,
)
from avtool.tracks.ducking import Duck, curve

FADE_STEP = 0.3  # dB a step of the AD_fade byte (BBC WHP 198)
MUTE = 0xFF


def write_curve(ducks: Sequence[Duck], narration: str, path: Path) -> None:
    """Write the programme's gain beside the track `narration` as JSON; `fade` is the byte of BBC WHP 198.

    Raises UsageError where the folder cannot be written to, ResourceError where the disk is full.
    """
    points = [
        {
            "time": time / SECOND,
            "clock": clock(time),
            "gain_db": round(gain, 2),
            "fade": min(round(-gain / FADE_STEP), MUTE - 1),
        }
        for time, gain in curve(ducks)
    ]
    content = {"schema": "avtool.gain/1", "narration": narration, "between": "linear in dB", "points": points}
    files.save(path, json.dumps(content, indent=1) + "\n")


def write_script(
    cues: Sequence[Description], ducks: Sequence[Duck], narration: str, voice: str, language: str, path: Path
) -> None:
    """Write `cues`, as recorded in the track `narration`, as DAPT with the programme's gain in each event.

    Raises as `ttml.write` does.
    """
    script = DaptScript(
        language=language,
        represents=(PICTURE, "visual.text"),
        events=tuple(_event(cue, duck, narration) for cue, duck in zip(cues, ducks, strict=True)),
        language_source=UNSPOKEN,
        type="asRecorded",
        agents=(
            Agent("voice", "person", f"Synthetic voice ({voice})"),
            Agent(DESCRIBER, "character", "Describer", "voice"),
        ),
        notes=(files.notice(language),),
    )
    ttml.write(script, path)


def _event(cue: Description, duck: Duck, narration: str) -> Event:
    """An event from the fade's beginning to its end, in which the cue's own times are those of the voice."""
    begin = max(0, duck.span.start - duck.down)
    low = round(10 ** (-duck.depth / 20), 3)
    text = Text(
        files.one_line(cue.text),
        cue.language,
        UNDETERMINED if cue.represents.startswith("visual.text") else UNSPOKEN,
        cue.represents,
        span=cue.span,
        mixing=(
            Gain(Span(begin, duck.span.start), (1.0, low), freeze=True),
            Gain(Span(duck.span.end, duck.span.end + duck.up), (low, 1.0)),
        ),
        recordings=(Recording(narration, "audio/flac", cue.span),),
    )
    return Event(cue.id, Span(begin, duck.span.end + duck.up), cue.represents, (text,), agents=(DESCRIBER,))
