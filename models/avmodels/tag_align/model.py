"""TagAlign: CLIP's frozen towers, and a trained projector that aligns patches with words (arXiv 2312.14149)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from avmodels.nn.clip_text import BASE, TextEncoder, TextSize
from avmodels.tag_align.loss import Contrastive, MultiTag
from avmodels.tag_align.projector import GatedSize, Projection, Projector, TransformerSize
from avmodels.tag_align.prompts import embed_tokens
from avmodels.tag_align.tower import ImageSize, ImageTower, Patches


@dataclass(frozen=True)
class Size:
    """The numbers of CLIP's two towers."""

    image: ImageSize
    text: TextSize


SIZES = {
    "vit-b-16": Size(ImageSize(patch=16, width=768, depth=12), BASE),
    "vit-tiny": Size(
        ImageSize(patch=16, width=64, depth=7, side=96), TextSize(embedding=64, width=64, depth=2, heads=1)
    ),
}

# The published models score so many tags.
TAGS = 10_000


class ImageEncoder(nn.Module):
    """CLIP's image tower, and its own projection apart."""

    def __init__(self, size: ImageSize, embedding: int, patches: Patches):
        super().__init__()
        self.clip_visual = ImageTower(size, patches)
        self.clip_proj = Projection(size.width, embedding)

    def forward(self, image: Tensor) -> Tensor:
        """image (B, 3, H, W), normalised -> patches before the projection, (B, h, w, width)."""
        patch = self.clip_visual.size.patch
        tokens = self.clip_visual(image)[:, 1:]
        return tokens.unflatten(1, (image.shape[2] // patch, image.shape[3] // patch))


class TagAlign(nn.Module):
    """Embeds the patches of pictures, and words, in one space.

    Only the projector and the two logit scales are trained: the towers and `label_embedding`, the table
    (tags, embedding) of the tags' words, are frozen.
    """

    def __init__(
        self,
        size: Size,
        projector: GatedSize | TransformerSize,
        tags: int = TAGS,
        patches: Patches = "surgery",
    ):
        super().__init__()
        embedding = size.text.embedding
        self.label_embedding = nn.Parameter(torch.zeros(tags, embedding))
        self.clip_text_encoder = TextEncoder(size.text)
        self.clip_image_encoder = ImageEncoder(size.image, embedding, patches)
        self.projector = Projector(size.image.width, embedding, projector)
        self.cl_loss = Contrastive()
        self.ce_loss = MultiTag()
        self.reset_projection()
        for tower in (self.clip_text_encoder, self.clip_image_encoder):
            tower.requires_grad_(False)
        self.label_embedding.requires_grad_(False)

    def reset_projection(self) -> None:
        """Starts the projector's projection where CLIP's is."""
        self.projector.clip_proj.load_state_dict(self.clip_image_encoder.clip_proj.state_dict())

    def forward(self, image: Tensor, tokens: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        """image (B, 3, H, W), normalised -> embeddings of its patches, (B, h, w, embedding), not normalised; and,
        given tokens (B, context), those of the sentences, (B, embedding)."""
        with torch.no_grad():
            patches = self.clip_image_encoder(image)
            text = None if tokens is None else embed_tokens(self.clip_text_encoder, tokens)
        projected = self.projector(patches)
        return projected if text is None else (projected, text)


class CLIP(nn.Module):
    """The two towers alone, under TagAlign's names, as CLIP trains them: by the class token (arXiv 2103.00020)."""

    def __init__(self, size: Size):
        super().__init__()
        self.clip_text_encoder = TextEncoder(size.text)
        self.clip_image_encoder = ImageEncoder(size.image, size.text.embedding, "plain")
        self.cl_loss = Contrastive()

    def forward(self, image: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """image (B, 3, H, W), normalised, and tokens (B, context) -> embeddings of both, (B, embedding) each, not
        normalised."""
        tower = self.clip_image_encoder
        of_image = tower.clip_proj(tower.clip_visual(image)[:, 0])
        return of_image, embed_tokens(self.clip_text_encoder, tokens)


def optimiser_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """What is trained, in two groups: vectors and biases do not decay; matrices, gates and logit scales do."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    plain = [p for name, p in trained if p.ndim == 1 or name.endswith(".bias")]
    decayed = [p for name, p in trained if p.ndim != 1 and not name.endswith(".bias")]
    return [
        {"params": decayed, "weight_decay": weight_decay, "lr_scale": 1.0},
        {"params": plain, "weight_decay": 0.0, "lr_scale": 1.0},
    ]
