"""EVAD over a film: windows of frames around keyframes, what they share computed once.

At one keyframe a second, neighbouring windows share no frame as the network was trained (every 4th of 30 a second:
30 is no multiple of 4), and windows two seconds apart share one, yet no tubelet. What is shared is thus decoding,
resizing and normalising; and wherever windows hold the same pair of frames (near cuts, where frames repeat, or
with keyframes 8 or more steps of the grid apart), its patch embedding. Nothing later is the same in two windows:
positions differ, and attention sees the whole window from the first block on.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avmodels.evad import views
from avmodels.evad.context import ContextDecoder
from avmodels.evad.data import FRAME_RATE
from avmodels.evad.detections import Detections, proposals, select
from avmodels.evad.encoder import Encoded, EncoderSize
from avmodels.evad.model import Detector, Located, Predictions, pad


def offsets(frames: int, stride: int) -> np.ndarray:
    """When the frames of a window are shown, in seconds from its keyframe, (frames,): the rate is the trained one
    whatever the film's is."""
    return stride * (np.arange(frames) - frames // 2) / FRAME_RATE


@torch.inference_mode()
def detect(
    model: Detector, frames: np.ndarray, windows: np.ndarray, threshold: float, precision: str = "fp32"
) -> Detections:
    """The people of some windows whose person score reaches the threshold, and what they do.

    frames (n, h, w, 3) uint8, RGB, already resized; windows (B, T): which of them make each window. `precision` is
    fp32 or bf16. The decoder is left out for windows without people.
    """
    device = model.proposals.boxes.weight.device
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        tokens, grid = embed(model, views.normalised(frames).to(device), windows)
        sizes = torch.tensor([frames.shape[1:3]], dtype=torch.float32, device=device).expand(len(windows), 2)
        seen = model.encoder.encode(tokens, *grid)
        located = model.locate(seen, sizes)
        _, people = proposals(located, sizes, sizes)
        chosen = (people >= threshold).any(1).nonzero().squeeze(1)
        seen, located = rows(seen, located, chosen)
        actions = act(model.context, seen, located, sizes[chosen])
    found = select(Predictions(located, actions), sizes[chosen], sizes[chosen], threshold)
    return found._replace(clips=chosen[found.clips])


def act(context: ContextDecoder, seen: Encoded, located: Located, sizes: Tensor) -> list[Tensor]:
    """Action logits of the last decoder block; for no clips, none."""
    if len(sizes) == 0:
        people = located.people[-1].shape[1]
        return [sizes.new_zeros(0, people, context.classes)]
    return context(seen, located.boxes[-1], sizes)


def embed(model: Detector, pixels: Tensor, windows: np.ndarray) -> tuple[Tensor, tuple[int, int]]:
    """The embedded tubelets of every window, (B, steps * high * wide, width), each distinct one embedded once, and
    (high, wide). pixels (3, n, h, w), normalised."""
    size: EncoderSize = model.encoder.size
    pairs = windows.reshape(-1, size.tubelet)
    distinct, places = np.unique(pairs, axis=0, return_inverse=True)
    video, _ = pad([pixels[:, torch.from_numpy(distinct.ravel())]])
    high, wide = (side // size.patch for side in video.shape[3:])
    embedded = model.encoder.patch_embed(video)[0].unflatten(0, (len(distinct), high * wide))
    tokens = embedded[torch.from_numpy(places.ravel())]
    return tokens.unflatten(0, (len(windows), size.steps)).flatten(1, 2), (high, wide)


def rows(seen: Encoded, located: Located, chosen: Tensor) -> tuple[Encoded, Located]:
    """What was made of the clips `chosen`, by number."""
    seen = seen._replace(
        tokens=seen.tokens[chosen], kept=seen.kept[chosen], maps=[one[chosen] for one in seen.maps]
    )
    return seen, Located(*([stage[chosen] for stage in part] for part in located))
