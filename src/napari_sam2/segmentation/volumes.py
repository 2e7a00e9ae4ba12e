"""Propagation through volumes over time; runs where `session_runner` does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam2.errors import Sam2Error
from napari_sam2.labels.store.result_store import read_about
from napari_sam2.prompts import FramePrompt, MaskStore, PromptBook, SessionFile
from napari_sam2.segmentation.image_source import Frames, given_prompts, replays_on
from napari_sam2.segmentation.session_runner import (
    Range,
    RunOutcome,
    Watcher,
    run_session,
    stopping,
)
from napari_sam2.types import ObjectFrame

if TYPE_CHECKING:
    from napari_sam2.stack import FrameStack
    from napari_sam2.tracking import Model, TrackingSession, TrackingSettings
    from napari_sam2.tracking.volume_series import Seed


def later_sessions(
    path: Path | None, sessions: Sequence[SessionFile], first: SessionFile | None, frames: Frames
) -> dict[int, SessionFile]:
    """Return the user's decisions in the volumes after the first one.

    Objects that were handed over to a volume, and neither prompted nor accepted there, are left
    out: they are handed over again.

    Parameters
    ----------
    path : Path or None
        The file of the sessions.
    sessions : sequence of SessionFile
        Of all volumes; empty: there is no such file.
    first : SessionFile or None
        The one of the first volume.
    frames : Frames
        The first volume.

    Returns
    -------
    dict of int to SessionFile
        By the number of the volume.

    Raises
    ------
    PromptError
        A session does not fit the frames.
    """
    found: dict[int, SessionFile] = {}
    if frames.through is None or path is None:
        return found
    for number in range(frames.volume + 1, frames.volumes):
        at = {**frames.stack.at, frames.through: number}
        saved = next((s for s in sessions if s is not first and dict(s.at) == at), None)
        own = None if saved is None else _decided(saved)
        if own is None:
            continue
        if not replays_on(own, frames):
            book = PromptBook(frames.stack.shape)
            for object_id, frame, prompt in given_prompts(path, own, frames):
                # Rounds of clicking refined what the network gave in the frames of the session.
                book.put(object_id, frame, replace(prompt, rounds=()))
            own = SessionFile(book)
        found[number] = own
    return found


def _decided(saved: SessionFile) -> SessionFile | None:
    """Return a session with only the objects that were prompted or accepted in it, if any were."""
    ids = {i for i, f, _ in saved.book if ObjectFrame(i, f) not in saved.handed_over}
    ids |= {pair.object_id for pair in saved.accepted}
    if not ids:
        return None
    book = saved.book.copy()
    for object_id, frame, _ in saved.book:
        if object_id not in ids:
            book.remove(object_id, frame)
    return replace(
        saved,
        book=book,
        results=MaskStore((pair, saved.results[pair]) for pair in _of(saved.results, ids)),
        divisions=tuple(d for d in saved.divisions if {d.parent, *d.children} <= ids),
    )


def _ids(saved: SessionFile) -> frozenset[int]:
    return frozenset((*saved.book.object_ids(), *(pair.object_id for pair in saved.accepted)))


def _of(pairs: Iterable[ObjectFrame], object_ids: Set[int]) -> list[ObjectFrame]:
    return [pair for pair in pairs if pair.object_id in object_ids]


def go_on(
    session: TrackingSession,
    frames: Frames,
    labels: Any,
    over: Range,
    *,
    saved: Mapping[int, SessionFile],
    title: str,
    done: Callable[[TrackingSession], None],
    store_of: Callable[[FrameStack], Path],
    watcher: Watcher | None = None,
) -> RunOutcome:
    """Propagate the objects of a finished volume through all volumes after it.

    Finished frames are kept after Ctrl-C and after an error, which the outcome contains.

    Parameters
    ----------
    session : TrackingSession
        Session of the finished volume.
    frames : Frames
        That volume, with the axis that leads to the others.
    labels : ndarray, shape (volumes, T, Y, X)
        Filled volume by volume.
    over : Range
        The frames of each volume.
    saved : mapping of int to SessionFile
        The user's decisions in later volumes; see `later_sessions`.
    title : str
        Shown before the bar.
    done : callable
        Called with the session of each later volume when its propagation has ended.
    store_of : callable
        Returns the folder for the results of a volume; frames that it has are not computed again.
    watcher : Watcher, optional
        See `run_session`.

    Returns
    -------
    RunOutcome
        Outcome of all later volumes together.
    """
    from napari_sam2.tracking.volume_series import follow_series

    run = _Run(
        frames, labels, over, title, store_of, session.model, session.settings, saved, watcher
    )
    volumes = [_Volume(run, number) for number in range(frames.volume, frames.volumes)]
    volumes[0].session = session
    outcome = RunOutcome(0, 0.0, True, {})
    for volume, result in follow_series(
        volumes, _Volume.follow, _Volume.hand_over, lambda: run.failure is not None
    ):
        outcome = outcome.combined_with(result)
        if volume.session is not None:
            done(volume.session)
            volume.session.close()
        if not outcome.complete:
            return outcome
    return outcome if run.failure is None else outcome.combined_with(run.failure)


@dataclass(slots=True, eq=False)
class _Run:
    """Values that all volumes of a run share, and the error that stopped it."""

    frames: Frames
    labels: Any
    over: Range
    title: str
    store_of: Callable[[FrameStack], Path]
    model: Model
    settings: TrackingSettings
    saved: Mapping[int, SessionFile] = field(default_factory=dict)
    watcher: Watcher | None = None
    failure: RunOutcome | None = None


@dataclass(slots=True, eq=False)
class _Volume:
    """One volume of a run.

    Its session opens when objects are handed over to it, or were decided in it.
    """

    run: _Run
    number: int
    session: TrackingSession | None = None

    def follow(self, handed: tuple[Seed, ...]) -> Iterator[RunOutcome]:
        """Propagate what was decided and handed over; the first volume is propagated already."""
        if self.session is None or not (handed or self._own is not None):
            return
        run = self.run
        book = PromptBook(self.session.stack.shape)
        for seed in handed:
            book.put(seed.object_id, seed.frame, FramePrompt(mask=seed.mask))
        title = f"{run.title} {self.number + 1}/{run.frames.volumes}"
        watcher = run.watcher
        if watcher is not None:
            first, count = run.frames.volume, run.frames.volumes
            watcher = watcher.of_volume(self.number - first, count - first)
        outcome = run_session(self.session, book, run.over, title=title, watcher=watcher)
        self.session.handed_over |= {ObjectFrame(seed.object_id, seed.frame) for seed in handed}
        yield outcome

    def leave(self) -> None:
        """Close the session; its results are on disk."""
        if self.session is not None:
            self.session.close()
            self.session = None

    def hand_over(self, there: _Volume) -> tuple[Seed, ...]:
        """Find the objects in the next volume and open a session there, if there are any."""
        session, self.session = self.session, None  # one session at a time is kept in memory
        if session is None and there._own is None:
            return ()
        try:
            with stopping(self.run.watcher) as asked:
                seeds = self._seeds(there, session, asked)
                stopped = asked()
        except Sam2Error as error:
            there.leave()
            self.run.failure = RunOutcome(0, 0.0, False, {}, error)
            return ()
        if stopped:
            there.leave()
            self.run.failure = RunOutcome(0, 0.0, False, {})
            return ()
        return seeds

    @property
    def _own(self) -> SessionFile | None:
        """What the user has decided in this volume."""
        return self.run.saved.get(self.number)

    def _seeds(
        self, there: _Volume, session: TrackingSession | None, stopped: Callable[[], bool]
    ) -> tuple[Seed, ...]:
        """Find the objects in the next volume, unless an earlier run had done so.

        Objects that the user has decided there are left as they are.
        """
        from napari_sam2.tracking.volume_series import Seed

        frames, (axis, video, held) = self.run.frames, self._axes()
        stack = frames.stack.with_axis(video, {**held, axis: there.number})
        own = there._own
        decided = frozenset[int]() if own is None else _ids(own)
        if read_about(self.run.store_of(stack)) is not None:
            there.session = self._session_on(there.number, stack)
            if there.session.propagated:
                kept = [each for each in there.session.prompts if each[0] not in decided]
                return tuple(Seed(i, f, p.mask) for i, f, p in kept if p.mask is not None)
        if own is not None:
            there.session = there.session or self._session_on(there.number, stack)
            for _ in there.session.replay(own):
                if stopped():
                    return ()
            there.session.keep()
        seeds: tuple[Seed, ...] = ()
        if session is not None:
            ids = set(session.object_ids) - decided
            seeds = self._found_in(there.number, session, ids, stopped)
        if seeds and there.session is None and not stopped():
            there.session = self._session_on(there.number, stack)
        if not seeds and own is None:
            there.leave()
        return seeds

    def _found_in(
        self,
        there: int,
        session: TrackingSession,
        object_ids: Set[int],
        stopped: Callable[[], bool],
    ) -> tuple[Seed, ...]:
        from napari_sam2.tracking import TrackingSession
        from napari_sam2.tracking.volume_series import VolumeHandover, hand_over

        frames, (axis, video, held) = self.run.frames, self._axes()

        def follow(frame: int) -> TrackingSession:
            turned = frames.stack.with_axis(axis, {**held, video: frame})
            return TrackingSession(session.model, turned, settings=session.settings)

        handover = VolumeHandover(self.number, there, follow, stopped)
        volume = frames.part(self.run.labels, self.number)
        return hand_over(volume, object_ids, handover)

    def _session_on(self, there: int, stack: FrameStack) -> TrackingSession:
        from napari_sam2.tracking import TrackingSession

        return TrackingSession(
            self.run.model,
            stack,
            settings=self.run.settings,
            labels=self.run.frames.part(self.run.labels, there),
            store=self.run.store_of(stack),
        )

    def _axes(self) -> tuple[int, int, dict[int, int]]:
        """Return the axis from volume to volume, the video axis, and where the others are held."""
        stack, axis = self.run.frames.stack, self.run.frames.through
        if axis is None or stack.axis is None:
            raise ValueError("These frames are no volume among others.")
        return axis, stack.axis, {n: at for n, at in stack.at.items() if n != axis}
