"""AD101 to AD113: when a description is spoken, and how fast."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest

from avtool.narrate import pace
from avtool.narrate.lexicon import english
from avtool.narrate.rules.script import Hit, Rule, Script, meeting, microseconds
from avtool.timeline import SECOND, Description, Film, Span, clock, complement, merge

FASTEST = 320  # words a minute: 95 of 100 professional TV cues are slower (p95 318)
RUN_ON = SECOND  # after the last cue's end, where nothing is heard, the voice may do so
SYLLABLES_MAX, SYLLABLES_TARGET = 5.8, 4.4  # a second
ORIENTATION = 60 * SECOND  # without dialogue and description (AD111)
WINDOW = 120 * SECOND  # of AD112


def overlaps_dialogue(script: Script) -> Iterator[Hit]:
    """AD101: the description covers dialogue by more than the tolerance (default 0.10 s)."""
    tolerance = microseconds(script.settings.overlap_tolerance)
    for cue in script.cues:
        covered = sum(cue.span.overlap(speech) for speech in script.heard(cue.span))
        if covered > tolerance:
            yield Hit(f"covers {covered / SECOND:.2f} s of dialogue", cue, fix=_elsewhere(script, cue))


def too_soon_after_dialogue(script: Script) -> Iterator[Hit]:
    """AD102: less than the lead-in (default 0.20 s) between the dialogue's end and the description."""
    lead = microseconds(script.settings.lead_in)
    for cue in script.cues:
        before, _ = script.between(cue.span.start)
        if before and 0 <= cue.span.start - before.end < lead:
            pause = (cue.span.start - before.end) / SECOND
            yield Hit(f"begins {pause:.2f} s after dialogue", cue, fix=_elsewhere(script, cue))


def too_close_to_the_next_dialogue(script: Script) -> Iterator[Hit]:
    """AD103: less than the lead-out (default 0.30 s) between the description and the next dialogue."""
    lead = microseconds(script.settings.lead_out)
    for cue in script.cues:
        _, after = script.between(cue.span.start)
        if after and 0 <= after.start - cue.span.end < lead:
            pause = (after.start - cue.span.end) / SECOND
            yield Hit(f"ends {pause:.2f} s before dialogue", cue, fix=_elsewhere(script, cue))


def pause_too_short(script: Script) -> Iterator[Hit]:
    """AD104: a pause shorter than 1.2 s between two speeches, 0.9 s beside one, is used."""
    for cue in script.cues:
        before, after = script.between(cue.span.middle)
        if script.film is None or (before and cue.span.middle in before) or not (before or after):
            continue
        pause = Span(
            before.end if before else script.film.span.start,
            after.start if after else max(script.film.span.end, cue.span.end),
        )
        least = script.settings.min_gap if before and after else script.settings.min_gap_edge
        if pause.duration < microseconds(least):
            yield Hit(f"uses a pause of {pause.seconds:.2f} s; leave less than {least:g} s empty", cue)


def cannot_be_spoken(script: Script) -> Iterator[Hit]:
    """AD105: the text takes longer than its time (tolerance 0.15 s) even for the fastest professional (320 wpm).

    An error where the voice then runs into dialogue or the next cue, or more than a second beyond its end; else a
    warning. Cues with a pause between them too short for dialogue (`min_gap`, default 1.2 s) are one passage: a
    cue may take the time it lacks from neighbours that can spare it.
    """
    rate = max(FASTEST, script.settings.rate_max)
    tolerance = microseconds(script.settings.length_tolerance)
    passages = list(_passages(script))
    for passage, following in zip_longest(passages, passages[1:]):
        end = passage[-1].span.end
        _, dialogue = script.between(passage[-1].span.start)
        next_sounds = [following[0].span.start] if following else []
        next_sounds += [dialogue.start] if dialogue else []
        free = max(end, min([end + RUN_ON, *next_sounds]))
        needed = [pace.speaking_time(cue.text, rate, script.settings.language) for cue in passage]
        for place, cue in enumerate(passage):
            if needed[place] > cue.span.duration + tolerance:
                stuck = _stuck(passage, needed, place, free + tolerance)
                takes = f"takes {needed[place] / SECOND:.2f} s to say even at {rate:g} words a minute"
                yield Hit(f"{takes}, and has {cue.span.seconds:.2f} s", cue, severity="E" if stuck else "W")


