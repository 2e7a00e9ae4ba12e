"""Writes and finds session files, in a thread of its own."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, Signal  # type: ignore[attr-defined]

from napari_sam2.errors import PromptError, Sam2Error
from napari_sam2.labels.store.kept_work import delete_kept_work, find_kept_work, size_of
from napari_sam2.prompts import SessionFile, read_sessions, write_sessions
from napari_sam2.stack.fingerprint import fingerprint_of
from napari_sam2.types import ObjectFrame
from napari_sam2.widgets.autosave.locations import (
    ImageFacts,
    SessionLocation,
    session_locations,
    sessions_folder,
    works,
)
from napari_sam2.widgets.autosave.serialize import (
    StackSession,
    is_of_pixels,
    picked_channels,
    position_of,
    session_file,
)
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.worker.thread import Worker, readable

_MOMENT_S = 0.3


class FileOwnership:
    """Which files a piece of work has written or read: no other file is ever overwritten.

    Attributes
    ----------
    location : SessionLocation or None
        Where the work is kept; None: nowhere yet.

    Parameters
    ----------
    location : SessionLocation, optional
    replaces : bool
        The user has chosen this location: what is there already is replaced, but nothing elsewhere.
    """

    def __init__(self, location: SessionLocation | None = None, *, replaces: bool = False) -> None:
        self.location = location
        self._replaced = location.folder if replaces and location is not None else None
        self._marks: dict[Path, tuple[int, int] | None] = {}

    def sign(self, path: Path) -> None:
        """Say that a file is ours as it is now."""
        self._marks[path] = _mark(path)

    def may_write(self, path: Path) -> bool:
        """Whether a file is ours and as we left it, or not there."""
        found = _mark(path)
        if path.parent == self._replaced and path not in self._marks:
            return True
        return found is None or self._marks.get(path) == found


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Earlier work on an image.

    Attributes
    ----------
    ownership : FileOwnership
        Goes on with it.
    files : dict of StackPosition to SessionFile
        One per stack.
    modified : float
        When the newest file was written, in seconds of `time.time`.
    """

    ownership: FileOwnership
    files: dict[StackPosition, SessionFile]
    modified: float


@dataclass(frozen=True, slots=True, eq=False)
class SaveResult:
    """Work that has been written.

    Attributes
    ----------
    location : SessionLocation
        Where it is now.
    path : Path
        A file of it.
    written : float
        When, in seconds of `time.time`.
    trouble : Sam2Error or None
        Why it is not where it was before.
    """

    location: SessionLocation
    path: Path
    written: float
    trouble: Sam2Error | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SaveRequest:
    """Write work to its files.

    Attributes
    ----------
    facts : ImageFacts
    ownership : FileOwnership
        Says where it is kept; if nowhere yet, a place is found where nothing else is.
    works : mapping of StackPosition to StackSession
        Of all stacks, at least one; by the sliders that matter.
    changed : frozenset of StackPosition
        Stacks whose work is not what was asked to be written before.
    """

    facts: ImageFacts
    ownership: FileOwnership
    works: Mapping[StackPosition, StackSession]
    changed: frozenset[StackPosition]


