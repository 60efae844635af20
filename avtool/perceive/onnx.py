"""Networks in ONNX form, by the name of their weight."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from avtool import cores
from avtool.weights import trusted

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

# These networks are small: beyond four threads the waiting costs more than the work saved.
MAX_THREADS = 4


def run(weight: str, image: np.ndarray, outputs: list[str]) -> list[np.ndarray]:
    """The named outputs of the network `weight` for its one input `image`.

    Raises what `weights.trusted` raises.
    """
    return [np.asarray(output, np.float32) for output in _session(weight).run(outputs, {"image": image})]


@cache
def _session(weight: str) -> InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(cores.share(), MAX_THREADS)
    options.inter_op_num_threads = 1
    # Idle threads sleep: the cores are shared with the decoder and the other senses.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(trusted(weight)), options, providers=["CPUExecutionProvider"])
