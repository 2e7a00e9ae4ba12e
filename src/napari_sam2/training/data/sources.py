"""Labelled images and stacks, read into memory as sources of training clips."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import TrainingError
from napari_sam2.stack import open_stack
from napari_sam2.stack.pair_names import IMAGE_ENDING, LABELS_ENDING, PAIR_SUFFIXES

_STACK_DIMENSIONS = 3
_COLOURS = (3, 4)
_LARGEST_ID = 2**16
_GROUP_POWER = 0.15  # a set of a thousand times as many objects is drawn three times as often


@dataclass(frozen=True, slots=True, eq=False)
class LabelledStack:
    """An image stack with its labels; a still is a stack of one frame.

    Attributes
    ----------
    name : str
        Origin of the stack, for messages.
    group : str
        The data set it belongs to: groups are sampled by weight.
    image : ndarray of uint8, shape (T, Y, X)
        Contrast stretched over the whole stack (0.1 / 99.9 percentiles).
    labels : ndarray of int32, shape (T, Y, X)
        0 is background, `UNKNOWN` is not known; ids are kept through the stack.
    video_axes : tuple of int
        Axes that may serve as the video axis; empty for a still.
    diameter : float
        Median diameter of the objects in pixels (of equal-area discs).
    n_objects : int
        Number of different ids.
    """

    name: str
    group: str
    image: NDArray[np.uint8]
    labels: NDArray[np.int32]
    video_axes: tuple[int, ...]
    diameter: float
    n_objects: int

    def along(self, axis: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return views of image and labels as a video along `axis`."""
        return np.moveaxis(self.image, axis, 0), np.moveaxis(self.labels, axis, 0)


