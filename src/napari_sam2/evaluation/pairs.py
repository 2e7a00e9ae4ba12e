"""Pairs of labelled stacks on disk, NAME_image.tif and NAME_labels.tif, and choices of a few."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation.ctc_folders import find_sequences, read_sequence
from napari_sam2.stack import FrameStack, StackKind, guess_axes, kind_along, open_stack
from napari_sam2.stack.pair_names import IMAGE_ENDING, LABELS_ENDING, PAIR_SUFFIXES

T = TypeVar("T")


def spread(items: Sequence[T], count: int) -> tuple[T, ...]:
    """Return at most `count` evenly spaced items, the first always included."""
    if len(items) <= count:
        return tuple(items)
    return tuple(items[(index * len(items)) // count] for index in range(count))


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """An image stack and its labels.

    Attributes
    ----------
    name : str
        NAME of ``NAME_image.tif``.
    group : str
        Name of the folder that holds the pair.
    image, labels : Path
        The two files; of the Cell Tracking Challenge, the folders ``NN`` and ``NN_GT``.
    """

    name: str
    group: str
    image: Path
    labels: Path


def find_pairs(folder: Path, *, limit: int | None = None) -> tuple[LabelledPair, ...]:
    """Find labelled stacks in a folder and in the folders directly below it.

    Parameters
    ----------
    folder : Path
        Holds ``NAME_image.tif`` and ``NAME_labels.tif``, or sequences of the Cell Tracking
        Challenge (``01`` and ``01_GT`` with ``TRA`` in it), or folders that do.
    limit : int, optional
        At most this many pairs of each folder, evenly spread over their sorted names.

    Returns
    -------
    tuple of LabelledPair
        Sorted by folder and name.

    Raises
    ------
    EvaluationError
        If there is no such folder, no pair in it, or an image without labels.
    """
    if not folder.is_dir():
        raise EvaluationError(
            f"There is no folder {folder}.",
            remedy="Give a folder of NAME_image.tif and NAME_labels.tif pairs.",
        )
    if limit is not None and limit < 1:
        raise EvaluationError(
            f"At most {limit} stacks of each folder leaves nothing to score.",
            remedy="Give a number of 1 or more.",
        )
    images = [
        path
        for pattern in ("*", "*/*")
        for path in folder.glob(pattern)
        if path.suffix.lower() in PAIR_SUFFIXES and path.stem.endswith(IMAGE_ENDING)
    ]
    sequences = [
        LabelledPair(images.name, images.parent.resolve().name, images, truth)
        for images, truth in find_sequences(folder)
    ]
    if not images and not sequences:
        raise EvaluationError(
            f"No NAME_image.tif in {folder} or in the folders directly below it.",
            remedy="Name the pairs NAME_image.tif and NAME_labels.tif, or give a folder of the "
            "Cell Tracking Challenge.",
        )
    pairs = sorted(
        (*sequences, *(_pair_of(image) for image in images)),
        key=lambda pair: (pair.image.parent, pair.name),
    )
    if limit is None:
        return tuple(pairs)
    by_folder = groupby(pairs, key=lambda pair: pair.image.parent)
    return tuple(pair for _, members in by_folder for pair in spread(list(members), limit))


def read_pair(
    pair: LabelledPair, kind: StackKind | None = None
) -> tuple[FrameStack, NDArray[np.integer]]:
    """Open a pair as frames and truth.

    Parameters
    ----------
    pair : LabelledPair
    kind : StackKind, optional
        What the frames are; by default what the image's axes say.

    Returns
    -------
    stack : FrameStack
        The image, read lazily; of shape (T, Y, X), a single image is one frame. Of channels that
        are no colours, the first one.
    truth : ndarray of int, shape (T, Y, X)
        Label ids, 0 = background.

    Raises
    ------
    StackError
        If a file cannot be read as a stack.
    EvaluationError
        If the labels are not integers or do not fit the image.
    LineageError
        If a folder of the Cell Tracking Challenge is incomplete.
    """
    if pair.labels.is_dir():
        return read_sequence(pair.image, pair.labels, kind or StackKind.TIME_LAPSE)
    truth = np.asarray(open_stack(pair.labels).data)
    if not np.issubdtype(truth.dtype, np.integer):
        raise EvaluationError(
            f"{pair.labels} holds {truth.dtype}, not label ids.",
            remedy="Save the labels as integers, 0 = background.",
        )
    opened = open_stack(pair.image)
    guess = guess_axes(opened.data.shape, labels=tuple(opened.axes))
    # Three frames may look like three channels, but not to who has a label for each of them.
    channel = None if tuple(opened.data.shape) == truth.shape else guess.channel
    video = 0 if channel is None and truth.ndim == 3 else guess.video
    seen = {video, guess.y, guess.x, channel}
    at = {axis: 0 for axis in range(len(opened.axes)) if axis not in seen}
    if kind is None:
        kind = StackKind.UNKNOWN if video is None else kind_along(opened.axes[video])
    # As `segment` looks at them: the colours of a pixel, or else the first channel.
    channels = None if channel is None or guess.colours else (0,)
    stack = FrameStack(
        opened.data, video, channel_axis=channel, channels=channels, at=at, kind=kind
    )
    if truth.ndim == 2:
        truth = truth[np.newaxis]
    if truth.shape != stack.shape:
        raise EvaluationError(
            f"{pair.labels.name} has the shape {truth.shape}, "
            f"{pair.image.name} has the frames {stack.shape}.",
            remedy="Labels must have one id per pixel of the image, without its channels.",
        )
    return stack, truth


def _pair_of(image: Path) -> LabelledPair:
    name = image.stem.removesuffix(IMAGE_ENDING)
    for suffix in (image.suffix, *PAIR_SUFFIXES):
        labels = image.with_name(f"{name}{LABELS_ENDING}{suffix}")
        if labels.is_file():
            return LabelledPair(name, Path(os.path.realpath(image.parent)).name, image, labels)
    raise EvaluationError(
        f"{image} has no labels beside it.",
        remedy=f"Put them at {image.with_name(name + LABELS_ENDING + image.suffix)}, "
        "or move the image elsewhere.",
    )
