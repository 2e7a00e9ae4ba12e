"""What the brightness of an object where it was decided says about its tracked masks.

For networks whose input has a map of relative brightness. Nothing here is learned: without it an
object score takes the haze beyond an object's end, and what follows there, for the object, and a
mask takes the haze around its poles.
"""

from __future__ import annotations

import math
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

_ENDED_SCORE = -4.0  # object score (logit) of an object that has ended, at most
_DIM_LOGIT = -4.0  # logit of a pixel as dim as the surroundings; it is 0 at the object's level


# A valley is a loss of contrast that is regained later, as a natural logarithm. The values were
# chosen on recorded stacks; see docs/measurements/bundled_model.md.
_SCORE_WEIGHT = 0.4  # of the object score, beside the contrast
_SCORE_OFFSET = 0.3  # added to object scores, so that scores near 0 weigh little
_MIN_CONTRAST = 0.05  # remaining share of an object's contrast, at least
_MIN_AREA = 0.5  # share of the decided area: smaller masks may be too small by chance
_VALLEYS = {StackKind.Z_STACK: 0.35, StackKind.UNKNOWN: 0.8, StackKind.TIME_LAPSE: 0.8}


def deepest_valley(kind: StackKind) -> float:
    """Return the deepest valley of contrast of an object that goes on; see `LightHistory`."""
    return _VALLEYS[kind]


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


@dataclass(frozen=True, slots=True, eq=False)
class LightHistory:
    """How the light and the object score of an object changed since it was decided.

    Both rise and fall once along the depth of an object. Where they fall and rise again, another
    object follows it. Light is contrast times area. All values are natural logarithms: of the
    light as a share of that in the decided frame, and of the object score.

    Attributes
    ----------
    highest : Tensor, shape (..., 2)
        Highest light and score so far; infinite once another object has followed.
    before : Tensor, shape (..., 2)
        Highest before the lowest frame: that where most of both together was lost.
    low : Tensor, shape (..., 2)
        Light and score in the lowest frame.
    frame : Tensor, shape (...)
        That frame.
    """

    highest: Tensor
    before: Tensor
    low: Tensor
    frame: Tensor

    @classmethod
    def beginning(cls, like: Tensor) -> LightHistory:
        """Return the history of an object that was only decided so far, beside a tensor."""
        start = torch.tensor([0.0, math.log(_SCORE_OFFSET)], device=like.device)
        return cls(start, start, start, torch.tensor(-1.0, device=like.device))

    @classmethod
    def joined(cls, objects: Sequence[LightHistory]) -> LightHistory:
        """Concatenate the histories of N objects."""
        return cls(
            torch.stack([each.highest for each in objects]),
            torch.stack([each.before for each in objects]),
            torch.stack([each.low for each in objects]),
            torch.stack([each.frame for each in objects]),
        )

    def of(self, index: int) -> LightHistory:
        """Return that of one of several objects."""
        return LightHistory(
            self.highest[index], self.before[index], self.low[index], self.frame[index]
        )

    def packed(self) -> Tensor:
        """Return all values of one object as a tensor (7,)."""
        return torch.cat((self.highest, self.before, self.low, self.frame[None]))

    @classmethod
    def unpacked(cls, values: Tensor) -> LightHistory:
        """Return the history that `packed` made values of."""
        return cls(values[:2], values[2:4], values[4:6], values[6])

    @property
    def followed(self) -> Tensor:
        """Whether another object has followed, bool (...)."""
        return self.highest.isinf().any(dim=-1)

    def extended(
        self, light: Tensor, scores: Tensor, shown: Tensor, frame: int, deepest: float
    ) -> LightHistory:
        """Update the history with one more frame of N objects.

        Parameters
        ----------
        light : Tensor, shape (N,)
            As a share of that in the decided frame, above 0.
        scores : Tensor, shape (N,)
            Object scores.
        shown : Tensor of bool, shape (N,)
            Objects that are in the frame; the others stay as they are.
        frame : int
        deepest : float
            How deep a valley may be: the smaller of what was lost and regained.
        """
        score = scores.clamp(min=0.0) + _SCORE_OFFSET
        now = torch.stack((light, score), dim=-1).log()
        weights = torch.tensor([1.0, _SCORE_WEIGHT], device=now.device)
        highest = torch.maximum(self.highest, now)
        lower = (highest - now) @ weights > (self.before - self.low) @ weights
        before = torch.where(lower[:, None], highest, self.before)
        low = torch.where(lower[:, None], now, self.low)
        last = self.frame.masked_fill(lower, float(frame))
        valley = torch.minimum(before - low, now - low).clamp(min=0.0) @ weights
        highest = highest.masked_fill((valley > deepest)[:, None], torch.inf)
        taken = shown & self.followed.logical_not()
        return LightHistory(
            torch.where(taken[:, None], highest, self.highest),
            torch.where(taken[:, None], before, self.before),
            torch.where(taken[:, None], low, self.low),
            torch.where(taken, last, self.frame),
        )


