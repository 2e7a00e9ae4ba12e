"""Reads layers once and describes the segmentation to run. Main thread only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import LabelsError, PromptError, StackError
from napari_sam2.labels import blank_labels
from napari_sam2.prompts import FramePrompt
from napari_sam2.stack import check_kind, check_region
from napari_sam2.types import Direction, ObjectFrame, Region, Speed, StackKind
from napari_sam2.widgets.layers.factory import placement
from napari_sam2.widgets.layers.foreign_layers import ForeignLabels, ForeignPrompts, is_numbered
from napari_sam2.widgets.layers.geometry import spatial_shape, stack_view
from napari_sam2.widgets.layers.image_axes import (
    guess_video_axis,
    image_source_of,
    kind_of_frames,
    may_join,
)
from napari_sam2.widgets.layers.prompt_reader import StackPrompts, read_prompts
from napari_sam2.widgets.state.image_source import ImageSource
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE, StackPosition
from napari_sam2.widgets.state.session_spec import PlacedPrompt, Prompts, SessionSpec, Through
from napari_sam2.widgets.state.settings import AUTO, ModelUse

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Points, Shapes

PromptsByStack = defaultdict[StackPosition, dict[ObjectFrame, FramePrompt]]
"""Prompts by position of the stack, then by object and frame."""


@dataclass(frozen=True, slots=True, eq=False)
class ScriptJob:
    """An image and prompts for it, free of layers: any thread may do the work.

    Attributes
    ----------
    source : ImageSource
        What is seen of the image.
    shape : tuple of int
        Of its labels.
    axis : int or None
        Video axis; None for a single (Y, X) image.
    numbered, loose : StackPrompts
        Prompts whose objects have ids, and prompts whose objects get new ones.
    underlay : ForeignLabels or None
        Labels whose objects are prompts.
    use : ModelUse
    direction : Direction
    through : int or None
        Axis along which objects go on from volume to volume.
    placed : dict
        Arguments that lay a Labels layer over the image.
    """

    source: ImageSource
    shape: tuple[int, ...]
    axis: int | None
    numbered: StackPrompts
    loose: StackPrompts
    underlay: ForeignLabels | None
    use: ModelUse
    direction: Direction
    through: int | None
    placed: dict[str, Any]

    def prompts(self) -> dict[StackPosition, Prompts]:
        """Put all prompts together; reads the labels.

        Raises
        ------
        PromptError
            There is none.
        """
        by_stack: PromptsByStack = defaultdict(dict)
        _add(by_stack, self.numbered, 0)
        for position, frame, index in self._frames():
            _add_labels(by_stack, position, frame, self.underlay, index, self.source.region)
        highest = max((number for found in by_stack.values() for number, _ in found), default=0)
        _add(by_stack, self.loose, highest)
        if not any(by_stack.values()):
            raise PromptError(
                "There is no prompt in the image.",
                remedy="Choose a layer with points, shapes or labels over the image.",
            )
        return {
            position: tuple(PlacedPrompt(*key, found[key]) for key in sorted(found))
            for position, found in by_stack.items()
        }

    def empty_labels(self, highest: int) -> NDArray[Any]:
        """Return labels of background that can hold ids up to `highest`."""
        dtype = np.uint16 if highest <= np.iinfo(np.uint16).max else np.uint32
        try:
            return blank_labels(self.shape, dtype)
        except MemoryError as error:
            raise LabelsError(
                f"There is no memory for labels of {self.shape}.",
                remedy="Segment a part of the image, such as fewer time points.",
            ) from error

    def spec(self, position: StackPosition, labels: NDArray[Any]) -> SessionSpec:
        """Describe the session of one stack of the image."""
        return SessionSpec(
            key=(self.axis, position),
            source=self.source,
            axis=self.axis,
            at=position,
            labels=stack_view(labels, self.axis, position, self.source.region),
            use=self.use,
        )

    def stops(self, prompted: Collection[StackPosition]) -> tuple[StackPosition, ...]:
        """Return the stacks to segment, in order; those with prompts if none leads to the next."""
        through = self.through
        if through is None:
            return tuple(sorted(prompted))
        found = {
            tuple((axis, index if axis == through else at) for axis, at in position)
            for position in prompted
            for index in range(dict(position)[through], self.shape[through])
        }
        # From volume to volume, and that for each position of all other axes.
        return tuple(sorted(found, key=lambda position: (_without(position, through), position)))

    def next_stop(self, position: StackPosition) -> StackPosition | None:
        """Return the stack after this one, if its objects go on there."""
        if self.through is None:
            return None
        return Through(self.through, 1).after(position, self.shape[self.through])

    def _frames(self) -> Iterator[tuple[StackPosition, int, tuple[int, ...]]]:
        """Walk over all frames that the labels can be under."""
        if self.underlay is None:
            return
        flat = self.underlay.data.ndim == 2
        for index in np.ndindex(self.shape[:-2]):
            position = tuple((i, n) for i, n in enumerate(index) if i != self.axis)
            frame = 0 if self.axis is None else index[self.axis]
            if not flat or not any(index):  # labels of one frame belong to the first
                yield position, frame, index


def read_job(
    image: Image,
    points: Points | None,
    shapes: Shapes | None,
    labels: Labels | None,
    *,
    model: str,
    device: str,
    axis: int | None,
    kind: StackKind | str | None = None,
    direction: Direction | str,
    channels: Sequence[Image] = (),
    region: Sequence[int] | None = None,
    through: int | None = None,
    speed: Speed | str = Speed.EXACT,
    precision: str = AUTO,
) -> ScriptJob:
    """Read layers; see `segment_stack` for what they mean. Main thread only.

    Raises
    ------
    PromptError, StackError
        Layers do not fit the image.
    """
    shape = spatial_shape(image)
    axis = guess_video_axis(image) if axis is None else _checked_axis(axis, shape)
    part = None if region is None else check_region(region, (shape[-2], shape[-1]))
    numbered, loose = _read_marks(image, axis, points, shapes, part)
    frames_are = kind_of_frames(image, axis) if kind is None else check_kind(kind)
    speed = Speed(speed)
    by = "SAM 2" if speed is Speed.EXACT else f"SAM 2, {speed}"
    return ScriptJob(
        source=replace(
            image_source_of(image, _checked_channels(image, channels), part), kind=frames_are
        ),
        shape=shape,
        axis=axis,
        numbered=numbered,
        loose=loose,
        underlay=None if labels is None else ForeignLabels.of(image, labels),
        use=ModelUse(model, device, precision, speed),
        direction=Direction(direction),
        through=None if through is None else _checked_through(through, axis, shape),
        placed=placement(image, by),
    )


def _checked_axis(axis: int, shape: tuple[int, ...]) -> int:
    if not 0 <= axis < len(shape) - 2:
        raise StackError(
            f"Axis {axis} of an image of shape {shape} cannot be the video.",
            remedy=f"Choose one of 0 to {len(shape) - 3}: the last two are rows and columns."
            if len(shape) > 2
            else "Leave the axis out: a single image has none.",
        )
    return axis


def _checked_through(through: int, axis: int | None, shape: tuple[int, ...]) -> int:
    if axis is None or through == axis or not 0 <= through < len(shape) - 2:
        raise StackError(
            f"Axis {through} of an image of shape {shape} cannot lead from volume to volume.",
            remedy="Choose an axis that is neither the video nor rows and columns.",
        )
    return through


def _checked_channels(image: Image, channels: Sequence[Image]) -> Sequence[Image]:
    misfits = [layer.name for layer in channels if not may_join(image, layer)]
    if misfits:
        raise StackError(
            f"{misfits[0]} cannot be another channel of {image.name}.",
            remedy="Choose grey images of the same size, scale and position.",
        )
    return channels


def _read_marks(
    image: Image,
    axis: int | None,
    points: Points | None,
    shapes: Shapes | None,
    region: Region | None,
) -> tuple[StackPrompts, StackPrompts]:
    """Read the marks whose objects have ids, and the marks that are each an object."""
    layers = [layer for layer in (points, shapes) if layer is not None and len(layer.data)]
    found = []
    for numbered in (True, False):
        chosen: dict[bool, Any] = {}
        first = 1
        for layer in layers:
            if is_numbered(layer) is numbered:
                chosen[layer is points] = ForeignPrompts.of(image, layer, first)
                first += len(layer.data)
        nothing: Any = _Nothing()
        marks = chosen.get(True, nothing), chosen.get(False, nothing)
        found.append(read_prompts(image, axis, *marks, region=region))
    return found[0], found[1]


@dataclass(frozen=True)
class _Nothing:
    """A layer without marks."""

    data: tuple[()] = ()
    shape_type: tuple[()] = ()

    @property
    def features(self) -> dict[str, tuple[()]]:
        return {OBJECT: (), POSITIVE: ()}


def _without(position: StackPosition, axis: int) -> StackPosition:
    return tuple(each for each in position if each[0] != axis)


def _add(by_stack: PromptsByStack, prompts: StackPrompts, shift: int) -> None:
    for position, found in prompts.by_position.items():
        for each in found:
            by_stack[position][ObjectFrame(each.object_id + shift, each.frame)] = each.prompt


def _add_labels(
    by_stack: PromptsByStack,
    position: StackPosition,
    frame: int,
    underlay: ForeignLabels | None,
    index: tuple[int, ...],
    region: Region | None,
) -> None:
    """Make a mask prompt of every object in a frame; marks of the same object refine it."""
    if underlay is None:
        return
    plane = underlay.plane(index)
    plane = plane if region is None else plane[region.slices]
    for number in np.unique(plane[plane > 0]).tolist():
        pair, mask = ObjectFrame(number, frame), FramePrompt(mask=plane == number)
        by_stack[position][pair] = replace(by_stack[position].get(pair, mask), mask=mask.mask)
