"""Volumes over time in a terminal: the objects of each go on to the next one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam2.cli.frames import Frames
from napari_sam2.cli.interrupts import soft_interrupt
from napari_sam2.cli.runs import Range, RunOutcome, run_session
from napari_sam2.errors import Sam2Error
from napari_sam2.prompts import FramePrompt, PromptBook
from napari_sam2.types import ObjectFrame

if TYPE_CHECKING:
    from napari_sam2.tracking import TrackingSession


def go_on(
    session: TrackingSession,
    frames: Frames,
    labels: Any,
    over: Range,
    *,
    title: str,
    done: Callable[[TrackingSession], None],
) -> RunOutcome:
    """Carry the objects of a volume that is done through all volumes after it.

    Ctrl-C, and an error on the way, keep what is done: both are told in the outcome.

    Parameters
    ----------
    session : TrackingSession
        Of the volume that is done.
    frames : Frames
        That volume, with the axis that leads to the others.
    labels : ndarray, shape (volumes, T, Y, X)
        Filled volume by volume.
    over : Range
        The frames of each volume.
    title : str
        Shown before the bar.
    done : callable
        Told of every later volume's session when its run has ended, early or not.

    Returns
    -------
    RunOutcome
        Of all later volumes together.
    """
    outcome = RunOutcome(0, 0.0, True, {})
    for there in range(frames.volume + 1, frames.volumes):
        try:
            with soft_interrupt() as interrupt:
                later = _next(session, frames, labels, there, interrupt.asked)
        except Sam2Error as error:
            return outcome.and_then(RunOutcome(0, 0.0, False, {}, error))
        if interrupt.happened:
            return outcome.and_then(RunOutcome(0, 0.0, False, {}))
        session, book = later
        if not len(book):
            break
        of_all = f"{title} {there + 1}/{frames.volumes}"
        outcome = outcome.and_then(run_session(session, book, over, title=of_all))
        session.handed_over = {ObjectFrame(number, frame) for number, frame, _ in book}
        done(session)
        if not outcome.complete:
            break
    return outcome


def session_paths(path: Path, frames: Frames) -> dict[int, Path]:
    """Return where the session of each volume is saved: at `path` if there is but one.

    Of several, each has its place in its name. So the panel calls them, and finds them all beside
    an image.
    """
    if frames.through is None:
        return {frames.volume: path}
    stem = path.name.removesuffix(".json").removesuffix(".sam2")
    paths = {}
    for volume in range(frames.volume, frames.volumes):
        at = sorted({**frames.stack.at, frames.through: volume}.items())
        where = "".join(f".{axis}={index}" for axis, index in at)
        paths[volume] = path.with_name(f"{stem}{where}.sam2.json")
    return paths


def _next(
    session: TrackingSession,
    frames: Frames,
    labels: Any,
    there: int,
    stopped: Callable[[], bool],
) -> tuple[TrackingSession, PromptBook]:
    """Open a session on the next volume; return it with the prompts of the objects found there."""
    from napari_sam2.tracking import TrackingSession
    from napari_sam2.tracking.volumes import Passage, hand_over

    stack, axis = frames.stack, frames.through
    if axis is None or stack.axis is None:
        raise ValueError("These frames are no volume among others.")
    model, settings, video = session.model, session.settings, stack.axis
    held = {number: at for number, at in stack.at.items() if number != axis}

    def follow(frame: int) -> TrackingSession:
        return TrackingSession(model, stack.turned(axis, {**held, video: frame}), settings=settings)

    passage = Passage(there - 1, there, follow, stopped)
    seeds = hand_over(frames.part(labels, there - 1), session.object_ids, passage)
    volume = stack.turned(video, {**held, axis: there})
    book = PromptBook(volume.shape)
    for seed in seeds:
        book.put(seed.object_id, seed.frame, FramePrompt(mask=seed.mask))
    part = frames.part(labels, there)
    return TrackingSession(model, volume, settings=settings, labels=part), book
