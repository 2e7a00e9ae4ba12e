"""How well objects and stacks were segmented: the frozen values that an evaluation collects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

SIZE_EDGES = (8, 16, 32, 64)
"""Diameters, in pixels, that divide objects into size classes."""


HARM = 0.005
"""A corrective click does harm if it lowers the IoU of its frame by more than this."""


@dataclass(frozen=True, slots=True)
class ClickEffect:
    """What one corrective click did to the mask of its object in its frame.

    Attributes
    ----------
    positive : bool
        True on what was missing, False on what was too much.
    before, after : float
        IoU of the object's mask in that frame.
    vanished : bool
        The mask held a part of the object before the click and holds none after it.
    """

    positive: bool
    before: float
    after: float
    vanished: bool

    @property
    def helps(self) -> bool:
        """Whether the IoU is higher."""
        return self.after > self.before

    @property
    def harms(self) -> bool:
        """Whether the IoU is lower by more than `HARM`."""
        return self.after < self.before - HARM


@dataclass(frozen=True, slots=True)
class FrameScore:
    """How well one object was segmented in the frame that was prompted, by that frame alone.

    Attributes
    ----------
    curve : tuple of float
        IoU in that frame after the first prompt and after each corrective click there.
    f : float
        Boundary accuracy F after the last of them.
    clicks : tuple of ClickEffect
        The corrective clicks; fewer than asked for where nothing was wrong any more.
    """

    curve: tuple[float, ...]
    f: float
    clicks: tuple[ClickEffect, ...]

    @property
    def iou(self) -> float:
        """IoU after the last click."""
        return self.curve[-1]


@dataclass(frozen=True, slots=True)
class ObjectScore:
    """How well one object was segmented, after all its corrections.

    Attributes
    ----------
    object_id : int
    prompt_frame : int
        The frame that got the first prompt.
    frames : int
        Frames of the stack that truly hold the object.
    diameter : float
        That of the disc with the object's area, in pixels; of the median area over its frames.
    iou : float
        Intersection over union of the object's pixels over all frames together.
    dice : float
        Dice coefficient of the same pixels.
    j, f : float
        Region similarity J and boundary accuracy F, mean over the frames where the
        object is in the truth or in the prediction.
    life : float
        J over the frames that truly hold the object alone: whether it was followed, not whether
        its end was found. Labels made by a tracker often end before their objects do.
    curve : tuple of float
        `iou` after the first propagation and after each round of corrections.
    in_frame : FrameScore
        The prompted frame before the first propagation.
    """

    object_id: int
    prompt_frame: int
    frames: int
    diameter: float
    iou: float
    dice: float
    j: float
    f: float
    life: float
    curve: tuple[float, ...]
    in_frame: FrameScore

    @property
    def size_class(self) -> str:
        """The size class of its diameter, such as ``16-32 px``."""
        return size_class(self.diameter)

    def clicks_to(self, iou: float) -> int | None:
        """Tell how many interactions it took to reach an IoU; None if it never did."""
        reached = (number for number, value in enumerate(self.curve, start=1) if value >= iou)
        return next(reached, None)


@dataclass(frozen=True, slots=True)
class SequenceScore:
    """The scores of one stack by one method.

    Attributes
    ----------
    name, group : str
        Of the pair on disk: its name and its folder's.
    shape : (int, int, int)
        (T, Y, X).
    objects : tuple of ObjectScore
    msa, sa50 : tuple of float
        Segmentation accuracy of the whole stack (see `segmentation_accuracy`) after the first
        prompts and after each round of corrections.
    interactions : tuple of float
        Seconds of each interaction: the prompt or click itself and its share of the propagation
        that followed.
    responses : tuple of float
        Seconds of each prompt or click alone.
    """

    name: str
    group: str
    shape: tuple[int, int, int]
    objects: tuple[ObjectScore, ...]
    msa: tuple[float, ...]
    sa50: tuple[float, ...]
    interactions: tuple[float, ...]
    responses: tuple[float, ...]

    @property
    def single(self) -> bool:
        """Whether it is a single image."""
        return self.shape[0] == 1

    @property
    def iou(self) -> float:
        """Mean of the objects' IoU."""
        return fmean(score.iou for score in self.objects)

    @property
    def frame_iou(self) -> float:
        """Mean of the objects' IoU in their prompted frames alone."""
        return fmean(score.in_frame.iou for score in self.objects)

    @property
    def j(self) -> float:
        """Mean of the objects' J."""
        return fmean(score.j for score in self.objects)

    @property
    def f(self) -> float:
        """Mean of the objects' F."""
        return fmean(score.f for score in self.objects)

    @property
    def life(self) -> float:
        """Mean of the objects' J in their lives."""
        return fmean(score.life for score in self.objects)

    @property
    def dice(self) -> float:
        """Mean of the objects' Dice coefficients."""
        return fmean(score.dice for score in self.objects)

    @property
    def seconds(self) -> float:
        """Wall time of prompting, correcting and propagating."""
        return sum(self.interactions)


def size_class(diameter: float) -> str:
    """Name the class of an object's diameter in pixels: octaves from 8 to 64 pixels."""
    index = sum(diameter >= edge for edge in SIZE_EDGES)
    return SIZE_CLASSES[index]


def _names(edges: Sequence[int]) -> tuple[str, ...]:
    between = [f"{low}-{high} px" for low, high in pairwise(edges)]
    return f"< {edges[0]} px", *between, f">= {edges[-1]} px"


SIZE_CLASSES = _names(SIZE_EDGES)
"""Names of the size classes, the smallest first."""


def equal_area_diameter(areas: NDArray[np.int64]) -> float:
    """Diameter of the disc with the median area, in pixels, over the frames that hold an object.

    Parameters
    ----------
    areas : ndarray of int, shape (T,)
        Pixels in each frame; at least one is above 0.
    """
    return 2 * math.sqrt(float(np.median(areas[areas > 0])) / math.pi)
