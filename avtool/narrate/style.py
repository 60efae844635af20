"""The rules of audio description held against a script, avtool's own or a professional's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from avtool.narrate.rules.script import Finding, Rule, Script, Severity
from avtool.narrate.rules.story import STORY
from avtool.narrate.rules.tense import TENSE
from avtool.narrate.rules.timing import TIMING
from avtool.narrate.rules.wording import WORDING
from avtool.settings import Settings
from avtool.timeline import Description, Film

if TYPE_CHECKING:
    from avtool.cast import Cast

__all__ = ["RULES", "Finding", "Rule", "Severity", "check"]

RULES: tuple[Rule, ...] = tuple(sorted((*TIMING, *WORDING, *TENSE, *STORY), key=lambda rule: rule.id))


def check(
    cues: Sequence[Description], film: Film | None, cast: Cast | None, settings: Settings
) -> list[Finding]:
    """Every rule that `cues` break, by time.

    Without `film` the rules that need its dialogue, shots or people are left out; rules on English wording
    are where `settings.language` is another. Cues may come in any order.
    """
    script = Script(sorted(cues, key=lambda cue: cue.span), film, cast, settings)
    speaks_english = settings.language.split("-")[0].lower() == "en"
    found = [
        Finding(
            rule=rule.id,
            severity=hit.severity or rule.severity,
            cue=hit.at.id if isinstance(hit.at, Description) else None,
            span=hit.at.span if isinstance(hit.at, Description) else hit.at,
            message=hit.message,
            fix=hit.fix,
            source=rule.source,
        )
        for rule in RULES
        if (film or not rule.film) and (speaks_english or not rule.english)
        for hit in rule.find(script)
    ]
    return sorted(found, key=lambda finding: (finding.span, finding.rule))
