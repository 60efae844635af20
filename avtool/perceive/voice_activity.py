"""Where somebody speaks: Silero VAD over 32 ms frames, and its probabilities made into spans."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from avtool.timeline import SECOND, Span, merge
from avtool.weights import where

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

RATE = 16_000  # samples a second, mono
FRAME = 512  # samples: 32 ms, what Silero judges at a time
CONTEXT = 64  # samples of the frame before that it sees too
FRAME_US = FRAME * SECOND // RATE

# Speech begins where the probability passes ONSET and lasts while it stays above OFFSET: low on purpose, as a
# pause wrongly taken is worse than one left unused.
ONSET, OFFSET = 0.3, 0.1
SHORTEST = 96_000  # speech: shorter rises are clicks
BREATH = 200_000  # silence: shorter falls are stops and breaths inside speech


@cache
def _session() -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(where("silero-vad")), options, providers=["CPUExecutionProvider"])


def probabilities(samples: np.ndarray) -> np.ndarray:
    """How likely each 32 ms frame holds a voice: float32 (frames,) of `samples` float32 (n,), 16 kHz mono.

    The last frame is filled up with silence. Raises MissingError where the weight is not installed.
    Silero VAD v6 (github.com/snakers4/silero-vad), its state carried through `samples` from silence.
    """
    count = -(-len(samples) // FRAME)
    frames = np.zeros((count + 1, FRAME), np.float32)  # the first is the silence before
    frames[1:].reshape(-1)[: len(samples)] = samples
    inputs = np.concatenate([frames[:-1, -CONTEXT:], frames[1:]], axis=1)
    state = np.zeros((2, 1, 128), np.float32)
    rate = np.array(RATE, np.int64)
    heard = np.empty(count, np.float32)
    for index in range(count):
        probability, state = _session().run(
            None, {"input": inputs[index : index + 1], "state": state, "sr": rate}
        )
        heard[index] = probability[0, 0]
    return heard


def spans(probability: np.ndarray, start: int = 0) -> list[Span]:
    """Spans of speech in `probability` (frames,), whose first frame begins at `start` microseconds."""
    above = np.concatenate([[False], probability > OFFSET, [False]])
    rises = np.flatnonzero(~above[:-1] & above[1:])
    falls = np.flatnonzero(above[:-1] & ~above[1:])
    found = [
        Span(start + int(rise) * FRAME_US, start + int(fall) * FRAME_US)
        for rise, fall in zip(rises, falls, strict=True)
        if probability[rise:fall].max() > ONSET
    ]
    return [span for span in merge(found, BREATH) if span.duration >= SHORTEST]
