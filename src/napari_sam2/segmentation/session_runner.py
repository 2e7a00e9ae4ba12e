"""Prompting and propagation of a session, seen and stopped by a terminal or by a `Watcher`.

In a terminal it shows a bar, and Ctrl-C stops it: then it runs on the main thread. With a watcher
it runs on any thread.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import TYPE_CHECKING

import typer

from napari_sam2.errors import FrameError, Sam2Error
from napari_sam2.stack.frame_counter import FrameCounter
from napari_sam2.types import Direction, FrameMasks, Unreadable

if TYPE_CHECKING:
    from napari_sam2.labels import FrameRecord
    from napari_sam2.prompts import PromptBook
    from napari_sam2.tracking import TrackingSession


INTERRUPTED_EXIT_CODE = 130
"""128 + SIGINT: what a shell expects of a command that Ctrl-C stopped."""

_MESSAGE = "Stopping after this frame; Ctrl-C again drops everything."


class Interrupt:
    """The state of Ctrl-C, and the action that it triggers.

    Parameters
    ----------
    stop : callable, optional
        Called in the signal handler: sets a flag that the work checks.
    message : str
        Text that the user reads when Ctrl-C is pressed.
    """

    def __init__(self, stop: Callable[[], None] | None = None, message: str = _MESSAGE) -> None:
        self.happened = False
        self._stop = stop
        self._message = message

    def requested(self) -> bool:
        """Return whether the work should stop."""
        return self.happened

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Stop softly the first time, at once the second time."""
        if self.happened:
            raise KeyboardInterrupt
        self.happened = True
        if self._stop is not None:
            self._stop()
        typer.echo(f"\n{self._message}", err=True)


@contextmanager
def soft_interrupt(
    stop: Callable[[], None] | None = None, *, message: str = _MESSAGE
) -> Iterator[Interrupt]:
    """Handle the first Ctrl-C as a request to stop; the second raises KeyboardInterrupt.

    Outside the main thread signals cannot be handled: Ctrl-C then stays as it is.

    Parameters
    ----------
    stop : callable, optional
        Called when Ctrl-C is pressed.
    message : str
        Text that the user reads then.

    Yields
    ------
    Interrupt
    """
    interrupt = Interrupt(stop, message)
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt.handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True, slots=True)
class Watcher:
    """What sees the progress of a run instead of a terminal, and may stop it.

    Attributes
    ----------
    progress : callable
        Called after each frame result, with the number of results so far and of those that are
        planned; None: not known yet.
    stopped : callable
        Asked between two frames; True ends the run.
    """

    progress: Callable[[int, int | None], None]
    stopped: Callable[[], bool]

    def of_volume(self, number: int, volumes: int) -> Watcher:
        """Return the watcher of one of several volumes that are as long as each other."""

        def progress(done: int, planned: int | None) -> None:
            if planned is None:
                self.progress(done, None)
            else:
                self.progress(number * planned + done, volumes * planned)

        return replace(self, progress=progress)


