"""Tags: the kind of place or thing that fills a shot, by EfficientNet-Lite2 (1000 ImageNet classes).

ImageNet has no class for people, and the network answers a face with the clothes, a title with a web site. Only
classes with a word below are spoken of: places, animals, vehicles, instruments, furniture and food. Classes
that share a word add up, so that the breed of a dog need not be known.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from torch.nn.utils.fusion import fuse_conv_bn_eval

from avtool import cores
from avtool.perceive import bars, detailed
from avtool.timeline import Shot, Tag
from avtool.weights import trusted

SIZE = 260  # pixels, of the square picture the network was trained on
BATCH = 16  # frames that the network takes at once
CLASSES = Path(__file__).with_name("imagenet.txt")  # the names of the 1000 classes, in order
KEPT = 3  # labels noted of each frame
SURE = 0.7  # mean probability over the frames of a shot
SURE_ALONE = 0.8  # where a shot has one frame only

PLACES = frozenset(
    {
        *("bakery", "barbershop", "barn", "boathouse", "bookshop", "breakwater", "bridge", "butcher's shop"),
        *("castle", "church", "cinema", "cliff", "coral reef", "dam", "dock", "fountain", "geyser"),
        *("greenhouse", "grocery store", "lakeside", "library", "lighthouse", "monastery", "mosque"),
        *("mountain", "palace", "patio", "pier", "restaurant", "sandbar", "seashore", "shoe shop"),
        *("stone wall", "toy shop", "valley", "volcano"),
    }
)

# What several classes, or one with an odd name, are called. Ranges are class numbers.
_FAMILIES: dict[str, tuple[range, ...]] = {
    "fish": (range(2), range(389, 398)),
    "shark": (range(2, 5),),
    "bird": (range(7, 25), range(80, 101), range(127, 147)),
    "lizard": (range(38, 49),),
    "snake": (range(52, 69),),
    "spider": (range(72, 78),),
    "dog": (range(151, 269),),
    "wolf": (range(269, 272),),
    "fox": (range(277, 281),),
    "cat": (range(281, 286),),
    "bear": (range(294, 298),),
    "butterfly": (range(321, 327),),
    "rabbit": (range(330, 333),),
    "monkey": (range(370, 383),),
    "elephant": (range(385, 387),),
}
_NAMES: dict[str, tuple[str, ...]] = {
    "airplane": ("airliner", "warplane"),
    "ape": ("orangutan", "gorilla", "chimpanzee", "gibbon", "siamang"),
    "bicycle": ("bicycle-built-for-two", "mountain bike"),
    "boat": (
        "canoe",
        "catamaran",
        "fireboat",
        "gondola",
        "lifeboat",
        "schooner",
        "speedboat",
        "trimaran",
        "yawl",
    ),
    "bridge": ("steel arch bridge", "suspension bridge", "viaduct"),
    "bus": ("minibus", "school bus", "trolleybus"),
    "butcher's shop": ("butcher shop",),
    "car": (
        "beach wagon",
        "cab",
        "convertible",
        "jeep",
        "limousine",
        "minivan",
        "Model T",
        "racer",
        "sports car",
    ),
    "cow": ("ox",),
    "guitar": ("acoustic guitar", "electric guitar"),
    "lighthouse": ("beacon",),
    "motorcycle": ("moped", "motor scooter"),
    "mountain": ("alp",),
    "piano": ("grand piano", "upright"),
    "saxophone": ("sax",),
    "sheep": ("ram", "bighorn"),
    "ship": ("aircraft carrier", "container ship", "liner"),
    "squirrel": ("fox squirrel",),
    "tent": ("mountain tent",),
    "toy shop": ("toyshop",),
    "train": ("bullet train", "electric locomotive", "freight car", "passenger car", "steam locomotive"),
    "truck": ("fire engine", "garbage truck", "moving van", "pickup", "tow truck", "trailer truck"),
}
_PLAIN = frozenset(
    {
        *("hippopotamus", "lion", "tiger", "leopard", "zebra", "hamster", "porcupine", "beaver"),
        *("giant panda", "koala", "wombat", "wallaby", "skunk", "badger", "otter", "llama", "hog"),
        *("accordion", "banjo", "cello", "drum", "flute", "harmonica", "harp", "trombone", "violin"),
        *("ambulance", "airship", "balloon", "forklift", "go-kart", "horse cart", "parachute", "submarine"),
        *("snowmobile", "snowplow", "space shuttle", "streetcar", "tank", "tractor", "tricycle", "unicycle"),
        *("bathtub", "bookcase", "cradle", "dining table", "dishwasher", "four-poster", "park bench"),
        *("pool table", "refrigerator", "rocking chair", "sewing machine", "stove", "washbasin"),
        *(
            "candle",
            "carousel",
            "Christmas stocking",
            "jack-o'-lantern",
            "spider web",
            "swing",
            "traffic light",
        ),
        *("broccoli", "cauliflower", "cheeseburger", "cucumber", "espresso", "guacamole", "hotdog"),
        *("ice cream", "mushroom", "pineapple", "pizza", "pretzel", "strawberry", "banana", "bagel"),
        *("daisy", "hay", "scuba diver"),
    }
)


def labels() -> list[str | None]:
    """The word for each of the 1000 classes, None where it is not spoken of."""
    classes = CLASSES.read_text().splitlines()
    words = {name: word for word, names in _NAMES.items() for name in names}
    words |= {name: name for name in _PLAIN | PLACES}
    families = {number: word for word, ranges in _FAMILIES.items() for span in ranges for number in span}
    return [families.get(number) or words.get(name) for number, name in enumerate(classes)]


class Tags:
    """The perceiver of tags in pictures `height` x `width` as displayed. It keeps the surest few labels of one
    frame a second."""

    fps: float | None = 1.0
    gray: bool = False

    def __init__(self, height: int, width: int) -> None:
        self.size: tuple[int, int] | None = detailed(height, width)
        self._network = EfficientNet.from_name("efficientnet-lite2")
        self._network.load_state_dict(
            torch.load(trusted("efficientnet-lite2"), map_location="cpu", weights_only=True)
        )
        _fold(self._network.eval())
        # torch's stubs leave out the form with a memory format alone.
        self._network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        for layer in self._network.modules():
            if isinstance(layer, torch.nn.Conv2d):
                layer.to(cores.precision())  # once, where autocast would for every batch
        spoken = labels()
        self._labels = sorted({label for label in spoken if label})
        sums = np.zeros((len(spoken), len(self._labels)), np.float32)
        for number, label in enumerate(spoken):
            if label:
                sums[number, self._labels.index(label)] = 1
        self._sums = torch.from_numpy(sums)  # classes -> labels
        self._waiting: list[tuple[int, np.ndarray]] = []
        self._noted: list[tuple[int, tuple[tuple[str, float], ...]]] = []

    def see(self, times: np.ndarray, frames: np.ndarray) -> None:
        for time, frame in zip(times.tolist(), frames, strict=True):
            self._waiting.append((time, _centre(frame)))
            if len(self._waiting) == BATCH:
                self._tag()

    def finish(self) -> None:
        if self._waiting:
            self._tag()

    def _tag(self) -> None:
        """Note the labels of the pictures that wait."""
        times, squares = zip(*self._waiting, strict=True)
        self._waiting = []
        # Mean 127 and deviation 128, as the network was trained (tensorflow/tpu, efficientnet/lite).
        pictures = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2)
        pictures = ((pictures.float() - 127) / 128).contiguous(memory_format=torch.channels_last)
        low = cores.precision() != torch.float32
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            scores = self._network(pictures)
        best, which = (scores.float().softmax(1) @ self._sums).topk(KEPT)
        for time, numbers, sure in zip(times, which.tolist(), best.tolist(), strict=True):
            words = [self._labels[number] for number in numbers]
            self._noted.append((time, tuple(zip(words, sure, strict=True))))

    def tags(self, shots: list[Shot]) -> list[Tag]:
        """What each shot shows almost surely, the surest first; for most shots nothing."""
        found = []
        times = [time for time, _ in self._noted]
        for shot in shots:
            first, end = bisect_left(times, shot.span.start), bisect_left(times, shot.span.end)
            frames = [noted for _, noted in self._noted[first:end]]
            total: defaultdict[str, float] = defaultdict(float)
            for noted in frames:
                for label, probability in noted:
                    total[label] += probability / len(frames)
            enough = SURE_ALONE if len(frames) == 1 else SURE
            for label, mean in sorted(total.items(), key=lambda item: (-item[1], item[0])):
                if mean >= enough:
                    found.append(Tag(label, shot.index, shot.span, min(mean, 1.0)))
        return found


def _fold(network: EfficientNet) -> None:
    """Let the convolutions do what the norms after them do: a third of the network's time is saved."""
    pairs = (
        ("conv_stem", "bn0"),
        ("conv_head", "bn1"),
        ("expand_conv", "bn0"),
        ("depthwise_conv", "bn1"),
        ("project_conv", "bn2"),
    )
    for part in network.modules():
        layers: dict[str, Any] = dict(part.named_children())
        for convolution, norm in pairs:
            if f"_{convolution}" in layers:
                folded = fuse_conv_bn_eval(layers[f"_{convolution}"], layers[f"_{norm}"])
                setattr(part, f"_{convolution}", folded)
                setattr(part, f"_{norm}", torch.nn.Identity())


def _centre(frame: np.ndarray) -> np.ndarray:
    """The middle square of the picture between its bars, at the network's size (SIZE, SIZE, 3)."""
    frame = bars.without(frame)
    height, width = frame.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = frame[top : top + side, left : left + side]
    return cv2.resize(square, (SIZE, SIZE), interpolation=cv2.INTER_AREA if side > SIZE else cv2.INTER_CUBIC)
