"""The pauses of the dialogue: where a description may be spoken."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from avtool.settings import Settings
from avtool.timeline import SECOND, Gap, Span, Speech, complement

# A voice rises out of and dies into silence more softly than any detector sees.
MARGIN = 80_000

Side = Literal["speech", "edge"]


def find(speech: Iterable[Speech], whole: Span, settings: Settings) -> list[Gap]:
    """The gaps of `whole` that are long enough to be used, in order (AD102, AD103, AD104).

    A gap's span is what all speech, grown by `MARGIN`, leaves free; its usable part is shorter by
    `settings.lead_in` after speech and by `settings.lead_out` before it. Dropped are gaps shorter than
    `settings.min_gap` between two speeches or `settings.min_gap_edge` elsewhere, and those that the leads
    use up.
    """
    lead_in, lead_out = round(settings.lead_in * SECOND), round(settings.lead_out * SECOND)
    gaps: list[Gap] = []
    for span in complement((heard.span.grow(MARGIN, MARGIN) for heard in speech), whole):
        left: Side = "edge" if span.start == whole.start else "speech"
        right: Side = "edge" if span.end == whole.end else "speech"
        shortest = settings.min_gap if left == right == "speech" else settings.min_gap_edge
        start = span.start + (lead_in if left == "speech" else 0)
        end = span.end - (lead_out if right == "speech" else 0)
        if span.duration >= shortest * SECOND and start < end:
            gaps.append(Gap(len(gaps), span, Span(start, end), left, right))
    return gaps
