"""Where somebody speaks: Silero VAD over 32 ms frames, and its probabilities made into spans."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from avtool.timeline import SECOND, Span, merge
from avtool.weights import trusted

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

RATE = 16_000  # samples a second, mono
FRAME = 512  # samples: 32 ms, what Silero judges at a time
CONTEXT = 64  # samples of the frame before that it sees too
FRAME_US = FRAME * SECOND // RATE

# Speech begins where the probability passes ONSET and lasts while it stays above OFFSET: low on purpose, as a
# pause wrongly taken is worse than one left unused.
ONSET, OFFSET = 0.4, 0.25
LATE = 2 * FRAME_US  # Silero lets go of a voice three or four frames late; two are taken back
SHORTEST = 3 * FRAME_US  # speech: shorter rises are clicks
BREATH = 300_000  # silence: shorter falls are stops and breaths inside speech


@cache
def _session() -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(trusted("silero-vad")), options, providers=["CPUExecutionProvider"]
    )


def probabilities(sounds: np.ndarray) -> np.ndarray:
    """How likely each 32 ms frame holds a voice: float32 (sounds, frames).

    `sounds` is float32 (sounds, samples), 16 kHz mono; each is heard from silence on, the last frame filled
    up with silence. Raises MissingError where the weight is not installed.
    Silero VAD v6 (github.com/snakers4/silero-vad).
    """
    count, length = sounds.shape
    steps = -(-length // FRAME)
    padded = np.zeros((count, CONTEXT + steps * FRAME), np.float32)
    padded[:, CONTEXT : CONTEXT + length] = sounds
    state = np.zeros((2, count, 128), np.float32)
    rate = np.array(RATE, np.int64)
    heard = np.empty((count, steps), np.float32)
    for step in range(steps):
        window = padded[:, step * FRAME : step * FRAME + CONTEXT + FRAME]
        probability, state = _session().run(None, {"input": window, "state": state, "sr": rate})
        heard[:, step] = np.asarray(probability)[:, 0]
    return heard


def runs(on: np.ndarray) -> list[tuple[int, int]]:
    """First index and end of each run of true in `on` (n,)."""
    edges = np.diff(np.concatenate([[0], on.astype(np.int8), [0]]))
    return list(zip(np.flatnonzero(edges > 0).tolist(), np.flatnonzero(edges < 0).tolist(), strict=True))


def spans(probability: np.ndarray, start: int, onset: float = ONSET, offset: float = OFFSET) -> list[Span]:
    """Runs of frames above `offset` that somewhere pass `onset`; frame 0 begins at `start` microseconds."""
    return [
        Span(start + first * FRAME_US, start + end * FRAME_US)
        for first, end in runs(probability > offset)
        if probability[first:end].max() > onset
    ]


def speech(probability: np.ndarray, start: int = 0) -> list[Span]:
    """Spans of speech in `probability` (frames,), whose first frame begins at `start` microseconds."""
    voices = merge(spans(probability, start), BREATH)
    return [Span(voice.start, voice.end - LATE) for voice in voices if voice.duration >= SHORTEST]
