"""Labels as prompts: every object is a mask prompt in each frame where it is drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import PromptError
from napari_sam2.prompts import CELLPOSE_SUFFIX, PromptBook, read_cellpose_masks
from napari_sam2.segmentation.label_layout import LabelLayout
from napari_sam2.stack import FrameStack, OpenedStack, open_labels

_SUFFIXES = (".tif", ".tiff", ".zarr", ".npy", ".nii", ".nii.gz", ".png")
_LARGEST_ID = 2**32 - 1


def holds_labels(path: Path) -> bool:
    """Return whether a prompts file is an image of labels, by its name."""
    return path.name.lower().endswith(_SUFFIXES)


def prompts_of_labels(
    path: Path, opened: OpenedStack, stack: FrameStack, layout: LabelLayout
) -> PromptBook:
    """Read labels as mask prompts.

    Parameters
    ----------
    path : Path
        Labels of the shape of the image, without its channels; where the image has axes that are
        held, these may be left out. Empty frames are the ones to fill. 2D labels are those of a
        single frame.
    opened : OpenedStack
        The image.
    stack : FrameStack
        Its frames. The region that it may have is not looked at.
    layout : LabelLayout
        Of the labels of the image.

    Raises
    ------
    PromptError
        They are no labels, or not of this image.
    """
    if path.name.lower().endswith(CELLPOSE_SUFFIX):
        labels: Any = read_cellpose_masks(path)
        axes = ""
    else:
        found = open_labels(path)
        labels, axes = found.data, found.axes
    frames = _frames_of(labels, axes, path, opened, stack, layout)
    book = PromptBook((stack.n_frames, *stack.image_shape))
    for number, plane in enumerate(frames):
        ids = np.unique(plane)
        if ids.size and not (int(ids[0]) >= 0 and int(ids[-1]) <= _LARGEST_ID):
            raise PromptError(
                f"{path.name} holds {ids[0]} to {ids[-1]} in frame {number}, which are no labels.",
                remedy=f"Labels are 0 (background) to {_LARGEST_ID}.",
            )
        for object_id in ids[ids > 0].tolist():
            book.add_mask(object_id, number, plane == object_id)
    if not len(book):
        raise PromptError(
            f"{path.name} holds no labels: every pixel is background.",
            remedy="Draw each object in at least one frame.",
        )
    return book


def describe_label_prompts(path: Path, book: PromptBook) -> str:
    """Describe which prompts were read from labels."""
    frames = len({frame for _, frame, _ in book})
    objects = len(book.object_ids())
    return (
        f"{path.name}: {len(book)} mask prompts, of {objects} object{'s' * (objects != 1)} drawn "
        f"in {frames} frame{'s' * (frames != 1)}."
    )


def _frames_of(
    labels: Any,
    axes: str,
    path: Path,
    opened: OpenedStack,
    stack: FrameStack,
    layout: LabelLayout,
) -> list[NDArray[np.integer[Any]]]:
    """Return the planes of labels, one per frame of the image."""
    data = np.asarray(labels[...])
    if data.dtype.kind == "f" and np.isfinite(data).all() and (data == np.rint(data)).all():
        data = data.astype(np.int64)
    if data.dtype.kind not in "iu":
        raise PromptError(
            f"{path.name} holds {data.dtype}, not labels.",
            remedy="Save the labels as integers, 0 = background.",
        )
    fitting = layout.as_frames(data, axes, opened, stack)
    if fitting is None:
        wanted = (stack.n_frames, *stack.image_shape)
        raise PromptError(
            f"The labels in {path.name} have the shape {data.shape}, and the image has "
            f"{wanted[0]} frames of {wanted[1]} x {wanted[2]} pixels.",
            remedy="Give labels of the shape of the image, without its channels: all frames, empty "
            "where nothing is drawn.",
        )
    return [fitting[frame] for frame in range(len(fitting))]