@contextmanager
def stopping(
    watcher: Watcher | None, stop: Callable[[], None] | None = None
) -> Iterator[Callable[[], bool]]:
    """Yield a function that tells whether to stop: because of a watcher, or of Ctrl-C without one.

    Parameters
    ----------
    watcher : Watcher or None
    stop : callable, optional
        Called when Ctrl-C is pressed; a watcher is asked instead.
    """
    if watcher is not None:
        yield watcher.stopped
        return
    with soft_interrupt(stop) as interrupt:
        yield interrupt.requested


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """The result of a propagation.

    Attributes
    ----------
    results : int
        Frame results that arrived.
    seconds : float
        Wall time of prompting and propagating.
    complete : bool
        False if Ctrl-C or an error stopped it.
    error : Sam2Error, optional
        The error that stopped it; the labels hold the frames before.
    skipped : tuple of FrameError
        Errors of the skipped frames, by frame; their labels are unchanged.
    mean_scores : dict of int to float
        Mean quality 0..1 of each object over the frames where it was found.
    found : dict of int to int
        Number of these frames per object.
    frames : int
        Frames that have a result.
    unlikely : int
        Objects that searches left out because they are probably none.
    """

    results: int
    seconds: float
    complete: bool
    mean_scores: dict[int, float]
    error: Sam2Error | None = None
    skipped: tuple[FrameError, ...] = ()
    found: dict[int, int] = field(default_factory=dict)
    frames: int = 0
    unlikely: int = 0

    def combined_with(self, later: RunOutcome) -> RunOutcome:
        """Return the outcome of this and a later propagation together."""
        found = {
            number: self.found.get(number, 0) + later.found.get(number, 0)
            for number in self.found | later.found
        }
        sums = {
            number: sum(
                each.mean_scores.get(number, 0.0) * each.found.get(number, 0)
                for each in (self, later)
            )
            for number in found
        }
        return RunOutcome(
            self.results + later.results,
            self.seconds + later.seconds,
            self.complete and later.complete,
            {number: sums[number] / found[number] for number in found},
            self.error or later.error,
            self.skipped + later.skipped,
            found,
            self.frames + later.frames,
            self.unlikely + later.unlikely,
        )


@dataclass(frozen=True, slots=True)
class Range:
    """The frames to propagate over: start inclusive, stop exclusive."""

    direction: Direction = Direction.BOTH
    start: int | None = None
    stop: int | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """A search for objects without prompts.

    Attributes
    ----------
    frame : int
        Where objects are looked for first.
    every : int or None
        Again in every so many frames.
    min_size, max_size : int or None
        Areas of objects in pixels; see `DetectionSettings`.
    may_be_empty : bool
        Whether a stack without objects is a result and no error.
    """

    frame: int
    every: int | None
    min_size: int | None
    max_size: int | None
    may_be_empty: bool = False


def run_session(
    session: TrackingSession,
    book: PromptBook,
    over: Range,
    *,
    title: str,
    search: Search | None = None,
    seen: Callable[[FrameMasks], None] | None = None,
    watcher: Watcher | None = None,
) -> RunOutcome:
    """Set the prompts of a session and propagate them.

    After Ctrl-C, when a watcher has stopped it, and after an error the finished frames are kept.
    The outcome has the reason, and the errors of the frames that were skipped.

    Parameters
    ----------
    session : TrackingSession
    book : PromptBook
        The prompts of all objects.
    over : Range
        Frames and direction of the propagation.
    title : str
        Shown before the bar in a terminal.
    search : Search, optional
        Also find objects that have no prompts, and propagate both ways.
    seen : callable, optional
        Called with every result of the propagation.
    watcher : Watcher, optional
        By default there is a bar, and Ctrl-C stops the run.

    Returns
    -------
    RunOutcome
    """
    start = time.perf_counter()
    scores = _MeanScores()
    stopped_by: Sam2Error | None = None
    scores.add_kept(session.kept_records())
    skipped = {error.frame: error for error in session.skipped}
    unlikely: list[int] = []
    with stopping(watcher, session.cancel) as asked:
        for object_id, frame, prompt in book:
            if asked():
                break
            # Rounds of clicking refined what the network gave where they were made.
            alone = replace(prompt, rounds=())
            if session.prompts.get(object_id, frame) == alone:
                continue  # an earlier run had got as far
            try:
                session.set_prompt(object_id, frame, alone)
            except FrameError as error:
                if session.settings.unreadable is Unreadable.STOP:
                    raise
                skipped[frame] = error
        try:
            if skipped and not session.object_ids:
                raise next(iter(skipped.values()))
            if not asked():
                results = (
                    _propagated(session, over, title, watcher)
                    if search is None
                    else _searched(session, search, over, title, watcher, asked, unlikely.append)
                )
                for result in results:
                    scores.add(result)
                    if seen is not None:
                        seen(result)
                    if asked():
                        session.cancel()
        except Sam2Error as error:
            stopped_by = error
        complete = not asked() and stopped_by is None
    skipped |= {error.frame: error for error in session.skipped}
    return RunOutcome(
        scores.results,
        time.perf_counter() - start,
        complete,
        scores.means(),
        stopped_by,
        tuple(skipped[frame] for frame in sorted(skipped)),
        scores.found,
        len(scores.frames),
        sum(unlikely),
    )


