"""Small learnable data sets in the systems' own on-disk forms: real encoded files, real lists.

Every set has a training and a held-out part drawn from different seeds, and labels known by construction.
"""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from avmodels.errors import ConfigError

# The modules whose make(folder, train, held_out) writes a set.
MAKERS = {
    "ade20k": "avmodels.data.toy_scenes",
    "coco": "avmodels.data.toy_scenes",
    "evad": "avmodels.evad.toy",
    "imagenet": "avmodels.data.toy_images",
    "tag-align": "avmodels.tag_align.toy",
    "tvts-v2": "avmodels.tvts_v2.toy",
    "snclr": "avmodels.snclr.toy",
    "speed-coaug": "avmodels.data.toy_events",
    "uni-ad": "avmodels.uni_ad.toy",
    "videomae-v2": "avmodels.data.toy_actions",
}


def make(name: str, folder: Path, train: int, held_out: int) -> None:
    """Writes the toy data set of a system, or one that several share, of `train` and `held_out` clips or images.

    Raises ConfigError for a name that has none.
    """
    if name not in MAKERS:
        near = difflib.get_close_matches(name, MAKERS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]}?" if near else f"there is for {', '.join(MAKERS)}"
        raise ConfigError(f"there is no toy data for {name!r}; {hint}")
    importlib.import_module(MAKERS[name]).make(folder, train, held_out)
