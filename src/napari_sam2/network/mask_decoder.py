"""The mask decoders: predict masks, their IoU and an object score from prompts and features.

That of SAM 2 decodes at a quarter of the resolution of the input. The fine one decodes at that
resolution, with prompts drawn as maps.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_sam2.network.attention import TwoWayTransformer
from napari_sam2.network.config import Sam2Config
from napari_sam2.network.features import MaskPrediction
from napari_sam2.network.fine_pyramid import ConvBlock
from napari_sam2.network.layers import MLP, LayerNorm2d
from napari_sam2.network.prompt_encoder import BACKGROUND, BOX_END, BOX_START, OBJECT

MASK_TOKENS = 4
"""One for a single answer, three for an ambiguous prompt."""


class BaseMaskDecoder(nn.Module):
    """What the mask decoders share: tokens, transformer, and the choice among their four masks."""

    output_hypernetworks_mlps: nn.ModuleList
    """One perceptron per mask, from its token to weights of the channels."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__()
        self.stability_delta = config.stability_delta
        self.stability_threshold = config.stability_threshold
        width = config.width
        self.transformer = TwoWayTransformer(
            width, config.decoder_layers, config.decoder_heads, config.decoder_mlp
        )
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(MASK_TOKENS, width)
        self.obj_score_token = nn.Embedding(1, width)

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

    def _with_own_tokens(self, sparse: Tensor) -> Tensor:
        """Prepend the tokens of object score, IoU and masks to those of the prompts, (N, P, C)."""
        own = torch.cat(
            (self.obj_score_token.weight, self.iou_token.weight, self.mask_tokens.weight)
        )
        return torch.cat((own.expand(len(sparse), -1, -1).to(sparse.dtype), sparse), dim=1)

    def _weights(self, tokens: Tensor) -> Tensor:
        """Map the mask tokens (N, M, C) to weights of the channels, one row per mask."""
        mlps = enumerate(self.output_hypernetworks_mlps)
        return torch.stack([mlp(tokens[:, i]) for i, mlp in mlps], dim=1)

    def _stability(self, masks: Tensor) -> Tensor:
        flat = masks.flatten(2)
        inner = (flat > self.stability_delta).sum(dim=2).float()
        outer = (flat > -self.stability_delta).sum(dim=2).float()
        return torch.where(outer > 0, inner / outer, torch.ones_like(outer))


class MaskDecoder(BaseMaskDecoder):
    """Two-way transformer, upscaling with high-resolution features, and prediction heads."""

    def __init__(self, config: Sam2Config) -> None:
        super().__init__(config)
        width = config.width
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
        tokens, features = self.transformer(image, position, self._with_own_tokens(sparse))
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
        masks: Tensor = self._weights(tokens) @ image.flatten(2)
        return masks.reshape(*masks.shape[:2], *image.shape[2:])


_STATISTICS = 3  # of a mask, beside its pooled features
_FOLLOWED = 3  # more of them where the decoder gets the mask of the frame before
_RADIUS = 3.0  # of a click's disc, in pixels of the input


