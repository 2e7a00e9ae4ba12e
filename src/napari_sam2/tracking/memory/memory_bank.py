"""The memory bank of one object: memories of conditioning frames and of recent frames."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from napari_sam2.tracking.decoding.brightness import DecidedBrightness, LightHistory
from napari_sam2.tracking.decoding.prediction import SeenMask
from napari_sam2.tracking.images.object_window import WindowedObject


@dataclass(frozen=True, slots=True, eq=False)
class FrameMemory:
    """The memory of one object in one frame.

    Attributes
    ----------
    frame : int
    tokens : Tensor of bfloat16, shape (h w, memory width), or None
        Spatial memory; dropped once the frame is too old to be attended to.
    pointer : Tensor of float32, shape (C,)
        Object pointer.
    sighting : WindowedObject or None
        Last known place of the object, if windows follow it.
    mask : SeenMask or None
        Its mask, for networks that carry it into the next frame; only of the latest frame.
    brightness : DecidedBrightness or None
        Of the object, for networks with `relative_brightness`; only of decided frames.
    history : LightHistory or None
        Up to this frame; only of tracked frames, for the same networks.
    """

    frame: int
    tokens: Tensor | None
    pointer: Tensor
    sighting: WindowedObject | None = None
    mask: SeenMask | None = None
    brightness: DecidedBrightness | None = None
    history: LightHistory | None = None


class RecentMemory:
    """The last frames of one object in one direction: a bounded window.

    Parameters
    ----------
    step : int
        1 forward, -1 backward.
    spatial : int
        Frames whose spatial memory is kept.
    pointers : int
        Frames whose pointer is kept.
    """

    def __init__(self, step: int, spatial: int, pointers: int) -> None:
        self.step = step
        self._spatial = spatial
        self._reach = max(spatial, pointers)
        self._frames: deque[FrameMemory] = deque()

    def append(self, memory: FrameMemory) -> None:
        """Add the memory of the last frame, and drop memories out of reach of the next one."""
        if self._frames and self._frames[-1].mask is not None:
            self._frames[-1] = replace(self._frames[-1], mask=None)
        self._frames.append(memory)
        following = memory.frame + self.step
        while self._frames and self._age(self._frames[0], following) > self._reach:
            self._frames.popleft()
        for index, old in enumerate(self._frames):
            if old.tokens is not None and self._age(old, following) > self._spatial:
                self._frames[index] = replace(old, tokens=None)

    def before(self, frame: int, also: Iterable[FrameMemory] = ()) -> list[tuple[int, FrameMemory]]:
        """Return (distance, memory) of the frames passed before `frame`, farthest first.

        `also`: other frames, as though they had just been passed.
        """
        ages = [(self._age(memory, frame), memory) for memory in (*self._frames, *also)]
        ages.sort(key=lambda each: -each[0])
        return [(age, memory) for age, memory in ages if 0 < age <= self._reach]

    @property
    def latest(self) -> FrameMemory | None:
        """The frame remembered last."""
        return self._frames[-1] if self._frames else None

    def __iter__(self) -> Iterator[FrameMemory]:
        return iter(self._frames)

    def leads_to(self, frame: int) -> bool:
        """Return whether `frame` comes after the last frame remembered, and within reach."""
        return bool(self._frames) and 0 < self._age(self._frames[-1], frame) <= self._reach

    def reaches(self, passed: int, frame: int) -> bool:
        """Return whether a frame lies behind `frame` and would still be remembered there."""
        return 0 < (frame - passed) * self.step <= self._reach

    def _age(self, memory: FrameMemory, frame: int) -> int:
        return (frame - memory.frame) * self.step


@dataclass(frozen=True, slots=True)
class MemoryLayout:
    """The token layout of a memory; objects of one layout form a batch.

    Attributes
    ----------
    slots : tuple of int
        Temporal slot of each spatial memory.
    pointers : int
        Number of object pointers.
    """

    slots: tuple[int, ...]
    pointers: int


@dataclass(frozen=True, slots=True, eq=False)
class MemorySelection:
    """The memories that an object attends to in one frame.

    Attributes
    ----------
    layout : MemoryLayout
    spatial : tuple of Tensor, each (h w, memory width)
    pointers : tuple of Tensor, each (C,)
    distances : tuple of int
        From each pointer's frame, along the pass.
    """

    layout: MemoryLayout
    spatial: tuple[Tensor, ...]
    pointers: tuple[Tensor, ...]
    distances: tuple[int, ...]


def nearest_conditioning(
    frames: Sequence[int], frame: int, limit: int | None, without: int | None = None
) -> tuple[int, ...]:
    """Choose the conditioning frames, of ascending ones, that a frame attends to.

    The nearest before, the nearest after, then the nearest of the rest, up to `limit`; never
    `without`.
    """
    if limit is not None:
        at = bisect_left(frames, frame)
        frames = frames[max(0, at - limit - 1) : at + limit + 1]
    candidates = [each for each in frames if each != without]
    if limit is None or len(candidates) <= limit:
        return tuple(candidates)
    before = [f for f in candidates if f < frame][-1:]
    after = [f for f in candidates if f >= frame][:1]
    rest = sorted(set(candidates) - {*before, *after}, key=lambda f: (abs(f - frame), f))
    return tuple(sorted([*before, *after, *rest][:limit]))


def recall(
    frame: int,
    conditioning: dict[int, FrameMemory],
    recent: RecentMemory,
    memory_frames: int,
    max_pointers: int,
    dismissed: Iterable[FrameMemory] = (),
    recent_frames: int | None = None,
) -> MemorySelection:
    """Return the memories that one object attends to at `frame`.

    Conditioning frames take the last temporal slot and a recent frame at distance d slot d - 1.
    Pointers of conditioning frames that lie ahead in the pass are left out. `dismissed` are frames
    where the user removed the object: they show its absence, not its appearance, and are attended
    to as recent frames. `recent_frames` is the number of recent frames that are attended to, the
    nearest ones; all by default.
    """
    reach = memory_frames - 1 if recent_frames is None else recent_frames
    slots, spatial = [], []
    pointers: list[tuple[int, Tensor]] = []
    for memory in conditioning.values():
        if memory.tokens is not None:
            slots.append(memory_frames - 1)
            spatial.append(memory.tokens)
        distance = (frame - memory.frame) * recent.step
        if distance >= 0:
            pointers.append((distance, memory.pointer))
    passed = recent.before(frame, dismissed)
    for distance, memory in passed:
        if distance <= reach and memory.tokens is not None:
            slots.append(distance - 1)
            spatial.append(memory.tokens)
    pointers += [(d, memory.pointer) for d, memory in reversed(passed) if d < max_pointers]
    return MemorySelection(
        MemoryLayout(tuple(slots), len(pointers)),
        tuple(spatial),
        tuple(pointer for _, pointer in pointers),
        tuple(distance for distance, _ in pointers),
    )
