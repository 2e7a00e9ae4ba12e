"""The loop over the volumes of a series: propagate, find the objects in the next volume, go on.

Objects move between two volumes, so a mask is not simply copied: the model tracks the object along
the axis of the volumes in the frame that holds most of it. All of it runs on the caller's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_sam2.labels import measure
from napari_sam2.prompts import FramePrompt
from napari_sam2.stack.series_steps import HandOverStep, PropagationStep, series_steps
from napari_sam2.types import Direction, FrameMasks

_Volume = TypeVar("_Volume")
_Handed = TypeVar("_Handed")
_Result = TypeVar("_Result")

Masks = Mapping[int, NDArray[np.bool_]]
"""Masks (Y, X) by object id."""


def follow_series(
    volumes: Sequence[_Volume],
    follow: Callable[[_Volume, tuple[_Handed, ...]], Iterable[_Result]],
    pass_on: Callable[[_Volume, _Volume], tuple[_Handed, ...]],
    stopped: Callable[[], bool],
) -> Iterator[tuple[_Volume, _Result]]:
    """Propagate in one volume after the other; the objects of each go on to the next one.

    Parameters
    ----------
    volumes : sequence
        In the order in which objects go through them.
    follow : callable
        Propagates the objects of a volume and those that were handed over to it.
    pass_on : callable
        Finds the objects of a volume, which is done, in the next one; see `hand_over`.
    stopped : callable
        Called before every step; True ends the series there.

    Yields
    ------
    (volume, result)
        All results of a volume before those of the next one.
    """
    handed: tuple[_Handed, ...] = ()
    for step in series_steps(volumes):
        if stopped():
            return
        match step:
            case PropagationStep(volume):
                for result in follow(volume, handed):
                    yield volume, result
            case HandOverStep(here, there):
                handed = pass_on(here, there)


@dataclass(frozen=True, slots=True, eq=False)
class Seed:
    """A mask prompt for the next volume.

    Attributes
    ----------
    object_id, frame : int
        The object and the frame of the volume.
    mask : ndarray of bool, shape (Y, X)
    """

    object_id: int
    frame: int
    mask: NDArray[np.bool_]


class Follower(Protocol):
    """A session along the axis that leads from volume to volume; see `TrackingSession`."""

    def set_prompt(self, object_id: int, frame: int, prompt: FramePrompt) -> FrameMasks:
        """Set a prompt."""
        ...

    def propagate(self, direction: Direction, start: int, stop: int) -> Iterator[FrameMasks]:
        """Follow it."""
        ...


@dataclass(frozen=True, slots=True)
class VolumeHandover:
    """The way from a volume to the next one.

    Attributes
    ----------
    here, there : int
        Neighbouring positions along the axis that leads from volume to volume.
    open_session : callable
        Opens a fresh session along that axis, in a frame of the volumes: its number is given.
    stopped : callable
        Called before every frame; True stops.
    """

    here: int
    there: int
    open_session: Callable[[int], Follower]
    stopped: Callable[[], bool] = lambda: False


def hand_over(
    volume: NDArray[Any], object_ids: Collection[int], handover: VolumeHandover
) -> tuple[Seed, ...]:
    """Find the objects of a volume in the next one.

    If an object is not found in the frame with most of its pixels, frames half-way to its ends are
    tried; if it is not found there either, it has ended.

    Parameters
    ----------
    volume : ndarray of int, shape (Z, Y, X)
        Labels of the volume.
    object_ids : collection of int
        Objects to hand over.
    handover : VolumeHandover

    Returns
    -------
    tuple of Seed
        One for each object that was found, by object id; if stopped, those found until then.
    """
    wanted = key_frames(volume, object_ids)
    seeds: dict[int, Seed] = {}
    for attempt in range(max(map(len, wanted.values()), default=0)):
        places: dict[int, list[int]] = {}
        for number, frames in wanted.items():
            if number not in seeds and attempt < len(frames):
                places.setdefault(frames[attempt], []).append(number)
        for frame, numbers in sorted(places.items()):
            if handover.stopped():
                break
            plane = np.asarray(volume[frame])
            masks = {number: plane == number for number in numbers}
            for number, mask in _followed(handover, frame, masks).items():
                seeds[number] = Seed(number, frame, mask)
    return tuple(seeds[number] for number in sorted(seeds))


def key_frames(volume: NDArray[Any], object_ids: Collection[int]) -> dict[int, tuple[int, ...]]:
    """Return where to look for objects: the frame with most of each, then two towards its ends.

    Parameters
    ----------
    volume : ndarray of int, shape (Z, Y, X)
    object_ids : collection of int

    Returns
    -------
    dict of int to tuple of int
        One to three frames by object; objects that are nowhere are left out.
    """
    areas: dict[int, dict[int, int]] = {}
    for frame, plane in enumerate(volume):
        if plane.any():
            for number, extent in measure(np.asarray(plane), object_ids).items():
                areas.setdefault(number, {})[frame] = extent.area
    return {number: _in_order(found) for number, found in sorted(areas.items())}


def _in_order(areas: Mapping[int, int]) -> tuple[int, ...]:
    frames = sorted(areas)
    best = max(frames, key=lambda frame: areas[frame])
    below, above = (best + frames[0]) // 2, (best + frames[-1] + 1) // 2
    return tuple(dict.fromkeys(f for f in (best, below, above) if f in areas))


def _followed(handover: VolumeHandover, frame: int, masks: Masks) -> Masks:
    """Track masks of a frame to the next volume; masks that are empty there are left out."""
    session = handover.open_session(frame)
    for number, mask in masks.items():
        session.set_prompt(number, handover.here, FramePrompt(mask=mask))
    forward = handover.there > handover.here
    ends = sorted((handover.here, handover.there))
    direction = Direction.FORWARD if forward else Direction.BACKWARD
    return _there(session.propagate(direction, ends[0], ends[1] + 1), handover)


def _there(results: Iterable[FrameMasks], handover: VolumeHandover) -> Masks:
    for result in results:
        if result.frame == handover.there:
            pairs = zip(result.object_ids, result.masks, strict=True)
            return {number: mask for number, mask in pairs if mask.any()}
        if handover.stopped():
            break
    return {}
