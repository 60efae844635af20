"""A picture of a described film: its shots, what is said in it, and what is told in the pauses.

uv run python examples/draw_timeline.py examples/the-quiet-street.mp4 the-quiet-street.en.ad.json timeline.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import fill

from avtool.media.probe import probe
from avtool.media.thumbnails import thumbnail
from avtool.timeline import SECOND, Span
from avtool.tracks import script

SPEECH, DESCRIPTION, PAUSE = "#c8553d", "#2a6f97", "#e9ecef"


def draw(movie: Path, project: Path, picture: Path) -> None:
    """Draw `movie` as told by its project file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    film, told = probe(movie), script.read(project)
    figure, axes = pyplot.subplots(figsize=(18, 4.2), layout="constrained")
    for shot in told.film.shots:
        left, right = shot.span.start / SECOND, shot.span.end / SECOND
        image = thumbnail(film, shot.span.middle, 120)
        axes.imshow(_middle(image, (right - left) / 6.4), extent=(left, right, 2.6, 4.4), aspect="auto")
        axes.vlines(left, 2.6, 4.4, color="white", linewidth=2)

    def bars(spans: list[Span], row: float, colour: str) -> None:
        lengths = [(span.start / SECOND, span.seconds) for span in spans]
        axes.broken_barh(lengths, (row, 0.4), color=colour)

    bars([gap.usable for gap in told.film.gaps], 0.9, PAUSE)
    bars([speech.span for speech in told.film.speech], 1.5, SPEECH)
    bars([cue.span for cue in told.descriptions], 0.9, DESCRIPTION)
    for speech in told.film.speech:
        words = fill(speech.text, max(12, round(7 * speech.span.seconds)))
        axes.text(speech.span.start / SECOND, 1.95, words, fontsize=7, color=SPEECH, va="bottom")
    for number, cue in enumerate(told.descriptions):
        left, row = cue.span.start / SECOND, 0.6 - 0.25 * (number % 3)
        side = "left" if left < 0.8 * told.film.span.seconds else "right"
        at = left if side == "left" else cue.span.end / SECOND
        axes.text(at, row, cue.text, fontsize=9, color=DESCRIPTION, weight="bold", ha=side)
    axes.set(xlim=(0, told.film.span.seconds), ylim=(0, 4.4), yticks=(1.1, 1.7, 3.5), xlabel="seconds")
    axes.set_yticklabels(["told", "said", "seen"])
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(picture, dpi=90)


def _middle(image, aspect: float):
    """The middle of `image`, at most as wide as `aspect` times its height."""
    width = min(image.width, max(1, round(image.height * aspect)))
    left = (image.width - width) // 2
    return image.crop((left, 0, left + width, image.height))


if __name__ == "__main__":
    draw(*map(Path, sys.argv[1:4]))
