"""Runs a described segmentation in the calling thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from napari_sam2.errors import DeviceError, Sam2Error
from napari_sam2.stack.frame_counter import FrameCounter
from napari_sam2.types import Direction, FrameMasks
from napari_sam2.widgets.scripting.job import ScriptJob
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.session_spec import Prompts
from napari_sam2.widgets.worker.session_factory import hand_over_objects
from napari_sam2.widgets.worker.session_protocol import Session, SessionOpener

Tell = Callable[[int, int], None]
"""Called with the number of frames done and the number of all frames."""


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
    from napari_sam2.tracking.volume_series import follow_series

    prompts = job.prompts()
    highest = max(each.object_id for found in prompts.values() for each in found)
    run = _Run(job, prompts, job.empty_labels(highest), open_session, cancelled)
    stops = [_Stop(run, position) for position in job.stops(prompts.keys())]
    skipped: list[str] = []
    current, before = stops[0], 0
    for stop, masks in follow_series(stops, _Stop.follow, _Stop.pass_on, cancelled):
        if stop is not current:
            current, before = stop, before + current.counter.total
        stop.counter.visit(masks.frame)
        left = len(stops) - stops.index(stop)
        tell(before + stop.counter.done, before + stop.counter.total * left)
        if masks.skipped is not None:
            skipped.append(masks.skipped)
        if cancelled():
            break
    return ScriptResult(run.labels, not cancelled(), tuple(run.refused), tuple(skipped))


@dataclass(slots=True, eq=False)
class _Run:
    """What all stacks of a job share."""

    job: ScriptJob
    prompts: Mapping[StackPosition, Prompts]
    labels: NDArray[Any]
    open_session: SessionOpener
    cancelled: Callable[[], bool]
    refused: list[Exception] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Stop:
    """One stack of a job; its session is opened when its turn comes, if there are prompts."""

    run: _Run
    position: StackPosition
    session: Session | None = None
    counter: FrameCounter = field(default_factory=lambda: FrameCounter(()))

    def follow(self, handed: Prompts) -> Iterator[FrameMasks]:
        """Propagate the objects that are prompted here and those that were handed over."""
        run, own = self.run, self.run.prompts.get(self.position, ())
        if not own and not handed:
            return
        spec = run.job.spec(self.position, run.labels)
        self.session = run.open_session(spec, lambda _text: None)
        run.refused += _prompted(self.session, (*own, *handed))
        # Objects that were handed over come in where most of them is.
        direction = run.job.direction if own else Direction.BOTH
        self.counter = FrameCounter(self.session.planned_visits(direction))
        yield from self.session.propagate(direction)

    def pass_on(self, there: _Stop) -> Prompts:
        """Find the objects in the next stack, if that is where they go on."""
        run, session = self.run, self.session
        self.session = None  # one session at a time is kept in memory
        if session is None or run.job.next_stop(self.position) != there.position:
            return ()
        decided = {each.object_id for each in run.prompts.get(there.position, ())}
        ids = frozenset(session.object_ids) - decided
        spec = run.job.spec(self.position, run.labels)
        return hand_over_objects(spec, there.position, ids, run.open_session, run.cancelled)


def _prompted(session: Session, prompts: Prompts) -> list[Exception]:
    """Give a session its prompts; return why some were refused, or raise if all were."""
    errors: list[Exception] = []
    for placed in prompts:
        try:
            session.set_prompt(*placed.object_frame, placed.prompt)
        except DeviceError:
            raise
        except Sam2Error as error:
            errors.append(error)
    if errors and not session.object_ids:
        raise errors[0]
    return errors
