"""The results that ``segment`` keeps on disk while it runs, for ``--resume``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_sam2._atomic import delete_folder
from napari_sam2.errors import StoreError
from napari_sam2.labels.store.result_store import (
    STORE_SUFFIX,
    UNFINISHED,
    part_of,
    read_about,
)
from napari_sam2.stack import stem_of

if TYPE_CHECKING:
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
    """

    folder: Path
    through: bool

    @classmethod
    def of(cls, output: Path, session: Path | None, through: bool) -> KeptRun:
        """Return the folder of a run: beside its session file, or else beside its labels."""
        if session is not None:
            stem = session.name.removesuffix(".json").removesuffix(".sam2")
            return cls(session.with_name(stem + STORE_SUFFIX), through)
        return cls(output.with_name(stem_of(output.name) + STORE_SUFFIX), through)

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
        self, resume: bool | None, model: Model, stack: FrameStack, settings: TrackingSettings
    ) -> None:
        """Prepare the folder: go on in it, or empty it.

        Parameters
        ----------
        resume : bool or None
            Go on with what is there; False: delete it; None: only if that run was finished.
        model, stack, settings
            Of the session of the first volume.

        Raises
        ------
        StoreError
            An unfinished run is there and `resume` is None, it was computed with other options,
            or the folder holds something else.
        """
        if resume:
            self._check(model, stack, settings)
        if resume is None and self.unfinished:
            raise StoreError(
                f"{self.folder} holds what a run computed that was stopped.",
                safe="It is unchanged.",
                remedy="Add --resume to go on with it, or --anew to delete it and begin again.",
            )
        try:
            if not resume:
                self.delete()
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / UNFINISHED).touch()
        except OSError as error:
            raise StoreError(
                f"Results cannot be kept in {self.folder}: {error}.",
                safe="Nothing has been computed yet.",
                remedy="Write the labels to a folder that may be written to.",
            ) from error

    def _check(self, model: Model, stack: FrameStack, settings: TrackingSettings) -> None:
        """Raise an error if what is there was computed with other options.

        Raises
        ------
        StoreError
            Model or settings are others: going on would mix them.
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

    def finish(self, keep: bool) -> None:
        """Mark the run as finished; delete its folder unless it belongs to a session file."""
        (self.folder / UNFINISHED).unlink(missing_ok=True)
        if not keep:
            self.delete()

    def delete(self) -> None:
        """Delete the folder if it is one of ours.

        Raises
        ------
        StoreError
            It is something else.
        """
        if not self.folder.exists():
            return
        ours = (self.folder / UNFINISHED).exists() or any(self._kept())
        if not ours and any(self.folder.iterdir()):
            raise StoreError(
                f"{self.folder} is a folder with something else in it.",
                safe="It is unchanged.",
                remedy="Choose another name for the labels.",
            )
        delete_folder(self.folder)  # at once: what a kill leaves of it must not be gone on with

    def _kept(self) -> list[dict[str, Any] | None]:
        """Return what the stores in the folder are about."""
        if not self.folder.is_dir():
            return []
        parts = sorted(each for each in self.folder.iterdir() if each.is_dir())
        return [read_about(each) for each in (self.folder, *parts)]


def _different(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name the first option that differs in a way that changes results; empty if none does."""
    if kept.get("weights") != now["weights"] or kept.get("image_size") != now["image_size"]:
        return "model or image size"
    ours, theirs = now["settings"], kept.get("settings")
    if not isinstance(theirs, dict):
        return "set of options"
    return next((name for name in _DECISIVE if ours.get(name) != theirs.get(name)), "")