def stretch_contrast(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Stretch to uint8 by the 0.1 and 99.9 percentiles of the whole array."""
    low, high = np.percentile(image, [0.1, 99.9])
    if high <= low:
        return np.zeros(image.shape, np.uint8)
    scaled = (image.astype(np.float32) - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.asarray(np.clip(np.rint(scaled), 0, 255), dtype=np.uint8)


def median_diameter(labels: NDArray[np.integer]) -> float:
    """Median over frames and objects of the equal-area disc's diameter, in pixels."""
    areas: list[NDArray[np.int64]] = []
    for frame in labels[:: max(1, len(labels) // 16)]:
        counts = np.bincount(np.maximum(frame, 0).ravel())[1:]
        areas.append(counts[counts > 0])
    every = np.concatenate(areas) if areas else np.zeros(0, np.int64)
    return float(2.0 * np.sqrt(np.median(every) / np.pi)) if every.size else 0.0


def make_stack(
    image: NDArray[Any],
    labels: NDArray[np.integer],
    *,
    name: str,
    group: str = "",
    video_axes: Sequence[int] | None = None,
) -> LabelledStack:
    """Return a `LabelledStack` of checked arrays.

    Parameters
    ----------
    image : ndarray, shape (Y, X) or (T, Y, X), or the same with 3 or 4 colours last
        Values of any numeric dtype; the mean of the first three colours is trained on.
    labels : ndarray of integers, shape (Y, X) or (T, Y, X)
        0 and below is background.
    name, group : str
        For messages and for weighted sampling.
    video_axes : sequence of int, optional
        Axes that may serve as video. By default every axis of a stack whose sides are alike
        (a volume), the first axis of any other stack, none of a still.

    Raises
    ------
    TrainingError
        The shapes differ, are not 2D or 3D, labels are no integers, the image is not finite, or
        no object is labelled.
    """
    if image.shape[:-1] == labels.shape and image.shape[-1] in _COLOURS:
        image = image[..., :3].mean(axis=-1)
    if image.shape != labels.shape or image.ndim not in (2, _STACK_DIMENSIONS) or not image.size:
        raise TrainingError(
            f"Image {image.shape} and labels {labels.shape} of {name} are no pair of stacks.",
            remedy="Both must have the same shape, YX, TYX or ZYX; an image may have colours last.",
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise TrainingError(
            f"The labels of {name} are {labels.dtype}, not ids.",
            remedy="Save them as integers, 0 = background.",
        )
    if not np.isfinite(image).all():
        raise TrainingError(
            f"The image of {name} has values that are NaN or infinite.",
            remedy="Replace them, or leave this pair out.",
        )
    if image.ndim < _STACK_DIMENSIONS:
        image, labels = image[None], labels[None]
    labels, n_objects = _plain_ids(labels)
    if n_objects == 0:
        raise TrainingError(f"No object is labelled in {name}.", remedy="Leave this pair out.")
    if video_axes is None:
        video_axes = default_video_axes(image.shape)
    return LabelledStack(
        name=name,
        group=group,
        image=stretch_contrast(image),
        labels=labels,
        video_axes=tuple(video_axes),
        diameter=median_diameter(labels),
        n_objects=n_objects,
    )


def _plain_ids(labels: NDArray[np.integer]) -> tuple[NDArray[np.int32], int]:
    """Return ids as int32, 0 for no object, and their number; huge ids are numbered again."""
    ids = np.unique(labels)
    if ids[0] < 0 or ids[-1] > _LARGEST_ID:
        ids = ids[ids > 0]
        numbers = np.searchsorted(ids, labels, side="right").astype(np.int32)
        return np.where(labels > 0, numbers, np.int32(0)), len(ids)
    return labels.astype(np.int32), int(np.count_nonzero(ids))


def default_video_axes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes of (T, Y, X) that may serve as the video axis; see `make_stack`."""
    if shape[0] == 1:
        return ()
    return (0, 1, 2) if 2 * min(shape) >= max(shape) // 2 and min(shape) >= 32 else (0,)


def read_sources(folders: Iterable[Path | str]) -> tuple[LabelledStack, ...]:
    """Read every `NAME_image.tif` with its `NAME_labels.tif` below some folders.

    The folder that holds a pair is its group. Pairs without any labelled object are left out.

    Raises
    ------
    TrainingError
        No pair is found, a partner is missing, or shapes differ.
    StackError
        A file cannot be read.
    """
    stacks: list[LabelledStack] = []
    searched = [Path(folder) for folder in folders]
    for image_path in [path for folder in searched for path in _images_below(folder)]:
        labels = _pixels(_labels_of(image_path))
        if not labels.any():
            continue
        group = Path(os.path.realpath(image_path)).parent.name
        name = f"{group}/{image_path.stem.removesuffix(IMAGE_ENDING)}"
        stacks.append(make_stack(_pixels(image_path), labels, name=name, group=group))
    if not stacks:
        raise TrainingError(
            f"No labelled pair in {', '.join(str(folder) for folder in searched)}.",
            remedy="Name pairs NAME_image.tif and NAME_labels.tif.",
        )
    return tuple(stacks)


def _images_below(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.rglob(f"*{IMAGE_ENDING}.*")
        if path.suffix.lower() in PAIR_SUFFIXES and path.stem.endswith(IMAGE_ENDING)
    )


def _labels_of(image_path: Path) -> Path:
    name = image_path.stem.removesuffix(IMAGE_ENDING) + LABELS_ENDING
    for suffix in (image_path.suffix, *PAIR_SUFFIXES):
        path = image_path.with_name(name + suffix)
        if path.exists():
            return path
    raise TrainingError(
        f"{image_path.name} has no {name}{image_path.suffix} beside it.",
        remedy="Name pairs NAME_image.tif and NAME_labels.tif.",
    )


def _pixels(path: Path) -> NDArray[Any]:
    with open_stack(path) as opened:
        return np.array(opened.data)


def sampling_weights(stacks: Sequence[LabelledStack]) -> NDArray[np.float64]:
    """Probability of each stack: groups by a low power of their objects, even inside."""
    groups: dict[str, list[int]] = {}
    for index, stack in enumerate(stacks):
        groups.setdefault(stack.group, []).append(index)
    weights = np.zeros(len(stacks))
    for members in groups.values():
        total = sum(stacks[i].n_objects for i in members) ** _GROUP_POWER
        weights[members] = total / len(members)
    return np.asarray(weights / weights.sum(), dtype=np.float64)
