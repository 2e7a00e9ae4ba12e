"""Segmentation without prompts: objects are found in some frames and followed through the others.

It runs on the caller's thread, like the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from napari_sam2.detection import DetectionSettings
from napari_sam2.errors import DetectionError
from napari_sam2.tracking.session import TrackingSession
from napari_sam2.types import Direction, FrameMasks


def find_and_follow(
    session: TrackingSession,
    frame: int,
    *,
    every: int | None = None,
    settings: DetectionSettings | None = None,
    start: int | None = None,
    stop: int | None = None,
    progress: Callable[[int, float], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[FrameMasks]:
    """Find objects and propagate them; objects that were followed so far keep their ids.

    Parameters
    ----------
    session : TrackingSession
    frame : int
        Where objects are looked for first.
    every : int, optional
        Look again in every so many frames, before and after `frame`, where no object is yet: so
        objects are found that begin later. Only in `frame` by default.
    settings : DetectionSettings, optional
    start, stop : int, optional
        Only frames start to stop - 1; the whole stack by default.
    progress : callable, optional
        Called during a search with its frame and the share of it that is done, in 0..1.
    cancelled : callable
        Called often; True ends the search and what follows.

    Yields
    ------
    FrameMasks
        As `TrackingSession.propagate`; frames between two searches come twice.

    Raises
    ------
    DetectionError
        Nothing was found anywhere, or more than the settings allow.
    """
    first, last = start or 0, session.n_frames if stop is None else stop
    found = 0
    for number, each in enumerate(_frames(frame, every, first, last)):
        if cancelled():
            return
        report = None if progress is None else _of_frame(progress, each)
        found += len(
            session.find_objects(each, settings=settings, progress=report, cancelled=cancelled)
        )
        if every is None or not session.object_ids:
            continue
        # Up to the next search, so that it sees what is there by then.
        way = Direction.FORWARD if each > frame else Direction.BACKWARD
        way = way if number else Direction.BOTH
        begin = each if way is Direction.FORWARD else max(first, each - every)
        end = each + 1 if way is Direction.BACKWARD else min(last, each + every + 1)
        yield from session.propagate(way, begin, end)
    if not found and not session.object_ids:
        raise DetectionError(
            "No object was found.",
            safe="The labels are empty.",
            remedy="Look in another frame or for smaller objects, or give a prompt.",
        )
    if not cancelled():
        yield from session.propagate(Direction.BOTH, first, last)


def _frames(frame: int, every: int | None, first: int, last: int) -> Iterator[int]:
    """Give the frames to look in: `frame`, then those after it, then those before it."""
    yield frame
    if every is not None:
        yield from range(frame + every, last, every)
        yield from range(frame - every, first - 1, -every)


def _of_frame(progress: Callable[[int, float], None], frame: int) -> Callable[[float], None]:
    return lambda done: progress(frame, done)
