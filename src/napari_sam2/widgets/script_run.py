"""Doing what a script asks for: in the thread of the caller, whichever that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from napari_sam2.types import Direction
from napari_sam2.widgets.carrying import carry_on
from napari_sam2.widgets.live_session import LiveSession
from napari_sam2.widgets.script_job import ScriptJob
from napari_sam2.widgets.session_protocol import Session, SessionOpener
from napari_sam2.widgets.spec import Prompts, Wanted

Tell = Callable[[int, int], None]
"""Is told how many frames of how many are done."""


@dataclass(frozen=True, slots=True, eq=False)
class ScriptResult:
    """What came of a job.

    Attributes
    ----------
    labels : ndarray, shape of the image
    complete : bool
        False if it was cancelled; the frames that were done are there.
    refused : tuple of Exception
        Why prompts were left out.
    skipped : tuple of str
        What was wrong with each frame that could not be read.
    """

    labels: NDArray[Any]
    complete: bool
    refused: tuple[Exception, ...] = ()
    skipped: tuple[str, ...] = ()


def run_job(
    job: ScriptJob, open_session: SessionOpener, tell: Tell, cancelled: Callable[[], bool]
) -> ScriptResult:
    """Follow the objects of a job through all its stacks that have prompts.

    Parameters
    ----------
    job : ScriptJob
    open_session : callable
        See `SessionOpener`.
    tell : callable
    cancelled : callable
        Asked after every frame.

    Raises
    ------
    Sam2Error
        Nothing could be segmented.
    """
    prompts = job.prompts()
    highest = max(each.object_id for found in prompts.values() for each in found)
    labels = job.empty_labels(highest)
    refused: list[Exception] = []
    stops = job.stops(prompts.keys())
    carried: Prompts = ()
    skipped: list[str] = []

    def result(complete: bool) -> ScriptResult:
        return ScriptResult(labels, complete, tuple(refused), tuple(skipped))

    before = 0
    for left, place in zip(range(len(stops), 0, -1), stops, strict=True):
        own = prompts.get(place, ())
        found = (*own, *carried)
        carried = ()
        if cancelled():
            return result(complete=False)
        if not found:
            continue
        spec = job.spec(place, labels)
        session = open_session(spec, lambda _text: None)
        refused += _prompted(session, found)
        # Objects that were handed over come in where most of them is.
        direction = job.direction if own else Direction.BOTH
        planned = session.planned_frames(direction)
        total = before + planned * left
        for done, masks in enumerate(session.propagate(direction), 1):
            tell(before + done, total)
            if masks.skipped is not None:
                skipped.append(masks.skipped)
            if cancelled():
                return result(complete=False)
        before += planned
        there = job.next_stop(place)
        if there is not None:
            decided = {each.object_id for each in prompts.get(there, ())}
            ids = frozenset(session.object_ids) - decided
            carried = carry_on(spec, there, ids, open_session, cancelled)
    return result(complete=True)


def _prompted(session: Session, prompts: Prompts) -> list[Exception]:
    """Give a session its prompts; return why some were refused, or raise if all were."""
    errors = LiveSession(session).bring_up_to(Wanted(prompts))
    if errors and not session.object_ids:
        raise errors[0]
    return list(errors)