class SessionStore(QObject):
    """Keeps work on disk. Its methods are called on the main thread and return at once.

    Signals
    -------
    kept(SaveResult)
        Work has been written.
    found(ImageFacts, Found)
        There is earlier work on this image.
    read(Path, tuple of SessionFile)
        A file that was asked for, with the work on one or more stacks.
    chosen(ImageFacts, Found)
        Work on this image that was asked for.
    listed(tuple of KeptWork)
        Results that are on disk.
    measured(Path, int)
        Bytes of the results in a folder.
    failed(Exception)
        Why work could not be written.
    unread(Exception)
        Why a file could not be read.
    """

    kept = Signal(object)
    found = Signal(object, object)
    read = Signal(object, object)
    listed = Signal(object)
    measured = Signal(object, object)
    chosen = Signal(object, object)
    failed = Signal(object)
    unread = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._waiting: list[SaveRequest] = []
        self._silent = False
        self._printed: tuple[Callable[[], Any], str | None] = (lambda: None, None)
        self._written: dict[StackPosition, SessionFile] = {}  # of the ownership below
        self._owner: FileOwnership | None = None
        self._worker = Worker("sessions", on_exit=self.close, on_end=lambda: None)

    @property
    def busy(self) -> bool:
        """Whether anything that was asked is not done yet."""
        return self._worker.busy

    def keep(self, request: SaveRequest) -> None:
        """Write work; if the work before it still waits, only the newer one is written."""
        with self._lock:
            joins = bool(self._waiting) and self._waiting[-1].ownership is request.ownership
            if joins:
                self._waiting[-1] = _joined(self._waiting[-1], request)
            else:
                self._waiting.append(request)
        if not joins:
            self._worker.submit(partial(self._guard, self._keep, self.failed))

    def look_for(self, facts: ImageFacts) -> None:
        """Look for earlier work on an image."""
        self._worker.submit(lambda: self._guard(lambda: self._look_for(facts), self.unread))

    def open(self, path: Path) -> None:
        """Read a session file."""
        self._worker.submit(lambda: self._guard(lambda: self._open(path), self.unread))

    def list_kept(self, folders: Iterable[Path]) -> None:
        """List the results that are kept in some folders and in the user's data folder."""
        places = (*folders, sessions_folder())
        self._worker.submit(lambda: self._guard(lambda: self._list(places), self.unread))

    def measure(self, folder: Path) -> None:
        """Find out how much space the results in a folder take."""
        self._worker.submit(lambda: self._tell(self.measured, folder, size_of(folder)))

    def delete_kept(self, path: Path, folders: Iterable[Path]) -> None:
        """Delete the results in a folder, and list what is left."""
        places = (*folders, sessions_folder())
        self._worker.submit(lambda: self._guard(lambda: delete_kept_work(path), self.unread))
        self._worker.submit(lambda: self._guard(lambda: self._list(places), self.unread))

    def open_kept(self, facts: ImageFacts, path: Path) -> None:
        """Read the work of a session file with its results, for an image that it belongs to."""
        self._worker.submit(lambda: self._guard(lambda: self._open_kept(facts, path), self.unread))

    def close(self) -> None:
        """End the thread as soon as all is written; tells nothing any more."""
        self._silent = True
        self._worker.finish()

    # Below: worker thread only.

    def _keep(self) -> None:
        with self._lock:
            request = self._waiting.pop(0)
        known = request.ownership.location
        trouble: Sam2Error | None = None
        for start in _places(request):
            try:
                self._write(request, start, None if known in (None, start) else trouble)
                return
            except (OSError, PromptError) as error:
                trouble = trouble or _not_kept(error)
        if trouble is not None:
            raise trouble

    def _write(
        self, request: SaveRequest, start: SessionLocation, trouble: Sam2Error | None
    ) -> None:
        location, ownership = _free_location(request, start), request.ownership
        path = location.file
        if not location.folder.is_dir() and location.folder == sessions_folder():
            location.folder.mkdir(parents=True, exist_ok=True)
        write_sessions(self._files(request), path)
        ownership.sign(path)
        ownership.location = location
        self._tell(self.kept, SaveResult(location, path, time.time(), trouble))

    def _files(self, request: SaveRequest) -> list[SessionFile]:
        """Return what is to be written of each stack with work; at least of one."""
        if self._owner is not request.ownership:
            self._owner, self._written = request.ownership, {}
        for held, work in request.works.items():
            if held in request.changed or held not in self._written:
                pixels = self._fingerprint(request.facts)
                self._written[held] = session_file(work, pixels)
        files = list(map(self._written.__getitem__, request.works))
        return [each for each in files if len(each.book) or each.accepted] or files[:1]

    def _look_for(self, facts: ImageFacts) -> None:
        newest: Found | None = None
        for location in (work for each in session_locations(facts) for work in works(each)):
            found = _read(location, facts.shape, partial(self._fingerprint, facts))
            if found is not None and (newest is None or found.modified > newest.modified):
                newest = found
        if newest is not None:
            self._tell(self.found, facts, newest)

    def _fingerprint(self, facts: ImageFacts) -> str | None:
        """Return the fingerprint of an image; its planes are read once, if it can be known again.

        The array is not kept alive: a closed image would stay in memory.
        """
        if facts.pixels is None:
            return None
        known, fingerprint = self._printed
        if known() is not facts.pixels:
            fingerprint = fingerprint_of(facts.pixels)
            with suppress(TypeError):  # an array to which there are no weak references
                self._printed = weakref.ref(facts.pixels), fingerprint
        return fingerprint

    def _open_kept(self, facts: ImageFacts, path: Path) -> None:
        location = SessionLocation.chosen(path)
        found = _read(location, facts.shape, partial(self._fingerprint, facts))
        if found is None:
            raise PromptError(
                f"{path.name} was made for another image than {facts.name}.",
                safe="Nothing has changed.",
                remedy="Choose the image that it was made for.",
            )
        self._tell(self.chosen, facts, found)

    def _list(self, folders: Iterable[Path]) -> None:
        self._tell(self.listed, find_kept_work(folders))

    def _open(self, path: Path) -> None:
        self._tell(self.read, path, read_sessions(path))

    def _guard(self, job: Callable[[], None], trouble: Signal) -> None:
        try:
            job()
        except Exception as error:  # nothing may get lost: all errors reach the user
            self._tell(trouble, readable(error))

    def _tell(self, signal: Signal, *values: object) -> None:
        if not self._silent:
            signal.emit(*values)  # type: ignore[attr-defined]