class PromptPyramid(nn.Module):
    """Prompt maps at every stride of the decoder, by strided convolutions."""

    def __init__(self, maps: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.steps = nn.ModuleList()
        channels = maps
        for width in widths:
            self.steps.append(
                nn.Sequential(
                    nn.Conv2d(channels, width, 3, stride=2, padding=1),
                    nn.ReLU(inplace=True),
                    nn.Conv2d(width, width, 1),
                )
            )
            channels = width

    def forward(self, maps: Tensor) -> list[Tensor]:
        """Map (N, maps, S, S) to one map per stride: 2, 4, 8 and 16."""
        out = []
        for step in self.steps:
            maps = step(maps)
            out.append(maps)
        return out


class FineMaskDecoder(BaseMaskDecoder):
    """Tokens and stride-16 features through SAM's transformer, then up by convolutions.

    Every level adds the image's features and the prompts' maps, so that borders follow the pixels
    and prompts reach the mask directly. Quality and object score are predicted from the tokens and
    from the features inside the masks.
    """

    def __init__(self, config: Sam2Config) -> None:
        super().__init__(config)
        width = config.width
        c8, c4, c2, c1 = config.fine_channels
        self.prompts = PromptPyramid(config.prompt_maps, (c2, c4, c8, width))
        self.narrowing = nn.ModuleList(
            nn.Conv2d(above, here, 1)
            for above, here in zip((width, c8, c4, c2), (c8, c4, c2, c1), strict=True)
        )
        self.blocks = nn.ModuleList(ConvBlock(channels, depth=2) for channels in (c8, c4, c2))
        # Into the first convolution at full resolution go features, pixels and prompts.
        self.full_features = nn.Conv2d(c1, c1, 3, padding=1)
        self.full_image = nn.Conv2d(1, c1, 3, padding=1, bias=False)
        self.full_prompts = nn.Conv2d(config.prompt_maps, c1, 3, padding=1, bias=False)
        self.full = nn.Conv2d(c1, c1, 3, padding=1)
        # One weight per channel and an offset.
        self.output_hypernetworks_mlps = nn.ModuleList(
            MLP(width, width, c1 + 1, layers=3) for _ in range(MASK_TOKENS)
        )
        self._follows = config.relative_brightness
        judged = c2 + _STATISTICS + (_FOLLOWED if self._follows else 0)
        self.iou_prediction_head = MLP(2 * width + judged, width, 1, layers=3)
        self.pred_obj_score_head = MLP(width + judged, width, 1, layers=3)

    def forward(
        self,
        image: Tensor,
        position: Tensor,
        sparse: Tensor,
        levels: Sequence[Tensor],
        maps: Tensor,
    ) -> MaskPrediction:
        """Predict all four masks: the single one first, then the three of an ambiguous prompt.

        Parameters
        ----------
        image : Tensor, shape (N, C, h, w)
            Conditioned features.
        position : Tensor, shape (1, C, h, w)
        sparse : Tensor, shape (N, P, C)
        levels : sequence of Tensor
            The image at strides 1 (one channel), 2, 4 and 8; a batch of one serves all N objects.
        maps : Tensor, shape (N, maps, S, S)
            From `draw_prompts`.
        """
        maps = maps.contiguous(memory_format=torch.channels_last)
        prompted = self.prompts(maps)
        tokens = self._with_own_tokens(sparse)
        tokens, features = self.transformer(image + prompted[3], position, tokens)
        x = features.transpose(1, 2).unflatten(2, prompted[3].shape[2:])
        for step, block in enumerate(self.blocks):
            level = 3 - step
            x = F.interpolate(self.narrowing[step](x), scale_factor=2.0, mode="nearest")
            x = block(x + levels[level] + prompted[level - 1])
        stride2 = x
        x = self.full_features(
            F.interpolate(self.narrowing[3](x), scale_factor=2.0, mode="nearest")
        )
        x = F.relu(x.add_(self._drawn(levels[0], maps)), inplace=True)
        x = F.relu(self.full(x), inplace=True)
        mask_tokens = tokens[:, 2 : 2 + MASK_TOKENS]
        masks = self._masks(x, mask_tokens)
        under = self._under(masks.detach(), stride2, maps)
        judged = torch.cat((mask_tokens, tokens[:, 1:2].expand(-1, MASK_TOKENS, -1), under), dim=2)
        seen = torch.cat((tokens[:, 0], under[:, 0]), dim=1)
        return MaskPrediction(
            masks=masks,
            ious=self.iou_prediction_head(judged)[:, :, 0].sigmoid(),
            tokens=mask_tokens,
            object_scores=self.pred_obj_score_head(seen),
        )

    def _drawn(self, image: Tensor, maps: Tensor) -> Tensor:
        """Convolve pixels and prompts at once: apart they take longer than all else up there."""
        together = torch.cat((maps, image.expand(len(maps), -1, -1, -1)), dim=1)
        weight = torch.cat((self.full_prompts.weight, self.full_image.weight), dim=1)
        return F.conv2d(together.contiguous(memory_format=torch.channels_last), weight, padding=1)

    def _masks(self, x: Tensor, tokens: Tensor) -> Tensor:
        weights = self._weights(tokens)
        masks: Tensor = weights[:, :, :-1] @ x.flatten(2) + weights[:, :, -1:]
        return masks.reshape(*masks.shape[:2], *x.shape[2:])

    def _under(self, masks: Tensor, stride2: Tensor, maps: Tensor) -> Tensor:
        """Return mean features, area, certainty and edge share of the pixels of each mask.

        Where the decoder gets the mask of the frame before, also the brightness relative to the
        decided frame, the overlap with the mask before, and the change of its area.

        Returns
        -------
        Tensor, shape (N, M, C + 3) or (N, M, C + 6)
        """
        inside: Tensor = F.avg_pool2d(masks.float().sigmoid(), 2).to(stride2.dtype)
        weights = inside.flatten(2)
        area = weights.sum(dim=2, keepdim=True)
        pooled = weights @ stride2.flatten(2).transpose(1, 2) / (area + 1.0)
        certain = (2 * weights - 1).abs() * weights
        edge = torch.cat(
            (inside[:, :, 0], inside[:, :, -1], inside[:, :, :, 0], inside[:, :, :, -1]), dim=2
        )
        statistics = (
            area / weights.shape[2],
            certain.sum(dim=2, keepdim=True) / (area + 1.0),
            edge.mean(dim=2, keepdim=True),
        )
        if not self._follows:
            return torch.cat((pooled, *statistics), dim=2)
        carried, brightness = F.avg_pool2d(maps[:, 4:].to(weights.dtype), 2).flatten(2).unbind(1)
        shared = weights @ carried[:, :, None]
        before = carried.sum(dim=1)[:, None, None]
        followed = (
            weights @ brightness[:, :, None] / (area + 1.0),
            shared / (area + before - shared + 1.0),
            (area - before) / (area + before + 1.0),
        )
        return torch.cat((pooled, *statistics, *followed), dim=2)


def draw_prompts(
    points: Tensor,
    labels: Tensor,
    size: int,
    mask: Tensor | None = None,
    carried: Tensor | None = None,
    brightness: Tensor | None = None,
) -> Tensor:
    """Draw the prompts of N objects.

    Parameters
    ----------
    points : Tensor, shape (N, P, 2)
        x, y in pixels of the model input, pixel centres at integers.
    labels : Tensor of int, shape (N, P)
        1 object, 0 background, 2 and 3 first and second box corner, -1 no point.
    size : int
        Side of the model input.
    mask : Tensor, shape (N or 1, 1, size, size), optional
        Mask logits that the prompts refine.
    carried : Tensor, shape (N or 1, 1, size, size), optional
        Mask logits of the frame before, where the object would be if it stood still.
    brightness : Tensor, shape (N, 1, size, size), optional
        From `relative_brightness`: one more map.

    Returns
    -------
    Tensor, shape (N, 5 or 6, size, size)
        Object clicks, background clicks, box, mask that is refined, mask of the frame before: in
        0..1; discs and boxes have soft edges, so that they move with fractions of a pixel. Then
        the brightness, if it is given.
    """
    count = len(points)
    line = torch.arange(size, device=points.device, dtype=torch.float32)
    points = points.float()
    dx = (line - points[:, :, :1]).square()
    dy = (line - points[:, :, 1:]).square()
    distance = (dy[:, :, :, None] + dx[:, :, None, :]).sqrt()
    discs = (_RADIUS + 0.5 - distance).clamp(0.0, 1.0)
    nothing = discs.new_zeros(count, size, size)
    maps = [
        (discs * (labels == kind)[:, :, None, None]).amax(dim=1) for kind in (OBJECT, BACKGROUND)
    ]
    maps.append(_boxes(points, labels, line))
    for logits in (mask, carried):
        drawn = nothing if logits is None else logits.float().sigmoid()[:, 0]
        maps.append(drawn.expand(count, -1, -1))
    if brightness is not None:
        maps.append(brightness[:, 0])
    return torch.stack(maps, dim=1)


def _boxes(points: Tensor, labels: Tensor, line: Tensor) -> Tensor:
    """Fill the rectangle between the corners of each object that has them."""
    first, last = labels == BOX_START, labels == BOX_END
    has = first.any(dim=1) & last.any(dim=1)
    low = (points * first[:, :, None]).sum(dim=1)
    high = (points * last[:, :, None]).sum(dim=1)
    x = _between(low[:, :1], high[:, :1], line)
    y = _between(low[:, 1:], high[:, 1:], line)
    return y[:, :, None] * x[:, None, :] * has[:, None, None]


def _between(low: Tensor, high: Tensor, line: Tensor) -> Tensor:
    # Corners are pixels of the box: it reaches half a pixel beyond their centres.
    return (line - low + 1.0).clamp(0.0, 1.0) * (high - line + 1.0).clamp(0.0, 1.0)
