"""How the senses use the processor: each looks in a thread of its own, so none may start many more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SENSES = 4  # that keep a core busy: shots, people, text, and hearing


def mine() -> list[int]:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return [*range(os.cpu_count() or 1)]


def share() -> int:
    """Threads for one network of one sense."""
    return max(1, len(mine()) // SENSES)


@cache
def precision() -> torch.dtype:
    """What networks in torch compute in: bfloat16 where the processor does, at twice the speed, else float32."""
    import torch

    # torch has no public question for it; where it is only emulated, bfloat16 is slower than float32.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


@contextmanager
def shared() -> Iterator[None]:
    """Inside the block torch and OpenCV, whose settings are the process's, use no more than their share."""
    import cv2
    import torch

    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(share())
    cv2.setNumThreads(share())
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