def _passages(script: Script) -> Iterator[list[Description]]:
    passage: list[Description] = []
    for cue in script.cues:
        if passage and cue.span.start - passage[-1].span.end >= microseconds(script.settings.min_gap):
            yield passage
            passage = []
        passage.append(cue)
    if passage:
        yield passage


def _stuck(passage: list[Description], needed: list[int], place: int, free: int) -> bool:
    """Whether no run of up to three neighbours each side of cue `place` has the time that it takes together.

    After the passage nothing is heard until `free`.
    """
    ends = [*(cue.span.end for cue in passage[:-1]), free]
    return not any(
        sum(needed[first : last + 1]) <= ends[last] - passage[first].span.start
        for first in range(max(0, place - 3), place + 1)
        for last in range(place, min(len(passage), place + 4))
    )


def _rate(script: Script, cue: Description) -> tuple[float, float]:
    """Words a minute and syllables a second within the cue, the length tolerance granted."""
    seconds = cue.span.seconds + script.settings.length_tolerance
    syllables = pace.syllables(cue.text, script.settings.language)
    return pace.words(cue.text) / seconds * 60, syllables / seconds if seconds else 0.0


def too_fast(script: Script) -> Iterator[Hit]:
    """AD106: faster than `rate_max` (default 230 words a minute) or 5.8 syllables a second."""
    for cue in script.cues:
        words, syllables = _rate(script, cue)
        if words > script.settings.rate_max or syllables > SYLLABLES_MAX:
            yield Hit(f"{words:.0f} words a minute, {syllables:.1f} syllables a second", cue)


def faster_than_planned(script: Script) -> Iterator[Hit]:
    """AD107: faster than `rate` (default 175 words a minute) or 4.4 syllables a second, though not too fast."""
    for cue in script.cues:
        words, syllables = _rate(script, cue)
        fast = words > script.settings.rate or syllables > SYLLABLES_TARGET
        if fast and words <= script.settings.rate_max and syllables <= SYLLABLES_MAX:
            yield Hit(f"{words:.0f} words a minute, {syllables:.1f} syllables a second", cue)


def away_from_its_event(script: Script) -> Iterator[Hit]:
    """AD108: begins more than 4 s before what it tells can be seen, or more than 2 s after."""
    for cue in script.cues:
        if cue.event is None:
            continue
        early = cue.event.start - cue.span.start
        late = cue.span.start - cue.event.end
        if early > microseconds(script.settings.early):
            yield Hit(f"gives away what is seen {early / SECOND:.1f} s later", cue)
        elif late > microseconds(script.settings.late):
            yield Hit(f"tells what was over {late / SECOND:.1f} s before", cue)


def across_scenes(script: Script) -> Iterator[Hit]:
    """AD109: spans a change of scene: a fade, or a cut from one known place to another."""
    changes = scene_changes(script.film) if script.film else []
    for cue in script.cues:
        for change in changes:
            if cue.span.start < change < cue.span.end:
                yield Hit(f"goes on over the change of scene at {clock(change)}", cue)
                break


def scene_changes(film: Film) -> list[int]:
    """When a new scene begins, as far as fades and sure places tell."""
    places = english()["places"]
    sure = {tag.shot: tag.label for tag in film.tags if tag.label in places and tag.confidence >= 0.6}
    changes, last = [], None
    for shot in film.shots:
        here = sure.get(shot.index)
        if shot.transition == "fade" or (here and last and here != last):
            changes.append(shot.span.start)
        last = here or last
    return changes


def too_close_together(script: Script) -> Iterator[Hit]:
    """AD110: less than `spacing` (default 0.25 s) to the next description, and the sentence does not run on."""
    spacing = microseconds(script.settings.spacing)
    for cue, following in zip(script.cues, script.cues[1:], strict=False):
        pause = following.span.start - cue.span.end
        runs_on = not re.search(r"[.!?…][\"”’)]*$", cue.text.strip()) or following.text[:1].islower()
        if pause < spacing and not runs_on:
            start = cue.span.end + spacing
            needed = pace.speaking_time(following.text, script.settings.rate_max, script.settings.language)
            fits = start + needed <= following.span.end
            what = (
                f"{pause / SECOND:.2f} s after the one before"
                if pause >= 0
                else "before the one before has ended"
            )
            yield Hit(f"begins {what}", following, fix=_times(start, following.span.end) if fits else None)


