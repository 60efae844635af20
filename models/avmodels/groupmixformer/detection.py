"""torchvision's detectors over the backbone."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN, RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import ExtraFPNBlock, LastLevelMaxPool, LastLevelP6P7

from avmodels.groupmixformer.data import MEAN, STD
from avmodels.groupmixformer.model import Backbone

CHANNELS = 256


class Pyramid(nn.Module):
    """The feature pyramid of some of the backbone's maps, as torchvision's detectors take it."""

    def __init__(self, backbone: Backbone, levels: tuple[int, ...], extra: ExtraFPNBlock):
        super().__init__()
        self.body = backbone
        self.out_channels = CHANNELS
        self._levels = levels
        widths = [backbone.size.widths[level] for level in levels]
        self.fpn = FeaturePyramidNetwork(widths, CHANNELS, extra)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """images (B, 3, H, W), normalised -> maps of CHANNELS channels by level."""
        maps = self.body(images)
        return self.fpn(OrderedDict((str(level), maps[level]) for level in self._levels))


def mask_rcnn(backbone: Backbone, classes: int, side: int = 800, longest: int = 1333) -> MaskRCNN:
    """Mask R-CNN (arXiv 1703.06870) on strides 4 to 64, finding `classes` classes, numbered from 1.

    Images (3, H, W) in [0, 1] of any size are normalised, brought to `side` and `longest` pixels, and padded to
    multiples of 32.
    """
    pyramid = Pyramid(backbone, (0, 1, 2, 3), LastLevelMaxPool())
    return MaskRCNN(pyramid, classes + 1, side, longest, list(MEAN), list(STD))


def retinanet(backbone: Backbone, classes: int, side: int = 800, longest: int = 1333) -> RetinaNet:
    """RetinaNet (arXiv 1708.02002) on strides 8 to 128, with the same images and classes as `mask_rcnn`."""
    pyramid = Pyramid(backbone, (1, 2, 3), LastLevelP6P7(CHANNELS, CHANNELS))
    sizes = tuple(
        (side, round(side * 2 ** (1 / 3)), round(side * 2 ** (2 / 3))) for side in (32, 64, 128, 256, 512)
    )
    anchors = AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))
    return RetinaNet(pyramid, classes + 1, side, longest, list(MEAN), list(STD), anchors)


DETECTORS = {"mask-rcnn": mask_rcnn, "retinanet": retinanet}
