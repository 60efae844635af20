"""From a row of the lists to the tensors of a training step."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from PIL import Image
from timm.data.transforms_factory import create_transform

from avmodels.data.clips import UnreadableError
from avmodels.data.samples import Sample
from avmodels.nn.clip_tokens import tokenize
from avmodels.tag_align.config import Captioned
from avmodels.tag_align.lists import Pairs, padded
from avmodels.tag_align.pictures import MEAN, STD


def training_reader(pairs: Pairs, how: Captioned) -> Callable[[int], list[Sample]]:
    """Reads pair number n as its varied picture (3, side, side), its caption's tokens (77,), and its tags' numbers,
    filled up with -1 to the longest list's length."""
    vary = create_transform(
        how.side,
        is_training=True,
        scale=how.area,
        hflip=how.flip,
        auto_augment=how.policy or None,
        interpolation="bilinear",
        mean=tuple(value / 255 for value in MEAN),
        std=tuple(value / 255 for value in STD),
        re_prob=how.erase,
        re_mode="pixel",
        re_count=1,
    )
    assert callable(vary)
    longest = pairs.longest()

    def read(number: int) -> list[Sample]:
        place = pairs.places[number]
        try:
            with Image.open(BytesIO(place.read())) as image:
                picture = image.convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UnreadableError(f"cannot read a picture of {place.path}: {error}") from error
        tokens = tokenize([pairs.captions[number]])[0]
        return [{"image": vary(picture), "tokens": tokens, "present": padded(pairs.present(number), longest)}]

    return read
