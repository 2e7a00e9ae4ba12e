"""The results that ``segment`` keeps on disk while it runs, for ``--resume``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_sam2._atomic import delete_folder
from napari_sam2.errors import StoreError
from napari_sam2.labels.store.kept_work import delete_kept_work
from napari_sam2.labels.store.result_store import (
    FINISHED,
    STORE_SUFFIX,
    UNFINISHED,
    part_of,
    read_about,
)

if TYPE_CHECKING:
    from napari_sam2.prompts import PromptBook, SessionFile
    from napari_sam2.stack import FrameStack
    from napari_sam2.tracking import Model, TrackingSettings

_DECISIVE = (  # settings that change what is computed
    "view",
    "speed",
    "overlap",
    "max_hole",
    "min_island",
    "clicked_part",
    "obey_clicks",
    "exclusive",
    "absent_limit",
    "max_conditioning",
)


@dataclass(frozen=True, slots=True)
class KeptRun:
    """The folder of a run, with one store for each of its volumes.

    Attributes
    ----------
    folder : Path
    through : bool
        Whether there are several volumes, each in a folder of its own in it.
    session : Path or None
        The session file that is written at the end, and to which the folder then belongs.
    """

    folder: Path
    through: bool
    session: Path | None = None

    @classmethod
    def of(cls, output: Path, session: Path | None, through: bool) -> KeptRun:
        """Return the folder of a run: that of its session file, or else one beside its labels.

        Without a session file it has the whole name of the labels: the window keeps work on
        cells.tif in cells.sam2.zarr, and labels of it are often called cells.ome.tif.
        """
        if session is not None:
            stem = session.name.removesuffix(".json").removesuffix(".sam2")
            return cls(session.with_name(stem + STORE_SUFFIX), through, session)
        return cls(output.with_name(output.name + STORE_SUFFIX), through)

    def store(self, stack: FrameStack) -> Path:
        """Return where the results of a volume are kept."""
        return part_of(self.folder, stack.at) if self.through else self.folder

    @property
    def unfinished(self) -> bool:
        """Whether a run was stopped before its end, and had propagated."""
        if not (self.folder / UNFINISHED).exists():
            return False
        return any(about is not None and about["propagated"] for about in self._kept())

    def begin(
        self,
        resume: bool | None,
        model: Model,
        stack: FrameStack,
        settings: TrackingSettings,
        objects: str,
    ) -> None:
        """Prepare the folder: go on in it, or empty it.

        Parameters
        ----------
        resume : bool or None
            Go on with what is there; False: delete it; None: only if that run was finished.
        model, stack, settings
            Of the session of the first volume.
        objects : str
            Which objects are meant; see `digest_of_objects`.

        Raises
        ------
        StoreError
            An unfinished run is there and `resume` is None, it was computed with other options,
            or the folder holds something else, such as what was done in the window.
        """
        try:
            self._check_owner()
            if resume:
                self._check(model, stack, settings, objects)
            if resume is None and self.unfinished:
                raise StoreError(
                    f"{self.folder} holds what a run computed that was stopped.",
                    safe="It is unchanged.",
                    remedy="Add --resume to go on with it, or --anew to delete it and begin again.",
                )
            if not resume:
                self._delete()
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / UNFINISHED).write_text(objects, "ascii")
        except OSError as error:
            raise StoreError(
                f"Results cannot be kept in {self.folder}: {error}.",
                safe="Nothing has been computed yet.",
                remedy="Write the labels to a folder that may be written to.",
            ) from error

    def _check(
        self, model: Model, stack: FrameStack, settings: TrackingSettings, objects: str
    ) -> None:
        """Raise an error if what is there was computed with other options.

        Raises
        ------
        StoreError
            Model, settings or prompts are others: going on would mix them.
        """
        from napari_sam2.tracking.state.kept_results import about_session

        kept = read_about(self.store(stack))
        if kept is None:
            return
        differ = _different(kept, about_session(model, stack, settings))
        if differ:
            raise StoreError(
                f"The results in {self.folder} were computed with another {differ}.",
                safe="They are unchanged.",
                remedy="Repeat the options of that run, or add --anew to begin again.",
            )
        if self._objects() not in ("", objects):
            raise StoreError(
                f"The results in {self.folder} were computed with other prompts, or with another "
                "search for objects (--auto, --every, --min-size, --max-size).",
                safe="They are unchanged.",
                remedy="Repeat the prompts and options of that run, or add --anew to begin again.",
            )

    def _objects(self) -> str:
        """Return which objects were meant; empty if the run is of a version that did not say."""
        unfinished, finished = self.folder / UNFINISHED, self.folder / FINISHED
        if unfinished.exists():
            return unfinished.read_text("ascii", "replace")
        lines = finished.read_text("ascii", "replace").splitlines() if finished.exists() else []
        return lines[1] if len(lines) > 1 else ""

    def finish(self) -> None:
        """Delete the folder, or mark it as finished if it belongs to a session file.

        Raises
        ------
        StoreError
            It cannot be deleted or marked, or is not the one of this run any more.
        """
        try:
            self._check_owner()
            if self.session is None:
                delete_folder(self.folder)
            else:
                lines = (_digest(self.session), self._objects())
                (self.folder / FINISHED).write_text("\n".join(lines), "ascii")
                (self.folder / UNFINISHED).unlink()
        except OSError as error:
            raise StoreError(
                f"The results in {self.folder} cannot be put away: {error}.",
                safe="All that was asked for is written.",
                remedy="Delete the folder.",
            ) from error

    def _delete(self) -> None:
        if any(self._kept()):
            delete_kept_work(self.folder)  # unless a run writes to it
        elif self.folder.exists():
            delete_folder(self.folder)

    def _check_owner(self) -> None:
        """Raise an error if the folder holds anything but what a run of the command has kept.

        Raises
        ------
        StoreError
            It holds other files, or work that was done in the window or by a script.
        """
        if not self.folder.exists() or (self.folder.is_dir() and not any(self.folder.iterdir())):
            return
        unfinished = (self.folder / UNFINISHED).exists()
        if not (unfinished or any(self._kept())):
            raise StoreError(
                f"{self.folder} is there, and holds something else.",
                safe="It is unchanged.",
                remedy="Choose another name for the labels, or for the session file.",
            )
        if self._is_of_another_session() or not (unfinished or self._left_as_finished()):
            raise StoreError(
                f"{self.folder} holds work that this command has not done.",
                safe="It is unchanged.",
                remedy="Choose another name for the session file, or for the labels if there is "
                "none; or delete that work with “Kept work…” in the window.",
            )

    def _is_of_another_session(self) -> bool:
        """Return whether the session file beside the folder is of another run."""
        beside = self.folder.with_name(self.folder.name.removesuffix(".zarr") + ".json")
        if not beside.exists():
            return False
        own = self.session
        return own is None or not own.exists() or not own.samefile(beside)

    def _left_as_finished(self) -> bool:
        """Return whether the session is unchanged since a run of the command finished it."""
        try:
            then = (self.folder / FINISHED).read_text("ascii").partition("\n")[0]
        except (OSError, UnicodeDecodeError):
            return False
        return self.session is None or not self.session.exists() or then == _digest(self.session)

    def _kept(self) -> list[dict[str, Any] | None]:
        """Return what the stores in the folder are about."""
        if not self.folder.is_dir():
            return []
        parts = sorted(each for each in self.folder.iterdir() if each.is_dir())
        return [read_about(each) for each in (self.folder, *parts)]


def digest_of_objects(
    books: Iterable[PromptBook], sessions: Iterable[SessionFile], *search: object
) -> str:
    """Return a digest of the prompts, of what sessions decide, and of the options of a search."""
    digest = hashlib.sha256(repr(search).encode())
    for book in books:
        for object_id, frame, prompt in book:
            clicks = (prompt.points, prompt.positive, prompt.box, prompt.rounds)
            mask = b"" if prompt.mask is None else np.packbits(prompt.mask).tobytes()
            digest.update(repr((object_id, frame, clicks, len(mask))).encode() + mask)
        digest.update(b"end")
    for saved in sessions:
        masks = [
            (pair, kept.lengths(pair))
            for kept in (saved.results, saved.accepted_masks)
            for pair in kept
        ]
        digest.update(repr((saved.accepted, masks, saved.divisions)).encode())
    return digest.hexdigest()


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _different(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the first option that differs in a way that changes results; empty if none does."""
    if kept.get("weights") != now["weights"] or kept.get("image_size") != now["image_size"]:
        return "model or image size"
    ours, theirs = now["settings"], kept.get("settings")
    if not isinstance(theirs, dict):
        return "set of options"
    return next((name for name in _DECISIVE if ours.get(name) != theirs.get(name)), "")