def nothing_for_long(script: Script) -> Iterator[Hit]:
    """AD111: more than 60 s without dialogue and without description."""
    if script.film:
        filled = [*script.dialogue, *(cue.span for cue in script.cues)]
        for empty in complement(filled, script.film.span):
            if empty.duration > ORIENTATION:
                yield Hit(f"{empty.seconds:.0f} s without dialogue and without description", empty)


def too_full(script: Script) -> Iterator[Hit]:
    """AD112: more than 70 % (`fill`) of the time without dialogue in some 2 min is filled."""
    if script.film is None:
        return
    free = complement(script.dialogue, script.film.span)
    said = merge(
        part for cue in script.cues for pause in meeting(free, cue.span) if (part := cue.span.clip(pause))
    )
    full: list[Span] = []
    for cue in script.cues:
        start = max(script.film.span.start, min(cue.span.start, script.film.span.end - WINDOW))
        window = Span(start, max(start, min(start + WINDOW, script.film.span.end)))
        pauses = sum(span.overlap(window) for span in meeting(free, window))
        filled = sum(span.overlap(window) for span in meeting(said, window))
        if filled > script.settings.fill * pauses:
            full.append(window)
    for span in merge(full):
        yield Hit(f"more than {script.settings.fill:.0%} of the pauses is filled", span)


def covers_sound(script: Script) -> Iterator[Hit]:
    """AD113: covers a song or a crowd that the listener should hear (tolerance as AD101)."""
    sounds = [one for one in script.film.speech if one.kind != "dialogue"] if script.film else []
    for cue in script.cues:
        for sound in sounds:
            if cue.span.overlap(sound.span) > microseconds(script.settings.overlap_tolerance):
                yield Hit(f"covers a {sound.kind} at {clock(sound.span.start)}", cue)
                break


def _times(start: int, end: int) -> str:
    return f"{clock(start)} --> {clock(end)}"


def _elsewhere(script: Script, cue: Description) -> str | None:
    """The nearest times, within the rules of AD108, at which the cue can be spoken clear of dialogue."""
    if script.film is None:
        return None
    settings = script.settings
    event = cue.event or cue.span
    reach = Span(event.start - microseconds(settings.early), event.end + microseconds(settings.late))
    needed = pace.speaking_time(cue.text, settings.rate, settings.language)
    room = reach.grow(0, needed).clip(script.film.span)
    if room is None:
        return None
    lead_out, lead_in = microseconds(settings.lead_out), microseconds(settings.lead_in)
    speech = [span.grow(lead_out, lead_in) for span in script.heard(room.grow(lead_in, lead_out))]
    others = [one.span for one in script.near(room) if one is not cue]
    starts = [
        min(max(cue.span.start, free.start), free.end - needed)
        for free in complement([*speech, *others], room)
        if free.duration >= needed
    ]
    best = min(starts, key=lambda start: abs(start - cue.span.start), default=None)
    return None if best is None else _times(best, best + needed)


TIMING = (
    Rule("AD101", "E", "NFX, ITC, DCMP, WCAG F113", overlaps_dialogue, film=True),
    Rule("AD102", "W", "practice", too_soon_after_dialogue, film=True),
    Rule("AD103", "W", "practice", too_close_to_the_next_dialogue, film=True),
    Rule("AD104", "W", "WCAG F113, IE", pause_too_short, film=True),
    Rule("AD105", "E", "avtool", cannot_be_spoken),
    Rule("AD106", "W", "professional AD measured", too_fast),
    Rule("AD107", "I", "practice", faster_than_planned),
    Rule("AD108", "W", "ITC 3.4, NFX 5.1", away_from_its_event),
    Rule("AD109", "W", "practice", across_scenes, film=True),
    Rule("AD110", "W", "avtool", too_close_together),
    Rule("AD111", "I", "avtool", nothing_for_long, film=True),
    Rule("AD112", "W", "NFX, DCMP", too_full, film=True),
    Rule("AD113", "W", "NFX, WCAG F113, IE", covers_sound, film=True),
)