class CheckedMasks(NamedTuple):
    """Masks of N objects in a tracked frame, and how their light changed up to it.

    Attributes
    ----------
    prediction : MaskPrediction
    history : LightHistory
        This frame counts.
    ended : Tensor, shape (N,)
        The last frame of objects that another one follows, as this frame shows; -1 of all others.
    """

    prediction: MaskPrediction
    history: LightHistory
    ended: Tensor


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
    history : LightHistory
        Since the last decided frame.
    """

    nearest: Tensor
    clearest: Tensor
    level: Tensor
    area: Tensor
    history: LightHistory

    @classmethod
    def of(
        cls,
        nearest: DecidedBrightness | None,
        attended: Iterable[DecidedBrightness],
        history: LightHistory | None = None,
    ) -> KnownBrightness | None:
        """Combine the brightness in decided frames with a history, by default an empty one.

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
            history or LightHistory.beginning(areas),
        )

    @classmethod
    def joined(cls, objects: Sequence[KnownBrightness | None]) -> KnownBrightness | None:
        """Batch N objects, with zeros for those without values; None if no object has values."""
        some = next((each for each in objects if each is not None), None)
        if some is None:
            return None
        nothing = cls(
            torch.zeros_like(some.nearest),
            torch.zeros_like(some.clearest),
            torch.zeros_like(some.level),
            torch.ones_like(some.area),
            LightHistory.beginning(some.area),
        )
        rows = [nothing if each is None else each for each in objects]
        return cls(
            torch.stack([each.nearest for each in rows]),
            torch.stack([each.clearest for each in rows]),
            torch.stack([each.level for each in rows]),
            torch.stack([each.area for each in rows]),
            LightHistory.joined([each.history for each in rows]),
        )

    def relative(self, features: ImageFeatures) -> Tensor:
        """Return how bright the windows are relative to their objects, (N, 1, S, S)."""
        return relative_brightness(features.pixels, self.nearest)

    def checked(
        self,
        prediction: MaskPrediction,
        features: ImageFeatures,
        windows: Sequence[Window],
        frame: int,
        deepest: float = math.inf,
    ) -> CheckedMasks:
        """Remove pixels that are too dim, and lower the object scores of ended objects.

        An object that was also decided near by, where little of its contrast was left, may lose
        half of that before it counts as faded. What loses light and regains it is followed by
        another object, as nuclei in a tissue are along the depth; it does not come back by itself.

        Parameters
        ----------
        prediction : MaskPrediction
        features : ImageFeatures
            Of the windows of N objects, or of one window for all.
        windows : sequence of N Window
        frame : int
        deepest : float
            How deep a valley of the light an object passes through; see `deepest_valley`.
        """
        masks = prediction.masks > 0
        left = remaining_contrast(features.pixels, masks, self.clearest)
        steps = [contrast[:, 0] - contrast[:, 1] for contrast in (self.nearest, self.clearest)]
        near = (steps[0] / torch.where(steps[1] == 0, 1.0, steps[1])).clamp(0.0, 1.0)
        faded = left < (near / 2).clamp(max=FADED)
        scores = prediction.object_scores
        shown = (scores[:, 0] > 0) & masks.flatten(1).any(dim=1) & faded.logical_not()
        known = self.clearest.any(dim=1)
        share = _areas(masks, windows) / self.area.clamp(min=1.0)
        light = left.clamp(min=_MIN_CONTRAST) * share.clamp(min=_MIN_AREA)
        history = self.history.extended(light, scores[:, 0], shown & known, frame, deepest)
        ended = (faded | history.followed)[:, None]
        lowered = torch.where(ended, scores.clamp(max=_ENDED_SCORE), scores)
        below = dim_pixels(features.pixels, masks, self.clearest, self.level)
        logits = torch.where(below > 0, _DIM_LOGIT * below, prediction.masks)
        checked = replace(prediction, masks=logits, object_scores=lowered)
        new = history.followed & self.history.followed.logical_not()
        return CheckedMasks(checked, history, torch.where(new, history.frame, -1.0))


def _areas(masks: Tensor, windows: Sequence[Window]) -> Tensor:
    """Return the areas of masks (N, 1, S, S) of windows, in pixels of the frame, (N,)."""
    sizes = [float(window.height * window.width) for window in windows]
    return masks.flatten(1).float().mean(dim=1) * torch.tensor(sizes, device=masks.device)
