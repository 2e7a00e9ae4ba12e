"""Gathers what results are made of from the layers of the stack in view.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2.stack import ArrayView, axis_letter
from napari_sam2.widgets.layers.geometry import full_resolution, spatial_shape, stack_view
from napari_sam2.widgets.layers.image_axes import (
    axis_names,
    file_axes,
    pixel_sizes,
    pixel_units,
)
from napari_sam2.widgets.state.stack_result import StackResult

if TYPE_CHECKING:
    from napari_sam2.widgets.layers.workspace import Workspace
    from napari_sam2.widgets.state.positions import StackPosition


def stack_result(workspace: Workspace, position: StackPosition) -> StackResult:
    """Gather what results are made of. Main thread only.

    Where the image is a time-lapse of volumes, all volumes count; else the stack at `position`.
    """
    image, axis = workspace.image, workspace.axis
    labels, letters = workspace.labels.data, file_axes(image, axis)
    # Channels are no volumes: the one in view counts, or the one pixel of those composed.
    channel = letters.find("C") if workspace.composed is None else workspace.composed
    kept = [i for i in range(len(letters)) if i != channel]
    volumes = "".join(sorted(letters[i] for i in kept)) == "TXYZ" and labels.ndim == len(letters)
    if volumes:
        time = letters.index("T")
        first: int | None = time
        held = {axis: at for axis, at in position if axis == channel}
        index = tuple(held.get(i, slice(None)) for i in range(labels.ndim))
        view = np.moveaxis(labels[index], kept.index(time), 0)  # no copy: labels change
        axes = "TZYX"
    else:
        first, held = axis, dict(position)
        view = stack_view(labels, axis, position)
        named = "" if axis is None else axis_letter(axis_names(image)[axis])
        axes = ("Z" if named == "z" else "T") + "YX"
    sizes, units = _known_scale(workspace, letters, axes, first)
    channels, names = _channels(workspace, first, held)
    return StackResult(
        view,
        channels,
        names,
        axes,
        letters,
        sizes,
        units,
        volumes,
        held,
        workspace.source.stack(axis, dict(position)),
        workspace.labels_at(position),
    )


def _known_scale(
    workspace: Workspace, letters: str, axes: str, first: int | None
) -> tuple[tuple[float, ...] | None, tuple[str, ...] | None]:
    """Return pixel sizes and units along `axes`, if all lengths have a unit."""
    sizes, units = pixel_sizes(workspace.image, letters), pixel_units(workspace.image, letters)
    if sizes is None:
        return None, None
    at = {letter: i for i, letter in enumerate(letters)}
    chosen = [first, *(at[letter] for letter in axes[1:])]
    lengths = [i for i, letter in zip(chosen, axes, strict=True) if letter != "T"]
    if not all(i is not None and units[i] for i in lengths):
        return None, None
    timed = first is not None and units[first] == "second"
    names = tuple(("s" if timed else "frame") if each == "T" else "µm" for each in axes)
    # A step without a known unit is one frame.
    known = tuple(
        1.0 if i is None or (each == "T" and not timed) else sizes[i]
        for i, each in zip(chosen, axes, strict=True)
    )
    return known, names


def _channels(
    workspace: Workspace, first: int | None, held: dict[int, int]
) -> tuple[tuple[ArrayView, ...], tuple[str, ...]]:
    """Return all channels that the model sees, in their stored values, and their names."""
    image, source = workspace.image, workspace.source
    data = full_resolution(image)
    ndim = len(spatial_shape(image))
    if image.rgb:
        frames = tuple(_frames(data, first, {**held, ndim: i}) for i in range(3))
        return frames, ("red", "green", "blue")
    composed, picked = source.composed, source.picked
    if composed is not None and picked is not None:
        names = tuple(f"channel {i}" for i in picked)
        return tuple(_frames(data, first, {**held, composed: i}) for i in picked), names
    arrays = source.channels
    names = ("",) if len(arrays) == 1 else (image.name, *source.further)
    return tuple(_frames(array, first, held) for array in arrays), names


def _frames(array: Any, first: int | None, held: Mapping[int, int]) -> ArrayView:
    """View one channel of an image in the axes of the labels; None as `first`: a single frame."""
    rest = [axis for axis in range(len(array.shape)) if axis != first and axis not in held]
    return ArrayView(array, (first, *rest), held)
