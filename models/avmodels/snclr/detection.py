"""What the encoder is worth to others: Mask R-CNN on it, fine-tuned to find and outline objects."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from avmodels.data.samples import Sample, Samples, collate
from avmodels.engine.config import Training
from avmodels.engine.judging import limit
from avmodels.engine.processes import onto
from avmodels.snclr import coco
from avmodels.snclr.batch_norm import BatchNorm
from avmodels.snclr.coco import Scene
from avmodels.snclr.encoder import ConvNet, ResNetSize
from avmodels.snclr.views import MEAN, STD


class Detector(MaskRCNN):
    """Mask R-CNN with a feature pyramid (torchvision's) on a ResNet of this library.

    Its `encoder` trains whole, batch statistics over all processes, as MoCo's transfer does.
    """

    def __init__(self, size: ResNetSize, classes: int, short: int = 800, long: int = 1333):
        stages = {f"layer{number + 1}": str(number) for number in range(4)}
        widths = [256 * 2**number for number in range(4)]
        pyramid = BackboneWithFPN(
            ConvNet(size), stages, widths, 256, LastLevelMaxPool(), norm_layer=BatchNorm
        )
        super().__init__(
            pyramid,
            classes + 1,
            min_size=short,
            max_size=long,
            image_mean=list(MEAN),
            image_std=list(STD),
        )

    def forward(self, images: list[Tensor] | Tensor, targets: list[dict[str, Tensor]] | None = None) -> Any:
        """images, (3, H, W) in [0, 1] each -> what is found in each, or with targets the losses by name.

        Of a whole batch (B, 3, H, W) the feature maps alone, whose cost does not depend on what is in the images.
        """
        return self.backbone(images) if isinstance(images, Tensor) else super().forward(images, targets)

    @property
    def encoder(self) -> nn.Module:
        """The ResNet without its pooling, under torchvision's names."""
        body = self.backbone.body
        assert isinstance(body, nn.Module)
        return body


def stack(samples: list[Sample]) -> dict[str, Any]:
    """Images of different sizes and their targets, as lists."""
    return {name: [sample[name] for sample in samples] for name in samples[0]}


@torch.inference_mode()
def judge(
    model: nn.Module, held: Any, scenes: list[Scene], training: Training, here: Accelerator
) -> dict[str, float]:
    """The average precision of boxes and masks over the readable images. Raises DataError for too many others."""
    mine = scenes[here.process_index :: here.num_processes]
    samples = Samples(mine, lambda scene: [coco.test_sample(scene)], tries=1)
    order = [[(0, number)] for number in range(len(mine))]
    numbers: list[int] = []
    found: list[dict[str, Any]] = []
    for part in DataLoader(
        samples,
        batch_sampler=order,
        collate_fn=lambda items: collate(items, stack),
        num_workers=training.workers,
    ):
        if part["tensors"] is None:
            continue
        with here.autocast():
            (detected,) = model(onto(part["tensors"]["image"], here.device))
        (number,) = part["tensors"]["number"]
        numbers.append(number)
        whole: dict[str, Tensor] = {name: value.float().cpu() for name, value in detected.items()}
        found += coco.results(held, number, whole | {"labels": detected["labels"].cpu()})
    numbers, found = gather_object(numbers), gather_object(found)
    limit(len(scenes) - len(numbers), len(scenes), training.max_unreadable)
    return coco.average_precision(held, numbers, found) | {"held_out": len(numbers)}
