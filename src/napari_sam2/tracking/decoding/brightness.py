"""What the brightness of an object where it was decided says about its tracked masks.

For networks whose input has a map of relative brightness. Nothing here is learned: without it an
object score takes the haze beyond an object's end, and what follows there, for the object, and a
mask takes the haze around its poles.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from napari_sam2.network import (
    FADED,
    ImageFeatures,
    MaskPrediction,
    bright_level,
    dim_pixels,
    object_contrast,
    relative_brightness,
    remaining_contrast,
)
from napari_sam2.tracking.images.object_window import Window
from napari_sam2.types import StackKind

_GONE = -4.0  # object score (logit) at most of an object that has ended
_DIM = -4.0  # logit of a pixel that is as dim as the surroundings; 0 at the level


class EndLimits(NamedTuple):
    """How much of its light an object loses and regains where another one follows it.

    Attributes
    ----------
    lost : float
        With less of its light left, an object may end here.
    regained : float
        With so much more from there on, that is another object.
    least_area : float
        Of the object's, that its light is taken from: masks become too small by chance.
    """

    lost: float
    regained: float
    least_area: float


# Measured on fifteen stacks, see docs/measurements/bundled_model.md
_ANY_STACK = EndLimits(lost=0.5, regained=0.15, least_area=0.8)
_Z_STACK = EndLimits(lost=0.75, regained=0.15, least_area=0.5)


def end_limits(kind: StackKind) -> EndLimits:
    """Return the limits for frames of a kind: in a time-lapse, cells dim and come back."""
    return _Z_STACK if kind is StackKind.Z_STACK else _ANY_STACK


@dataclass(frozen=True, slots=True, eq=False)
class DecidedBrightness:
    """The brightness of an object in a decided frame.

    Attributes
    ----------
    contrast : Tensor, shape (3,)
        From `object_contrast`.
    level : Tensor, shape (2,)
        From `bright_level`.
    area : Tensor, shape ()
        In pixels of the frame.
    """

    contrast: Tensor
    level: Tensor
    area: Tensor

    @classmethod
    def measured(cls, features: ImageFeatures, logits: Tensor, window: Window) -> DecidedBrightness:
        """Measure an object in the window of `features`; logits of its mask are (S, S)."""
        mask = logits[None, None] > 0
        return cls(
            object_contrast(features.pixels, mask)[0],
            bright_level(features.pixels, mask)[0],
            _areas(mask, [window])[0],
        )


class CheckedMasks(NamedTuple):
    """Masks of N objects in a tracked frame, and what is left of the light of the objects.

    Attributes
    ----------
    prediction : MaskPrediction
    lowest : Tensor, shape (N,)
        See `KnownBrightness`; this frame counts.
    """

    prediction: MaskPrediction
    lowest: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class KnownBrightness:
    """What is known of the brightness of an object that is tracked.

    Attributes
    ----------
    nearest : Tensor, shape (3,)
        Its contrast in the nearest decided frame that shows it.
    clearest : Tensor, shape (3,)
        Its contrast in that of the decided frames it attends to where it stands out most.
    level : Tensor, shape (2,)
        The level nearest to the surroundings in any of these, and how well levels explain the mask
        that they explain least.
    area : Tensor, shape ()
        Its area where it stands out most, in pixels of the frame.
    lowest : Tensor, shape ()
        The lowest share of its light that was left since it was decided, at most 1;
        minus infinity once another object has followed it.
    """

    nearest: Tensor
    clearest: Tensor
    level: Tensor
    area: Tensor
    lowest: Tensor

    @classmethod
    def of(
        cls,
        nearest: DecidedBrightness | None,
        attended: Iterable[DecidedBrightness],
        lowest: Tensor | None = None,
    ) -> KnownBrightness | None:
        """Put together what decided frames say, and `lowest`, by default 1.

        The frames are those that an object attends to now: which others are remembered is chance.
        """
        known = list(attended)
        if nearest is None or not known:
            return None
        contrasts = torch.stack([each.contrast for each in known])
        levels = torch.stack([each.level for each in known])
        areas = torch.stack([each.area for each in known])
        # Selected by index: a GPU is not waited for.
        clearest = (contrasts[:, 0] - contrasts[:, 1]).abs().argmax(dim=0, keepdim=True)
        faintest = levels[:, 0].abs().argmin(dim=0, keepdim=True)
        return cls(
            nearest.contrast,
            contrasts.index_select(0, clearest)[0],
            torch.stack((levels[:, 0].index_select(0, faintest)[0], levels[:, 1].amin(dim=0))),
            areas.index_select(0, clearest)[0],
            torch.ones_like(areas[0]) if lowest is None else lowest,
        )

    @classmethod
    def joined(cls, objects: Sequence[KnownBrightness | None]) -> KnownBrightness | None:
        """Put N objects together as a batch, with zeros where nothing is known; None if of none."""
        some = next((each for each in objects if each is not None), None)
        if some is None:
            return None
        nothing = cls(
            torch.zeros_like(some.nearest),
            torch.zeros_like(some.clearest),
            torch.zeros_like(some.level),
            torch.ones_like(some.area),
            torch.ones_like(some.lowest),
        )
        rows = [nothing if each is None else each for each in objects]
        return cls(
            torch.stack([each.nearest for each in rows]),
            torch.stack([each.clearest for each in rows]),
            torch.stack([each.level for each in rows]),
            torch.stack([each.area for each in rows]),
            torch.stack([each.lowest for each in rows]),
        )

    def relative(self, features: ImageFeatures) -> Tensor:
        """Return how bright the windows are relative to their objects, (N, 1, S, S)."""
        return relative_brightness(features.pixels, self.nearest)

    def checked(
        self,
        prediction: MaskPrediction,
        features: ImageFeatures,
        windows: Sequence[Window],
        limits: EndLimits = _ANY_STACK,
    ) -> CheckedMasks:
        """Take from masks what is too dim, and lower the object scores of what has ended.

        An object that was also decided near by, where little of its contrast was left, may lose
        half of that before it counts as faded. What loses enough of its light, contrast times area,
        and then regains some is followed by another object, as nuclei in a tissue are along the
        depth; it does not come back by itself. A cell that flattens is dimmer and larger, and keeps
        its light.
        """
        masks = prediction.masks > 0
        left = remaining_contrast(features.pixels, masks, self.clearest)
        steps = [contrast[:, 0] - contrast[:, 1] for contrast in (self.nearest, self.clearest)]
        near = (steps[0] / torch.where(steps[1] == 0, 1.0, steps[1])).clamp(0.0, 1.0)
        faded = left < (near / 2).clamp(max=FADED)
        shown = (prediction.object_scores[:, 0] > 0) & masks.flatten(1).any(dim=1)
        there = shown & faded.logical_not()
        share = _areas(masks, windows) / self.area.clamp(min=1.0)
        light = left * share.clamp(min=limits.least_area)
        followed = (self.lowest < limits.lost) & (light > self.lowest + limits.regained) & there
        followed = followed | (self.lowest == -torch.inf)
        lowest = torch.where(there, torch.minimum(self.lowest, light), self.lowest)
        lowest = lowest.masked_fill(followed, -torch.inf)
        scores = prediction.object_scores
        lowered = torch.where((faded | followed)[:, None], scores.clamp(max=_GONE), scores)
        below = dim_pixels(features.pixels, masks, self.clearest, self.level)
        logits = torch.where(below > 0, _DIM * below, prediction.masks)
        return CheckedMasks(replace(prediction, masks=logits, object_scores=lowered), lowest)


def _areas(masks: Tensor, windows: Sequence[Window]) -> Tensor:
    """Return the areas of masks (N, 1, S, S) of windows, in pixels of the frame, (N,)."""
    sizes = [float(window.height * window.width) for window in windows]
    return masks.flatten(1).float().mean(dim=1) * torch.tensor(sizes, device=masks.device)
