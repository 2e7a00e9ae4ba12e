"""The order of runs: through a series of volumes, and of searches through a stack.

Frozen values, any thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, TypeVar

from napari_sam2.types import Direction

Volume = TypeVar("Volume")


@dataclass(frozen=True, slots=True)
class PropagationStep(Generic[Volume]):
    """Propagate the objects of a volume."""

    volume: Volume


@dataclass(frozen=True, slots=True)
class HandOverStep(Generic[Volume]):
    """Find the objects of a volume in the next one, where they become prompts."""

    here: Volume
    there: Volume


def series_steps(
    volumes: Sequence[Volume],
) -> Iterator[PropagationStep[Volume] | HandOverStep[Volume]]:
    """Yield the steps of a run: propagate, hand the objects to the next volume, continue there.

    Parameters
    ----------
    volumes : sequence
        In the order in which objects go through them.
    """
    for here, there in zip_longest(volumes, volumes[1:]):
        yield PropagationStep(here)
        if there is not None:
            yield HandOverStep(here, there)


@dataclass(frozen=True, slots=True)
class SearchStep:
    """Search a frame for objects, then propagate all objects.

    Attributes
    ----------
    frame : int or None
        Where to look; None: nowhere any more.
    direction : Direction
    start, stop : int
        Propagate through frames start to stop - 1.
    also_searched : tuple of int
        The frames before and after this one that are searched too.
    """

    frame: int | None
    direction: Direction
    start: int
    stop: int
    also_searched: tuple[int, ...] = ()


def search_steps(frame: int, every: int | None, start: int, stop: int) -> Iterator[SearchStep]:
    """Yield the steps of a search through a stack.

    Objects are propagated up to where the next search is, so that it sees what is there by then.

    Parameters
    ----------
    frame : int
        Where to look first.
    every : int or None
        Look again in every so many frames, after `frame` and then before it, and in the first and
        the last frame if the last search is more than half as far away; None: only there.
    start, stop : int
        Only frames start to stop - 1.
    """
    if every is None:
        yield SearchStep(frame, Direction.BOTH, start, stop)
        return
    later = _looked_in(range(frame, stop, every), stop - 1)
    earlier = _looked_in(range(frame, start - 1, -every), start)
    ordered = [*reversed(earlier), frame, *later]
    beside = {
        at: (*ordered[max(0, n - 1) : n], *ordered[n + 1 : n + 2]) for n, at in enumerate(ordered)
    }
    first, last = max(start, frame - every), min(stop, frame + every + 1)
    yield SearchStep(frame, Direction.BOTH, first, last, beside[frame])
    for at in later:
        yield SearchStep(at, Direction.FORWARD, at, min(stop, at + every + 1), beside[at])
    for at in earlier:
        yield SearchStep(at, Direction.BACKWARD, max(start, at - every), at + 1, beside[at])
    yield SearchStep(None, Direction.BOTH, start, stop)


def _looked_in(frames: range, end: int) -> Sequence[int]:
    """Return the frames to search after the first, and the last frame unless one is near it.

    What begins behind the last search would be found nowhere.
    """
    left = abs(end - frames[-1])
    return [*frames[1:], end] if 2 * left > abs(frames.step) else frames[1:]
