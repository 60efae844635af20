"""The planner's speaking times, learnt from the voice itself: what is planned is said, and planned again."""

from __future__ import annotations

from collections.abc import Sequence

from avtool.narrate.pace import speaking_time
from avtool.schedule import Dropped, needed
from avtool.settings import Settings
from avtool.timeline import Candidate, Description
from avtool.tracks.engines import unsayable
from avtool.tracks.voice import Voice


class Rehearsal:
    """How long texts take: as the voice said them where it has, else as estimated and corrected by what it said."""

    def __init__(self, voice: Voice, settings: Settings) -> None:
        self._voice = voice
        self._settings = settings
        self._heard: dict[tuple[str, float], int] = {}  # microseconds of a candidate's text at a rate
        self._pace = 1.0  # what the voice takes, over what was estimated

    def sayable(self, candidates: Sequence[Candidate]) -> tuple[list[Candidate], list[Dropped]]:
        """`candidates` without those that the voice cannot say, and why not."""
        reasons = {one.text: unsayable(one.text, self._voice.engine.language) for one in candidates}
        dropped = [
            Dropped(one, f"it cannot be said: {why}") for one in candidates if (why := reasons[one.text])
        ]
        return [one for one in candidates if not reasons[one.text]], dropped

    def takes(self, text: str, rate: float, language: str) -> int:
        """Microseconds to say `text` at `rate` words a minute, as far as is known."""
        estimate = round(speaking_time(text, rate, language) * self._pace)
        return self._heard.get((text, rate), estimate)

    def fits(self, planned: Sequence[Description], addressed: Sequence[Description]) -> bool:
        """Whether each of `planned` has the time that the voice takes for it; what it took is remembered.

        `addressed` are the same in the words in which they are spoken. A text's time only grows, so that planning
        comes to an end.
        """
        before = {cue.text: self._rate(cue) for cue in planned}
        late, ratios = False, []
        for rate in sorted(set(before.values())):
            pairs = [
                (plan, cue) for plan, cue in zip(planned, addressed, strict=True) if before[plan.text] == rate
            ]
            clips = self._voice.say([cue.text for _, cue in pairs], rate)
            for plan, cue in pairs:
                took = clips[cue.text].duration
                key = (plan.text, rate)
                self._heard[key] = max(took, self._heard.get(key, 0))
                ratios.append(took / speaking_time(cue.text, rate, self._settings.language))
                late |= took > plan.span.duration
        if ratios:
            self._pace = sum(ratios) / len(ratios)
        return not late

    def _rate(self, cue: Description) -> float:
        """The rate that `cue` was planned at: hurried only where the time asks for it."""
        usual = min(self._settings.rate, self._settings.rate_max)
        enough = needed(cue.text, usual, self._settings, self.takes) <= cue.span.duration
        return usual if enough else self._settings.rate_max