def _propagated(
    session: TrackingSession, over: Range, title: str, watcher: Watcher | None
) -> Iterator[FrameMasks]:
    """Propagate; frames are counted, not results, of which a frame may have two."""
    from tqdm import tqdm

    counter = FrameCounter(session.planned_visits(over.direction, over.start, over.stop))
    quiet = None if watcher is None else True
    with tqdm(desc=title, total=counter.total, unit="frame", disable=quiet) as bar:
        for masks in session.propagate(over.direction, start=over.start, stop=over.stop):
            counter.visit(masks.frame)
            bar.total = counter.total
            bar.update(counter.done - bar.n)
            if watcher is not None:
                watcher.progress(counter.done, counter.total)
            yield masks


def _searched(
    session: TrackingSession,
    search: Search,
    over: Range,
    title: str,
    watcher: Watcher | None,
    asked: Callable[[], bool],
    left_out: Callable[[int], None],
) -> Iterator[FrameMasks]:
    """Find objects and propagate them; how many results that takes is not known before.

    `left_out`: called with the number of unlikely objects that each search leaves out.
    """
    from tqdm import tqdm

    from napari_sam2.detection import DetectionSettings
    from napari_sam2.tracking.automatic import find_and_follow

    with tqdm(desc=title, unit="frame", disable=None if watcher is None else True) as bar:

        def show(frame: int, done: float) -> None:
            bar.set_postfix_str(f"searching frame {frame}: {done:.0%}" if done < 1 else "")

        masks = find_and_follow(
            session,
            search.frame,
            every=search.every,
            settings=DetectionSettings(min_size=search.min_size, max_size=search.max_size),
            start=over.start,
            stop=over.stop,
            progress=show,
            left_out=lambda _, count: left_out(count),
            cancelled=asked,
            may_be_empty=search.may_be_empty,
        )
        for result in masks if watcher is None else _counted(masks, None, watcher):
            bar.update()
            yield result


def _counted(
    results: Iterable[FrameMasks], planned: int | None, watcher: Watcher
) -> Iterator[FrameMasks]:
    for number, result in enumerate(results, start=1):
        watcher.progress(number, planned)
        yield result


class _MeanScores:
    """Means of the scores of each object over the frames where it has a mask."""

    def __init__(self) -> None:
        self.results = 0
        self.frames: set[int] = set()
        self._scores: dict[int, dict[int, float]] = {}

    @property
    def found(self) -> dict[int, int]:
        return {number: len(scores) for number, scores in self._scores.items() if scores}

    def add_kept(self, records: Iterable[FrameRecord]) -> None:
        """Add the scores of an earlier run."""
        for record in records:
            self.frames.add(record.frame)
            if record.area and record.score is not None:
                self._scores.setdefault(record.object_id, {})[record.frame] = record.score

    def add(self, result: FrameMasks) -> None:
        self.results += 1
        self.frames.add(result.frame)
        for object_id, score, mask in zip(
            result.object_ids, result.scores.tolist(), result.masks, strict=True
        ):
            scores = self._scores.setdefault(object_id, {})
            if mask.any():
                scores[result.frame] = score
            else:
                scores.pop(result.frame, None)

    def means(self) -> dict[int, float]:
        return {
            number: sum(scores.values()) / len(scores)
            for number, scores in self._scores.items()
            if scores
        }
