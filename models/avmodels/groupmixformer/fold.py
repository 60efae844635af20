"""The networks as they are used, not trained: the same numbers from fewer, larger steps.

Batch norms are folded into the maps beside them, the added input of the position encoding into its kernel. Queries,
keys and values of a segment lie side by side, so that one convolution serves the three, and nothing is stacked or
transposed: tokens are pictures whose channels come last throughout. Weights may be cast to bfloat16; softmax and the
sums inside norms are float32.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avmodels.groupmixformer.attention import HEADS, SEGMENTS, Block, Separable, picture, tokens
from avmodels.groupmixformer.model import Classifier, PatchEmbedding, Stage, Trunk
from avmodels.nn.batch_norm import BatchNorm


def folded(model: Trunk) -> Folded:
    """A network in the form for use; later changes of `model` do not reach it."""
    with torch.no_grad():
        return Folded(copy.deepcopy(model)).eval().requires_grad_(False)


class Folded(nn.Module):
    """A classifier (logits), or a backbone (its four maps), in evaluation mode."""

    gain: Tensor
    shift: Tensor

    def __init__(self, model: Trunk):
        super().__init__()
        stem = model.conv_stem
        self.stem1 = convolution(stem.proj1, norm_of(stem.norm1))
        self.stem2 = convolution(stem.proj2, norm_of(stem.norm2))
        parts = list(model.modules())
        self.embeds = nn.ModuleList(
            FoldedEmbedding(part) for part in parts if isinstance(part, PatchEmbedding)
        )
        self.stages = nn.ModuleList(
            nn.Sequential(*(FoldedBlock(block) for block in part.modules() if isinstance(block, Block)))
            for part in parts
            if isinstance(part, Stage)
        )
        self.head = None
        if isinstance(model, Classifier):
            # The mean over the picture commutes with the norm before it.
            gain, shift = norm_of(model.norm4)
            head = model.head
            self.register_buffer("gain", gain, persistent=False)
            self.register_buffer("shift", shift, persistent=False)
            self.head = linear(head.weight * gain, head.weight @ shift + head.bias)

    def maps(self, image: Tensor) -> list[Tensor]:
        """image (B, 3, H, W), normalised -> each stage's map, (B, width, H / stride, W / stride)."""
        x = image.to(self.stem1.weight.dtype).contiguous(memory_format=torch.channels_last)
        x = tokens(F.hardswish(self.stem2(F.hardswish(self.stem1(x), inplace=True)), inplace=True))
        maps = []
        for embed, stage in zip(self.embeds, self.stages, strict=True):
            x = stage(embed(x))
            maps.append(picture(x))
        return maps

    def forward(self, image: Tensor, projected: bool = True) -> Tensor | list[Tensor]:
        """image (B, 3, H, W), normalised -> logits (B, classes), or the four maps.

        Not `projected`, the vector before the head: (B, width of the last stage).
        """
        maps = self.maps(image)
        if self.head is None:
            return maps
        mean = maps[-1].mean((2, 3))
        return self.head(mean) if projected else mean * self.gain + self.shift


class FoldedEmbedding(nn.Module):
    """A patch embedding whose norm is in its point-wise map."""

    def __init__(self, embed: PatchEmbedding):
        super().__init__()
        self.conv = embed.proj.conv1
        self.point = point(embed.proj, norm_of(embed.norm))

    def forward(self, x: Tensor) -> Tensor:
        """tokens (B, H, W, inputs) -> (B, H / stride, W / stride, width)."""
        return F.hardswish(self.point(tokens(self.conv(picture(x)))), inplace=True)


