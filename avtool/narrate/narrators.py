"""Who writes the sentences: `facts` from what is perceived, Uni-AD, or a vision-language model.

Each gives candidate sentences with the facts they rest on; the scheduler picks what fits.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from avtool import weights
from avtool.errors import MissingError, UsageError

if TYPE_CHECKING:
    from avmodels.uni_ad.frames import Extractor
    from avtool.perception import Perception
    from avtool.settings import Settings
    from avtool.timeline import Candidate, Film

# Uni-AD's published weights in the index, the variant each is of, and its file.
PUBLISHED = {"uni-ad-mad": ("mad", "MAD.pt"), "uni-ad-cmd-tv": ("cmd-tv", "CMDAD_TVAD.pt")}
KINDS = ("auto", "facts", "uni-ad", "uni-ad:WEIGHTS", "vlm:FOLDER")


class Narrator(Protocol):
    """One that tells of films. `extractor` makes what it reads of the frames during the one decoding pass, where it
    reads any; `weights` are its files by name, with a hash of each."""

    extractor: Extractor | None
    weights: dict[str, str]

    def candidates(self, seen: Perception, film: Film) -> list[Candidate]:
        """All sentences that could be spoken about `film`, by time: one group a moment."""
        ...


class Facts:
    """The embedded narrator: nothing but what was perceived."""

    extractor: Extractor | None = None

    def __init__(self) -> None:
        self.weights: dict[str, str] = {}

    def candidates(self, seen: Perception, film: Film) -> list[Candidate]:
        from avtool.narrate import facts

        return facts.candidates(film, seen.cast, seen.settings)


def choose(settings: Settings) -> Narrator:
    """The narrator that the settings name; `auto` is Uni-AD where all its weights are there, else `facts`.

    Raises UsageError for a name nobody bears, MissingError (with the command that gets them) where weights lack.
    """
    kind, _, which = settings.narrator.partition(":")
    match kind:
        case "facts" if not which:
            return Facts()
        case "auto" if not which:
            pulled = _pulled()
            try:
                return _uni_ad(*pulled, settings) if pulled else Facts()
            except MissingError:  # its language model, or what makes its features
                return Facts()
        case "uni-ad" if which:
            return _uni_ad(Path(which), None, settings)
        case "uni-ad":
            if (pulled := _pulled()) is None:
                raise MissingError(
                    "the weights of Uni-AD are missing: avtool weights pull uni-ad-mad llama-2-7b clip-vit-l-14"
                )
            return _uni_ad(*pulled, settings)
        case "vlm" if which:
            from avtool.narrate.vlm import VLM

            return VLM(Path(which), settings)
        case "vlm":
            raise UsageError("--narrator vlm:FOLDER names the folder of a model of the transformers library")
    raise UsageError(f"no narrator is called {settings.narrator!r}; known: {', '.join(KINDS)}")


def _pulled() -> tuple[Path, str] | None:
    """The first of the published weights that was pulled, and its variant."""
    for name, (variant, file) in PUBLISHED.items():
        if (path := weights.pulled(weights.known(name)) / file).is_file():
            return path, variant
    return None


def _uni_ad(path: Path, variant: str | None, settings: Settings) -> Narrator:
    from avtool.narrate.uni_ad import Describing, files

    return Describing(files(path, variant, settings), settings)
