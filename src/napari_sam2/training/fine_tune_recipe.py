"""The recipe of a fine-tuning run, from the few settings that users choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_sam2.errors import TrainingError
from napari_sam2.network import ConvTrunkConfig, Sam2Config
from napari_sam2.training.data.clips import ClipSettings
from napari_sam2.training.data.sources import LabelledStack
from napari_sam2.training.losses.primitives import LossWeights
from napari_sam2.training.parts import Parts
from napari_sam2.training.run.recipe import Recipe, TrainingPhase

TRUNK_RATE = 0.1
"""Learning rate of the trunk relative to the rest: what it sees, it learnt from far more data."""

_RATES = {Parts.ALL: 1e-4, Parts.DECODER: 3e-4}
_FINE_RATES = {Parts.ALL: 5e-4, Parts.DECODER: 5e-4}  # for small networks with masks as fine
_FINE_SIZES = (0.07, 1.2)  # longer side of objects over that of their window there
_SEARCHES = 0.25
_LOSSES = LossWeights(focal=20.0, dice=1.0, iou=1.0, object_score=0.0)
_FINE_LOSSES = LossWeights(
    focal=0.0, plain=1.0, dice=1.0, iou=1.0, object_score=0.0, clicks=0.05, others=0.1
)
_STRIDE = 32
_CONV_CROP = 256
_PIXELS_PER_STEP = 4 * 256**2
_MOST_STILLS = 8
_SIZE_SPREAD = 1.35
_SMALLEST = 6.0
_MOST_OF_CROP = 0.8
_WINDOW_RATIOS = (4.5, 2.2)  # sides of a window over the extent of its object


@dataclass(frozen=True, slots=True)
class FineTuneSettings:
    """A user's choices; None is decided by `resolve`.

    Attributes
    ----------
    parts : Parts
        Parts of the network to train.
    steps : int
        Optimiser steps; the learning rate falls over them.
    image_size : int, optional
        Side of the model input in pixels, a multiple of 32; the model's own by default.
    crop : int, optional
        Side of the windows of the model input that are trained on. By default 256 pixels for a
        convolutional trunk that sees whole frames, else all of it: the positions of Hiera belong
        to the whole input, and a model that sees objects in windows has small inputs anyway.
    batch : int, optional
        Single frames per step; clips of several frames are fewer. By default about as many as
        make four windows of 256 pixels.
    frames : int
        Frames of the clips that every second step tracks through; 1 trains single frames only.
    rate : float, optional
        Learning rate at the beginning; 1e-4 for all parts, the trunk a tenth of it, and 3e-4
        for the decoder; 5e-4 for either in networks whose masks are as fine as their input.
    validate_every : int
        Steps between validations.
    patience : int
        So many validations without a better figure end the run.
    seed : int
        Seed of all random numbers.
    """

    parts: Parts = Parts.ALL
    steps: int = 600
    image_size: int | None = None
    crop: int | None = None
    batch: int | None = None
    frames: int = 3
    rate: float | None = None
    validate_every: int = 50
    patience: int = 5
    seed: int = 0

    def resolve(self, config: Sam2Config) -> ResolvedSettings:
        """Return the settings with a value for every option that was left open.

        Raises
        ------
        TrainingError
            A choice is impossible.
        """
        size = config.image_size if self.image_size is None else self.image_size
        whole = config.object_windows or not isinstance(config.trunk, ConvTrunkConfig)
        crop = (size if whole else min(size, _CONV_CROP)) if self.crop is None else self.crop
        fine = bool(config.fine_channels)
        usual = (_FINE_RATES if fine else _RATES)[self.parts]
        rate = usual if self.rate is None else self.rate
        for what, side in (("image size", size), ("crop", crop)):
            if side < _STRIDE or side % _STRIDE:
                raise _impossible(f"{what} of {side}", "Choose a multiple of 32, such as 256.")
        if crop > size:
            raise _impossible(f"crop of {crop} in {size}", "Crops are windows of the model input.")
        fitting = round(_PIXELS_PER_STEP / crop**2)
        batch = min(max(fitting, 1), _MOST_STILLS) if self.batch is None else self.batch
        counts = {
            "number of steps": self.steps,
            "batch": batch,
            "number of frames": self.frames,
            "number of steps between validations": self.validate_every,
            "patience": self.patience,
        }
        for what, count in counts.items():
            if count < 1:
                raise _impossible(f"{what} of {count}", "Give 1 or more.")
        if not 0.0 < rate < 1.0:
            raise _impossible(f"rate of {rate:g}", "Give one above 0, such as 1e-4.")
        return ResolvedSettings(
            self.parts,
            size,
            crop,
            batch,
            self.frames,
            rate,
            self.seed,
            self.steps,
            config.object_windows,
            fine,
        )


@dataclass(frozen=True, slots=True)
class ResolvedSettings:
    """All values that decide the steps of a run; see `FineTuneSettings` and `Sam2Config`."""

    parts: Parts
    image_size: int
    crop: int
    batch: int
    frames: int
    rate: float
    seed: int
    steps: int
    object_windows: bool
    fine: bool = False

    def recipe(self, stacks: Sequence[LabelledStack], *, bfloat16: bool) -> Recipe:
        """Write the recipe for some labelled data.

        Objects are shown about as large as they will be in use. Stills train no object score,
        because every prompted object is present.
        """
        stills = TrainingPhase(
            "single frames",
            steps=self.steps,
            clips=ClipSettings(
                size=self.crop,
                n_objects=2 if self.fine else 16,
                diameter=self._diameters(stacks),
                min_area=12,
                synthetic=0.0,
                moving=0.8,
                look=0.5,
                # Its own judgement chooses among several scales: it sees objects at all of them.
                searches=_SEARCHES if self.fine else 0.0,
            ),
            batch=self.batch,
            frame_size=self.image_size,
            rate=self.rate,
            final_rate=0.05 * self.rate,
            warm_up=20,
            losses=_FINE_LOSSES if self.fine else _LOSSES,
            dense=0.0,
            boxes=0.4,
            masks=0.3,
            corrections=0.3,
            rounds=2,
        )
        if self.frames > 1:
            clips = replace(
                stills,
                name="clips",
                clips=replace(
                    stills.clips,
                    n_frames=self.frames,
                    n_objects=2 if self.fine else 4,
                    diameter=self._followed(stills.clips.diameter),
                    searches=0.0,
                ),
                batch=max(1, self.batch // 2),
                losses=replace(stills.losses, object_score=0.2),
                corrections=0.2,
            )
            stills = replace(stills, also=clips)
        return Recipe(
            (stills,),
            seed=self.seed,
            weight_decay=0.01,
            ema_decay=0.99,
            threads=torch.get_num_threads(),
            bfloat16=bfloat16,
        )

    def _followed(self, diameters: tuple[float, float]) -> tuple[float, float]:
        """Return how large objects are in windows that follow them."""
        if not self.fine:
            return diameters
        low, high = (self.image_size / ratio for ratio in _WINDOW_RATIOS)
        return low, high

    def _diameters(self, stacks: Sequence[LabelledStack]) -> tuple[float, float]:
        if self.fine:
            low, high = (share * self.crop for share in _FINE_SIZES)
            return low, high
        in_use = diameters_in_windows if self.object_windows else diameters_in_frames
        largest = _MOST_OF_CROP * self.crop
        low, high = in_use(stacks, self.image_size)
        low = float(np.clip(low, _SMALLEST, largest))
        return low, float(np.clip(high, low, largest))


def diameters_in_frames(stacks: Sequence[LabelledStack], image_size: int) -> tuple[float, float]:
    """Return how large objects are in frames squashed to the model input, from small to large.

    The middle four fifths of the stacks' median diameters, widened by a third; in pixels.
    """
    in_use = [
        stack.diameter * image_size / np.sqrt(np.prod(stack.image.shape[1:])) for stack in stacks
    ]
    low, high = np.percentile(in_use, [10, 90])
    return float(low) / _SIZE_SPREAD, float(high) * _SIZE_SPREAD


def diameters_in_windows(stacks: Sequence[LabelledStack], image_size: int) -> tuple[float, float]:
    """Return how large objects are in windows that follow them, from small to large, in pixels.

    The first window of a clicked object has the scale of the frame, later windows leave room around
    the object.
    """
    smallest = min(stack.diameter for stack in stacks) / _SIZE_SPREAD
    low, high = (image_size / ratio for ratio in _WINDOW_RATIOS)
    return min(smallest, low), high


def _impossible(what: str, remedy: str) -> TrainingError:
    return TrainingError(f"A {what} cannot be trained with.", remedy=remedy)