class FoldedBlock(nn.Module):
    """A block; see the head of the file for what is folded.

    Attention is that of one head over all channels whose summary is set to zero between the heads, for one large
    product is faster than eight small ones.
    """

    between: Tensor

    def __init__(self, block: Block):
        super().__init__()
        att, aggregator = block.att, block.att.aggregator
        width = att.proj.in_features
        segment = width // SEGMENTS
        attending = width - segment
        self.segment = segment

        self.place = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.place.load_state_dict(block.cpe.proj.state_dict())
        self.place.weight.data[:, 0, 1, 1] += 1

        self.norm1, self.norm2, self.mlp = block.norm1, block.norm2, block.mlp
        # Rows by segment, in it queries, keys and values; the first segment's with its norm.
        weight = att.qkv.weight.unflatten(0, (3, SEGMENTS, segment)).transpose(0, 1)
        bias = torch.zeros(3 * width) if att.qkv.bias is None else att.qkv.bias
        bias = bias.unflatten(0, (3, SEGMENTS, segment)).transpose(0, 1)
        gain, shift = norm_of(aggregator.norm0)
        weight = torch.cat([weight[:1] * gain[:, None], weight[1:]])
        bias = torch.cat([bias[:1] * gain + shift, bias[1:]])
        self.qkv = linear(weight.flatten(0, 2), bias.flatten())

        grouped = (aggregator.agg1, aggregator.agg2, aggregator.agg3)
        norms = (aggregator.norm1, aggregator.norm2, aggregator.norm3)
        self.groups = nn.ModuleList(repeated(part.conv1, 3) for part in grouped)
        self.points = nn.ModuleList(
            point(part, norm_of(norm)) for part, norm in zip(grouped, norms, strict=True)
        )
        self.local = aggregator.agg0.conv.conv1
        self.local_point = linear(aggregator.agg0.conv.pointwise_conv.weight.flatten(1), None)
        self.local_norm = aggregator.agg0.norm

        self.relative = att.crpe
        head = torch.arange(attending) // (attending // HEADS)
        self.register_buffer("between", att.scale * (head[:, None] == head).float())
        self.proj = linear(att.proj.weight[:, :attending], att.proj.bias)
        self.proj_local = linear(att.proj.weight[:, attending:], None)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, H, W, width) -> the same shape."""
        x = tokens(self.place(picture(x)))
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))

    def attention(self, x: Tensor) -> Tensor:
        """x (B, H, W, width) -> the same shape."""
        plain, *grouped, local = self.qkv(x).chunk(SEGMENTS, dim=-1)
        mixed = [plain.unflatten(-1, (3, -1))]
        for part, conv, of_point in zip(grouped, self.groups, self.points, strict=True):
            mixed.append(of_point(tokens(conv(picture(part))).unflatten(-1, (3, -1))))
        # (B, H, W, 3, attending)
        queries, keys, values = F.hardswish(torch.cat(mixed, dim=-1), inplace=True).unbind(3)
        local = F.hardswish(
            self.local_norm(self.local_point(tokens(self.local(picture(local))))), inplace=True
        )
        shares = keys.flatten(1, 2).softmax(1, dtype=torch.float32).to(keys.dtype)
        summary = (shares.mT @ values.flatten(1, 2)) * self.between
        seen = (queries.flatten(1, 2) @ summary).view_as(values)
        seen = seen.addcmul_(queries, tokens(self.relative(picture(values))))
        return self.proj(seen) + self.proj_local(local)


def norm_of(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Gain and shift, (channels,), that a batch norm has in evaluation mode."""
    assert norm.running_mean is not None and norm.running_var is not None
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return gain, norm.bias - norm.running_mean * gain


def linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A linear map of some weight (outputs, inputs) and bias (outputs,)."""
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device)
    made.weight.data.copy_(weight)
    if bias is not None:
        made.bias.data.copy_(bias)
    return made


def convolution(conv: nn.Conv2d, norm: tuple[Tensor, Tensor]) -> nn.Conv2d:
    """A convolution with the norm that follows it."""
    made, (gain, shift) = copy.deepcopy(conv), norm
    assert made.bias is not None
    made.weight.data.mul_(gain[:, None, None, None])
    made.bias.data.mul_(gain).add_(shift)
    return made


def point(conv: Separable, norm: tuple[Tensor, Tensor]) -> nn.Linear:
    """The point-wise half of a convolution, with the norm that follows it."""
    gain, shift = norm
    return linear(conv.pointwise_conv.weight.flatten(1) * gain[:, None], shift)


def repeated(conv: nn.Conv2d, times: int) -> nn.Conv2d:
    """A depth-wise convolution that does the same to several sets of its channels."""
    channels = conv.in_channels * times
    made = nn.Conv2d(
        channels,
        channels,
        int(conv.kernel_size[0]),
        padding=int(conv.padding[0]),
        groups=channels,
        bias=False,
    )
    made.weight.data.copy_(conv.weight.repeat(times, 1, 1, 1))
    return made