def _places(request: SaveRequest) -> Iterator[SessionLocation]:
    """Give the locations to try one after the other: first where the work is kept."""
    known = request.ownership.location
    if known is not None:
        yield known
        # Rather kept elsewhere than nowhere: a folder may be gone, full or read-only by now.
        # But a virus scanner or a cloud client may hold a file just for a moment.
        time.sleep(_MOMENT_S)
        yield known
    for location in session_locations(request.facts):
        if known is None or location.folder != known.folder:
            yield location


def _not_kept(error: OSError | PromptError) -> PromptError:
    """Say that work could not be written, and the way out."""
    reason = error.happened if isinstance(error, PromptError) else f"{error}."
    return PromptError(
        f"The session cannot be kept: {reason}",
        safe="All labels and prompts in the window are as they were; every change tries again.",
        remedy="Choose another file with “Session as…”.",
    )


def _joined(earlier: SaveRequest, request: SaveRequest) -> SaveRequest:
    """Add the stacks that had changed for the earlier request to the newer one."""
    return replace(request, changed=earlier.changed | request.changed)


def _free_location(request: SaveRequest, start: SessionLocation) -> SessionLocation:
    """Find the first location from `start` on that holds only our work."""
    ownership, location = request.ownership, start
    while True:
        fresh = ownership.location is None and (location.files() or location.results(()).exists())
        if ownership.may_write(location.file) and not fresh:
            return location
        location = location.next()


def _read(
    location: SessionLocation, shape: tuple[int, ...], fingerprint: Callable[[], str | None]
) -> Found | None:
    files: dict[StackPosition, SessionFile] = {}
    ownership, modified = FileOwnership(location), 0.0
    # The file of all stacks first: those of single stacks are of an earlier version.
    for path in sorted(location.files(), key=lambda each: each != location.file):
        try:
            sessions = read_sessions(path, image=shape)
            stamp = path.stat().st_mtime
            positions = [position_of(saved, shape) for saved in sessions]
        except Exception:  # from a damaged file whatever comes; it must not hide another one
            continue  # no work that could be resumed; it stays where it is
        for saved, position in zip(sessions, positions, strict=True):
            holds_work = len(saved.book) or saved.accepted
            if position is None or not holds_work or not is_of_pixels(saved, fingerprint()):
                continue
            files.setdefault(position, saved)
            modified = max(modified, stamp)
            ownership.sign(path)
        if files and path == location.file:
            break
    # Work along another axis, in another part or of other channels is none that could be put
    # together with it.
    views = {(saved.axis, saved.region, picked_channels(saved, shape)) for saved in files.values()}
    return Found(ownership, files, modified) if len(views) == 1 else None


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:  # it is not there
        return None
    return state.st_mtime_ns, state.st_size


def summary(files: Iterable[SessionFile]) -> str:
    """Say how much work there is in session files."""
    files = list(files)
    objects = {i for saved in files for i in saved.book.object_ids()}
    objects |= {pair.object_id for saved in files for pair in saved.accepted}
    # Masks that were handed over from volume to volume are nobody's prompts.
    prompts = sum(
        prompt.n_given
        for saved in files
        for object_id, frame, prompt in saved.book
        if ObjectFrame(object_id, frame) not in saved.handed_over
    )
    accepted = sum(len(saved.accepted) for saved in files)
    parts = [(len(objects), "object"), (prompts, "prompt"), (accepted, "accepted mask")]
    return ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for n, what in parts if n)
