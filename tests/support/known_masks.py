"""A network of random weights whose masks are known: no test need depend on what weights draw."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from reference_weights import fill_randomly
from torch import Tensor

from napari_sam2.network import ConvTrunkConfig, MaskPrediction, Sam2, Sam2Config
from napari_sam2.network.prompt_encoder import BACKGROUND, BOX_END, BOX_START, OBJECT

TINY = Sam2Config(
    trunk=ConvTrunkConfig(channels=(8, 8, 16, 16), depths=(1, 1, 1, 1)),
    image_size=64,
    width=32,
    top_down_levels=(0, 1, 2, 3),
    decoder_heads=2,
    decoder_mlp=32,
    memory_width=16,
    memory_layers=1,
    memory_mlp=32,
    fuser_layers=1,
)

_HELD = 4  # channels of a memory that hold the mask, 2 x 2 values a token
_RADII = (14.0, 10.0, 18.0)  # of the discs that a click could mean, in pixels of the model input
_IOUS = (0.85, 0.7, 0.55)  # of these, give or take a little
_LOGIT = 6.0


class KnownMasks(Sam2):
    """A network that computes all that it is asked for, and whose masks are certain nevertheless.

    A click means a disc around it, a box its inside; a click on background takes its disc away. An
    object that is followed stays, in its window, where it was in the frame that it remembers last.
    Of the weights are the logits, but for their signs, and the predicted IoUs, but for their order:
    whatever changes what the network computes is seen in them. Whether objects are present, the
    bias of the object score decides.
    """

    def encode_memory(self, stride16: Tensor, mask_probability: Tensor, present: Tensor) -> Tensor:
        """Remember; some channels hold the mask, in eighths of the input's resolution."""
        memory = super().encode_memory(stride16, mask_probability, present)
        height, width = memory.shape[2:]
        mask = F.interpolate(mask_probability, (2 * height, 2 * width), mode="area")
        held = F.pixel_unshuffle(_signs(mask - 0.5), 2).to(memory.dtype)
        return torch.cat((held, memory[:, _HELD:]), dim=1)

    def attend_memory(
        self,
        stride16: Tensor,
        position: Tensor,
        memory: Tensor,
        memory_position: Tensor,
        pointer_tokens: int,
        opened: Tensor | None = None,
    ) -> Tensor:
        """Attend; some channels carry the mask of the frame that is remembered last."""
        conditioned = super().attend_memory(
            stride16, position, memory, memory_position, pointer_tokens, opened
        )
        height, width = stride16.shape[2:]
        end = memory.shape[1] - pointer_tokens
        last = memory[:, end - height * width : end, :_HELD]
        held = last.transpose(1, 2).unflatten(2, (height, width)).to(conditioned.dtype)
        return torch.cat((held, conditioned[:, _HELD:]), dim=1)

    def predict_masks(self, conditioned: Tensor, *maps: Any, **prompts: Any) -> MaskPrediction:
        """Predict, and give the logits the signs of the masks that are known."""
        prediction = super().predict_masks(conditioned, *maps, **prompts)
        points, labels = prompts.get("points"), prompts.get("point_labels")
        start = prompts.get("mask_inputs")
        if points is None and start is None:
            held = F.pixel_shuffle(conditioned[:, :_HELD].float(), 2)
            known = F.interpolate(_signs(held), prediction.masks.shape[2:], mode="nearest")
        else:
            known = _signs(start) if start is not None else -prediction.masks.new_ones(1, 1, 1, 1)
        known = known.expand(prediction.masks.shape)
        if points is not None and labels is not None:
            stride = 16 * conditioned.shape[-1] // known.shape[-1]
            known = _prompted(known, points, labels, stride)
        masks = _LOGIT * known + F.softsign(prediction.masks)
        order = torch.tensor(_IOUS[: masks.shape[1]], device=masks.device)
        return replace(prediction, masks=masks, ious=order + 0.1 * (prediction.ious - 0.5))


def known_masks(
    object_score: float = 4.0, config: Sam2Config = TINY, seed: int | None = None
) -> KnownMasks:
    """Build a small network whose masks are known.

    Parameters
    ----------
    object_score : float
        Negative: objects are always absent.
    config : Sam2Config
        Its memories have four channels or more.
    seed : int, optional
        Of the weights. By default that of NAPARI_SAM2_TEST_SEED, to try other weights, or 7.
    """
    seed = int(os.environ.get("NAPARI_SAM2_TEST_SEED", "7")) if seed is None else seed
    network = KnownMasks(config).eval()
    fill_randomly(network, seed)
    head = network.sam_mask_decoder.pred_obj_score_head.layers[-1]
    head.weight.mul_(0.001)
    head.bias.fill_(object_score)
    return network.requires_grad_(False)


def _signs(values: Tensor) -> Tensor:
    """Return 1 where values are above 0, and -1 elsewhere."""
    return 2.0 * (values > 0).float() - 1.0


def _prompted(known: Tensor, points: Tensor, labels: Tensor, stride: int) -> Tensor:
    """Paint discs and boxes over masks (N, M, S / stride, S / stride)."""
    places = (torch.arange(known.shape[-1], device=known.device) + 0.5) * stride - 0.5
    prompts = zip(known, points.tolist(), labels.tolist(), strict=True)
    return torch.stack([_painted(*each, places) for each in prompts])


def _painted(mask: Tensor, points: list[list[float]], kinds: list[int], places: Tensor) -> Tensor:
    """Paint over masks (M, h, w), whose rows and columns are at `places` of the input."""
    radii = torch.tensor(_RADII[: len(mask)], device=mask.device)[:, None, None]
    painted = mask
    corners = [
        each for each, kind in zip(points, kinds, strict=True) if kind in (BOX_START, BOX_END)
    ]
    if corners:
        (x0, y0), (x1, y1) = corners
        rows, columns = ((places >= a) & (places <= b) for a, b in ((y0, y1), (x0, x1)))
        painted = torch.where(rows[:, None] & columns, 1.0, painted)
    for (x, y), kind in zip(points, kinds, strict=True):
        if kind in (BACKGROUND, OBJECT):
            near = torch.hypot(places[:, None] - y, places[None] - x) < radii
            painted = torch.where(near, 1.0 if kind == OBJECT else -1.0, painted)
    return painted
