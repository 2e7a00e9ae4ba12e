"""What a session is asked to do: prompts, edits, frames, model. Frozen values, any thread."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_sam2.labels import FrameRecord, PackedMask, blank_labels
from napari_sam2.prompts import FramePrompt, PromptBook
from napari_sam2.stack import FrameStack
from napari_sam2.types import Direction, Division, ObjectFrame, StackKind
from napari_sam2.widgets.state.image_source import ImageSource
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.settings import ModelUse


@dataclass(frozen=True, slots=True)
class PlacedPrompt:
    """What the user asked for of one object in one frame.

    Attributes
    ----------
    object_id : int
        Label id, from 1.
    frame : int
        Index along the video axis.
    prompt : FramePrompt
        Points and box in (y, x) pixels of the frame.
    marks : int
        How many points, lines, boxes and masks of the user it consists of; a line is several
        points of the prompt. 0 where that is not known.
    """

    object_id: int
    frame: int
    prompt: FramePrompt
    marks: int = field(default=0, compare=False)

    @property
    def object_frame(self) -> ObjectFrame:
        """The object and the frame it belongs to."""
        return ObjectFrame(self.object_id, self.frame)


Prompts = tuple[PlacedPrompt, ...]


@dataclass(frozen=True)
class ObjectAnnotations:
    """What the user asked for of one object.

    Attributes
    ----------
    pieces : int
        Clicks, lines, boxes and masks.
    prompted, accepted : frozenset of int
        Frames.
    """

    pieces: int = 0
    prompted: frozenset[int] = frozenset()
    accepted: frozenset[int] = frozenset()

    @cached_property
    def decided(self) -> frozenset[int]:
        """Frames that no propagation overwrites."""
        return self.prompted | self.accepted


@dataclass(frozen=True)
class Annotations:
    """All prompts and acceptance that a session is to have.

    Attributes
    ----------
    prompts : tuple of PlacedPrompt
        All of them: what is not here is to be forgotten.
    accepted : frozenset of ObjectFrame
        Every accepted object and frame.
    unsure : frozenset of int
        Objects of which the window does not know yet what has become of them: these are to be
        left as they are.
    divisions : tuple of Division
        All of them, by frame and parent.
    """

    prompts: Prompts = ()
    accepted: frozenset[ObjectFrame] = frozenset()
    unsure: frozenset[int] = frozenset()
    divisions: tuple[Division, ...] = ()

    def decided(self, object_id: int) -> frozenset[int]:
        """Return the frames in which an object is prompted or accepted."""
        known = self.by_object.get(object_id)
        return frozenset() if known is None else known.decided

    def is_just(self, other: Annotations | None) -> bool:
        """Whether another one has the same parts, compared by identity, not by value."""
        if other is None or self.unsure != other.unsure or self.divisions != other.divisions:
            return False
        return self.prompts is other.prompts and self.accepted is other.accepted

    @cached_property
    def n_masks(self) -> int:
        """Number of masks that are prompted or accepted."""
        return sum([len(each.decided) for each in self.by_object.values()])

    @cached_property
    def by_object(self) -> Mapping[int, ObjectAnnotations]:
        """Prompts and acceptance of every object that has any, sorted out once."""
        pieces: Counter[int] = Counter()
        prompted, accepted = defaultdict[int, set[int]](set), defaultdict[int, set[int]](set)
        for placed in self.prompts:
            prompt = placed.prompt
            count = len(prompt.points) + (prompt.box is not None) + (prompt.mask is not None)
            pieces[placed.object_id] += placed.marks or count
            prompted[placed.object_id].add(placed.frame)
        for number, frame in self.accepted:
            accepted[number].add(frame)
        return {
            number: ObjectAnnotations(
                pieces[number], frozenset(prompted[number]), frozenset(accepted[number])
            )
            for number in sorted(prompted.keys() | accepted.keys())
        }


@dataclass(frozen=True, slots=True, eq=False)
class SessionFeedback:
    """What a session has made of its prompts.

    Attributes
    ----------
    book : PromptBook or None
        As they replay: round by round.
    refused : mapping of ObjectFrame to FramePrompt
        What it did not take in.
    results : mapping of ObjectFrame to PackedMask
        What came of prompts that correct tracked frames.
    spans : mapping of int to (int, int)
        First frame and end of objects that are part of a split one.
    """

    book: PromptBook | None = None
    refused: Mapping[ObjectFrame, FramePrompt] = field(default_factory=dict)
    results: Mapping[ObjectFrame, PackedMask] = field(default_factory=dict)
    spans: Mapping[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class SessionSpec:
    """All that the worker needs to open a session on one stack of an image layer.

    Attributes
    ----------
    key : Hashable
        Two specs with the same key describe the same session.
    source : ImageSource
        What is seen of the image layer, constant over the session.
    axis : int or None
        Video axis of the image; None for a single frame.
    at : tuple of (int, int)
        The other sliders: (axis, index) for each axis that stays fixed.
    labels : ndarray, shape (T, Y, X)
        View into the Labels layer that the session fills: of the region that is seen.
    use : ModelUse
        What to load, and how it is to compute.
    survey : bool
        The labels may hold objects from before: have them measured.
    results : Path or None
        The folder to which labels and scores are written while they are computed.
    records : tuple of FrameRecord
        Scores of earlier work on these labels.
    """

    key: Hashable
    source: ImageSource
    axis: int | None
    at: tuple[tuple[int, int], ...]
    labels: NDArray[Any]
    use: ModelUse = field(default_factory=ModelUse)
    survey: bool = False
    results: Path | None = None
    records: tuple[FrameRecord, ...] = ()

    @property
    def held(self) -> tuple[tuple[int, int], ...]:
        """The sliders that matter: all of `at` but that of composed channels."""
        if self.source.picked is None:
            return self.at
        composed = self.source.composed
        return tuple([each for each in self.at if each[0] != composed])

    def stack(self) -> FrameStack:
        """Return the frames that the session is to work on."""
        return self.source.stack(self.axis, dict(self.at))

    def across(self, axis: int, frame: int) -> SessionSpec:
        """Describe a session along another axis, in one frame of this stack.

        It has labels of its own.
        """
        at = {**dict(self.at), axis: 0}
        if self.axis is not None:
            at[self.axis] = frame
        del at[axis]
        crossing = replace(
            self,
            key=("across", self.key, axis, frame),
            source=replace(self.source, kind=StackKind.UNKNOWN),
            axis=axis,
            at=tuple(sorted(at.items())),
            survey=False,
            results=None,
            records=(),
        )
        return replace(crossing, labels=blank_labels(crossing.stack().shape, self.labels.dtype))


@dataclass(frozen=True, slots=True)
class Through:
    """Going on from volume to volume.

    Attributes
    ----------
    axis : int
        Of the image; not its video axis.
    step : int
        1 forward, -1 backward.
    """

    axis: int
    step: int

    def after(self, position: StackPosition, size: int) -> StackPosition | None:
        """Return the place of the next volume; None where the axis, of this length, ends."""
        there = dict(position)[self.axis] + self.step
        if not 0 <= there < size:
            return None
        return tuple((axis, there if axis == self.axis else at) for axis, at in position)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Which objects are carried where.

    Attributes
    ----------
    direction : Direction
    start, stop : int or None
        Only frames start to stop - 1.
    object_ids : frozenset of int, or None
        Only these objects.
    recompute : bool
        Also frames that are up to date.
    through : Through, optional
        Then go on to the next volume, with the objects of this one.
    """

    direction: Direction = Direction.BOTH
    start: int | None = None
    stop: int | None = None
    object_ids: frozenset[int] | None = None
    recompute: bool = False
    through: Through | None = None
