"""The mask decoder: predicts masks, their IoU and an object score from prompts and features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from napari_sam2.network.attention import TwoWayTransformer
from napari_sam2.network.config import Sam2Config
from napari_sam2.network.features import MaskPrediction
from napari_sam2.network.layers import MLP, LayerNorm2d

MASK_TOKENS = 4
"""One for a single answer, three for an ambiguous prompt."""


class MaskChoice(nn.Module):
    """Base of the mask decoders: the rule that chooses among their four masks."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.stability_delta = config.stability_delta
        self.stability_threshold = config.stability_threshold

    def several(self, prediction: MaskPrediction) -> MaskPrediction:
        """Keep the three masks of an ambiguous prompt."""
        return MaskPrediction(
            prediction.masks[:, 1:],
            prediction.ious[:, 1:],
            prediction.tokens[:, 1:],
            prediction.object_scores,
        )

    def single(self, prediction: MaskPrediction) -> MaskPrediction:
        """Keep the single mask; at inference an unstable one gives way to the best of the three.

        Stability is the IoU of the mask cut at +delta and at -delta (SAM, arXiv 2304.02643).
        """
        masks, ious = prediction.masks[:, :1], prediction.ious[:, :1]
        if not self.training:
            other = self.several(prediction).best()
            stable = self._stability(masks) >= self.stability_threshold
            masks = torch.where(stable[:, :, None, None], masks, other.masks)
            ious = torch.where(stable, ious, other.ious)
        return MaskPrediction(masks, ious, prediction.tokens[:, :1], prediction.object_scores)

    def _stability(self, masks: Tensor) -> Tensor:
        flat = masks.flatten(2)
        inner = (flat > self.stability_delta).sum(dim=2).float()
        outer = (flat > -self.stability_delta).sum(dim=2).float()
        return torch.where(outer > 0, inner / outer, torch.ones_like(outer))


class MaskDecoder(MaskChoice):
    """Two-way transformer, upscaling with high-resolution features, and prediction heads."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__(config)
        width = config.width
        self.transformer = TwoWayTransformer(
            width, config.decoder_layers, config.decoder_heads, config.decoder_mlp
        )
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(MASK_TOKENS, width)
        self.obj_score_token = nn.Embedding(1, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, kernel_size=2, stride=2),
            LayerNorm2d(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, kernel_size=2, stride=2),
            nn.GELU(),
        )
        self.conv_s0 = nn.Conv2d(width, width // 8, kernel_size=1)
        self.conv_s1 = nn.Conv2d(width, width // 4, kernel_size=1)
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(width, width, width // 8, layers=3) for _ in range(MASK_TOKENS)
        )
        self.iou_prediction_head = MLP(width, width, MASK_TOKENS, layers=3)
        self.pred_obj_score_head = MLP(width, width, 1, layers=3)

    def forward(
        self, image: Tensor, position: Tensor, sparse: Tensor, stride8: Tensor, stride4: Tensor
    ) -> MaskPrediction:
        """Predict all four masks: the single one first, then the three of an ambiguous prompt.

        Parameters
        ----------
        image : Tensor, shape (N, C, h, w)
            Conditioned features plus the dense prompt embedding.
        position : Tensor, shape (1, C, h, w)
        sparse : Tensor, shape (N, P, C)
        stride8, stride4 : Tensor
            High-resolution features; a batch of one serves all N objects.
        """
        special = torch.cat(
            (self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight)
        )
        tokens = torch.cat((special.expand(len(sparse), -1, -1).to(sparse.dtype), sparse), dim=1)
        tokens, features = self.transformer(image, position, tokens)
        mask_tokens = tokens[:, 2 : 2 + MASK_TOKENS]
        return MaskPrediction(
            masks=self._masks(features, mask_tokens, image.shape, stride8, stride4),
            ious=self.iou_prediction_head(tokens[:, 1]).sigmoid(),
            tokens=mask_tokens,
            object_scores=self.pred_obj_score_head(tokens[:, 0]),
        )

    def _masks(
        self, features: Tensor, tokens: Tensor, shape: torch.Size, stride8: Tensor, stride4: Tensor
    ) -> Tensor:
        upscale1, norm, activation1, upscale2, activation2 = self.output_upscaling
        image = features.transpose(1, 2).reshape(shape)
        image = activation1(norm(upscale1(image) + stride8))
        image = activation2(upscale2(image) + stride4)
        weights = torch.stack(
            [mlp(tokens[:, i]) for i, mlp in enumerate(self.output_hypernetworks_mlps)], dim=1
        )
        masks: Tensor = weights @ image.flatten(2)
        return masks.reshape(*masks.shape[:2], *image.shape[2:])
