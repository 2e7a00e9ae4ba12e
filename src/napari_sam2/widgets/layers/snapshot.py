"""The user's annotations as a frozen value that undo returns to.

Main thread only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.prompts import FramePrompt, moved_mask
from napari_sam2.types import Division, ObjectFrame, Region
from napari_sam2.widgets.state.positions import MaskKey, StackPosition

if TYPE_CHECKING:
    from napari.layers import Points, Shapes


_NOTHING: frozenset[ObjectFrame] = frozenset()


@dataclass(frozen=True, slots=True, eq=False)
class UserState:
    """Annotations besides points and shapes.

    Attributes
    ----------
    painted : mapping of MaskKey to FramePrompt
        Masks that were painted, or taken from another layer.
    accepted : frozenset of MaskKey
        Accepted objects and frames, each with its stack.
    names : mapping of int to str
        Names that the user gave to objects.
    handed : frozenset of MaskKey
        Painted masks that were not drawn but handed over from the volume before.
    found : frozenset of MaskKey
        Objects that were found automatically and that nobody has looked at, each with the frame
        of its point.
    divisions : frozenset of (StackPosition, Division)
        Objects that divide, by stack.
    """

    painted: Mapping[MaskKey, FramePrompt] = field(default_factory=dict)
    accepted: frozenset[MaskKey] = frozenset()
    names: Mapping[int, str] = field(default_factory=dict)
    handed: frozenset[MaskKey] = frozenset()
    found: frozenset[MaskKey] = frozenset()
    divisions: frozenset[tuple[StackPosition, Division]] = frozenset()

    def divisions_at(self, position: StackPosition) -> tuple[Division, ...]:
        """Return the divisions in one stack, by frame and parent."""
        if not self.divisions:
            return ()
        found = [each for where, each in self.divisions if where == position]
        return tuple(sorted(found, key=lambda each: (each.frame, each.parent)))

    def divided(self, position: StackPosition, divisions: Iterable[Division]) -> UserState:
        """Return the same with these divisions in one stack, in the place of all there are."""
        others = {each for each in self.divisions if each[0] != position}
        new = frozenset(others | {(position, each) for each in divisions})
        return self if new == self.divisions else replace(self, divisions=new)

    def accepted_at(self, position: StackPosition) -> frozenset[ObjectFrame]:
        """Return what is accepted in one stack."""
        return _at(position, self.accepted)

    def positions_accepted_unlike(self, other: UserState) -> set[StackPosition]:
        """Return the stacks in which other objects and frames are accepted."""
        if self.accepted is other.accepted:
            return set()
        return {position for position, _, _ in self.accepted ^ other.accepted}

    def handed_at(self, position: StackPosition) -> frozenset[ObjectFrame]:
        """Return the masks that were handed over to one stack."""
        return _at(position, self.handed) if self.handed else _NOTHING

    def found_at(self, position: StackPosition) -> frozenset[ObjectFrame]:
        """Return the objects of one stack that were found and that nobody has looked at."""
        return _at(position, self.found) if self.found else _NOTHING

    def looked_at(self, objects: Iterable[tuple[StackPosition, int]]) -> UserState:
        """Return the same without the marks of these found objects, each of a stack."""
        if not self.found:
            return self
        seen = set(objects)
        return replace(self, found=frozenset(x for x in self.found if x[:2] not in seen))

    def drawn(
        self, masks: Mapping[MaskKey, FramePrompt | None], handed: frozenset[MaskKey] = frozenset()
    ) -> UserState:
        """Return the same with new masks; None takes one away. Nobody drew those of `handed`."""
        if not masks and handed <= self.handed:
            return self
        kept = {**self.painted, **masks}
        painted = {mask_key: mask for mask_key, mask in kept.items() if mask is not None}
        return replace(self, painted=painted, handed=(self.handed - masks.keys()) | handed)

    def named(self, object_id: int, name: str) -> UserState:
        """Return the same with another name of an object; an empty one takes it away."""
        names = {**self.names, object_id: name}
        return replace(self, names={number: each for number, each in names.items() if each})

    def moved(self, to: Callable[[StackPosition, int], tuple[StackPosition, int]]) -> UserState:
        """Return the same, with every stack and frame given by other ones.

        Divisions are of frames along the former video axis: they are left out.
        """

        def mask_key(position: StackPosition, object_id: int, frame: int) -> MaskKey:
            new_position, new_frame = to(position, frame)
            return new_position, object_id, new_frame

        painted = {mask_key(*each): mask for each, mask in self.painted.items()}
        accepted, handed, found = (
            frozenset(mask_key(*each) for each in mask_keys)
            for mask_keys in (self.accepted, self.handed, self.found)
        )
        return UserState(painted, accepted, self.names, handed, found)

    def seen_from(self, origin: tuple[int, int], shape: tuple[int, int]) -> UserState:
        """Return the same in frames of another part of the image; what is outside is left out.

        Parameters
        ----------
        origin : (y, x)
            Pixel of the former frames that is the first one of the new frames.
        shape : (Y, X)
            Of the new frames.
        """
        masks = {
            mask_key: moved_mask(painted.mask, origin, shape)
            for mask_key, painted in self.painted.items()
            if painted.mask is not None
        }
        painted = {
            mask_key: FramePrompt(mask=mask) for mask_key, mask in masks.items() if mask.any()
        }
        return replace(self, painted=painted)


def _at(position: StackPosition, mask_keys: frozenset[MaskKey]) -> frozenset[ObjectFrame]:
    """Return those masks that are in one stack."""
    return frozenset([ObjectFrame(i, f) for where, i, f in mask_keys if where == position])


class Acceptance:
    """Sorts accepted masks by stack; once for each set of them, however often it is asked.

    With hundreds of objects accepted in thousands of frames, going through all of them takes longer
    than a view may take to change.
    """

    def __init__(self) -> None:
        self._mask_keys: frozenset[MaskKey] = frozenset()
        self._by_position: dict[StackPosition, frozenset[ObjectFrame]] = {}

    def sort(self, mask_keys: frozenset[MaskKey]) -> None:
        """Take another set of masks in; nothing is done where it is the same one."""
        if mask_keys is self._mask_keys:
            return
        found: defaultdict[StackPosition, list[ObjectFrame]] = defaultdict(list)
        for position, object_id, frame in mask_keys:
            found[position].append(ObjectFrame(object_id, frame))
        self._mask_keys = mask_keys
        self._by_position = {position: frozenset(pairs) for position, pairs in found.items()}

    @property
    def positions(self) -> frozenset[StackPosition]:
        """Stacks in which anything is accepted."""
        return frozenset(self._by_position)

    def at(self, position: StackPosition) -> frozenset[ObjectFrame]:
        """Return what is accepted in one stack: the same object as long as the masks are."""
        return self._by_position.get(position, _NOTHING)


@dataclass(frozen=True, slots=True, eq=False)
class WindowSnapshot:
    """Points, shapes and all other annotations, at one moment.

    Painted masks are in pixels of `region`, the part of the image that was worked in.
    """

    points: NDArray[Any]
    point_features: Any
    shapes: tuple[tuple[NDArray[Any], str], ...]
    shape_features: Any
    user_state: UserState
    region: Region | None = None

    @classmethod
    def of(
        cls, points: Points, shapes: Shapes, user_state: UserState, region: Region | None = None
    ) -> WindowSnapshot:
        """Keep what there is now."""
        outlines, kinds = map(np.array, shapes.data), map(str, shapes.shape_type)
        return cls(
            np.array(points.data),
            points.features.copy(),
            tuple(zip(outlines, kinds, strict=True)),
            shapes.features.copy(),
            user_state,
            region,
        )

    def show(self, points: Points, shapes: Shapes, known: WindowSnapshot | None = None) -> None:
        """Put points and shapes back as they were.

        Parameters
        ----------
        points, shapes : Layer
        known : WindowSnapshot, optional
            What the layers hold: what is the same there is left alone.
        """
        if known is None or self.points is not known.points:
            set_points(points, self.points, self.point_features)
        elif self.point_features is not known.point_features:
            points.features = self.point_features.copy()
        if known is None or self.shapes is not known.shapes:
            set_shapes(shapes, self.shapes, self.shape_features)
        elif self.shape_features is not known.shape_features:
            shapes.features = self.shape_features.copy()


def set_points(points: Points, data: NDArray[Any], features: Any) -> None:
    """Replace all points of a layer."""
    points.selected_data = set()
    points.data = np.array(data).reshape(-1, points.ndim)
    points.features = features.reset_index(drop=True)


def set_shapes(shapes: Shapes, data: tuple[tuple[NDArray[Any], str], ...], features: Any) -> None:
    """Replace all shapes of a layer."""
    shapes.selected_data = set(range(len(shapes.data)))
    shapes.remove_selected()
    for vertices, kind in data:
        shapes.add(np.array(vertices), shape_type=kind)
    shapes.features = features.reset_index(drop=True)
    shapes.selected_data = set()
