"""Segmentation without prompts: objects are found in some frames and followed through the others.

It runs on the caller's thread, like the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from napari_sam2.detection import DetectionSettings
from napari_sam2.errors import DetectionError, FrameError
from napari_sam2.stack.series_steps import search_steps
from napari_sam2.tracking.label_writer import nothing_in
from napari_sam2.tracking.session import TrackingSession
from napari_sam2.types import FrameMasks, Unreadable


def find_and_follow(
    session: TrackingSession,
    frame: int,
    *,
    every: int | None = None,
    settings: DetectionSettings | None = None,
    start: int | None = None,
    stop: int | None = None,
    progress: Callable[[int, float], None] | None = None,
    left_out: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    may_be_empty: bool = False,
) -> Iterator[FrameMasks]:
    """Find objects and propagate them; objects that were followed so far keep their ids.

    Parameters
    ----------
    session : TrackingSession
    frame : int
        Where objects are looked for first.
    every : int, optional
        Look again in every so many frames, before and after `frame`, where no object is yet: so
        objects are found that begin later. What stands out far more in the frame that is searched
        before or after one is left to the search there. Only in `frame` by default.
    settings : DetectionSettings, optional
    start, stop : int, optional
        Only frames start to stop - 1; the whole stack by default.
    progress : callable, optional
        Called during a search with its frame and the share of it that is done, in 0..1.
    left_out : callable, optional
        Called after a search with its frame and how many objects were left out as unlikely.
    cancelled : callable
        Called often; True ends the search and what follows.
    may_be_empty : bool
        Whether a stack without objects is a result and no error.

    Yields
    ------
    FrameMasks
        As `TrackingSession.propagate`; frames between two searches come twice. A frame where to
        look again that cannot be read has the reason in `skipped`.

    Raises
    ------
    DetectionError
        Nothing was found anywhere, unless that is a result, or more than the settings allow.
    FrameError
        The only frame to look in cannot be read, or one of several and the settings say to stop.
    """
    begin, end = start or 0, session.n_frames if stop is None else stop
    # A run that goes on after it was interrupted does not look again where it has looked.
    looked = {at for each in session.found_objects for at in session.prompts.frames(each)}
    for step in search_steps(frame, every, begin, end):
        if cancelled():
            return
        if step.frame is not None and step.frame not in looked:
            report = None if progress is None else _of_frame(progress, step.frame)
            try:
                found = session.propose_objects(
                    step.frame,
                    settings=settings,
                    also_searched=step.also_searched,
                    progress=report,
                    cancelled=cancelled,
                )
                session.add_proposals(each for each in found if not each.unlikely)
                if left_out is not None:
                    left_out(step.frame, sum(each.unlikely for each in found))
            except FrameError as error:
                if every is None or session.settings.unreadable is Unreadable.STOP:
                    raise
                yield nothing_in(step.frame, session.stack.shape, error)
        if step.frame is None and not session.object_ids:
            break
        if session.object_ids and not cancelled():
            for result in session.propagate(step.direction, step.start, step.stop):
                yield result
                if cancelled():
                    return
    if not session.object_ids and not cancelled() and not may_be_empty:
        raise DetectionError(
            "No object was found.",
            safe="The labels are empty.",
            remedy="Look in another frame or for smaller objects, or give a prompt.",
        )


def _of_frame(progress: Callable[[int, float], None], frame: int) -> Callable[[float], None]:
    return lambda done: progress(frame, done)
