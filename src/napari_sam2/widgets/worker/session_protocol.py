"""The session as the worker uses it: a protocol that tests implement too.

Worker thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from napari_sam2.errors import Sam2Error
from napari_sam2.labels import FrameRecord, PackedMask
from napari_sam2.prompts import FramePrompt, PromptBook, SessionFile
from napari_sam2.types import Direction, Division, FrameMasks, ObjectFrame, Region, Replayed
from napari_sam2.widgets.state.session_spec import SessionSpec

if TYPE_CHECKING:
    from napari_sam2.tracking.division_proposals import ProposedDivision


class Session(Protocol):
    """Objects of one stack; see `napari_sam2.TrackingSession` for what each method does."""

    prompts: PromptBook

    @property
    def object_ids(self) -> tuple[int, ...]:
        """Objects that it follows."""
        ...

    @property
    def accepted(self) -> tuple[ObjectFrame, ...]:
        """Accepted objects and frames."""
        ...

    @property
    def approximations(self) -> tuple[str, ...]:
        """What the chosen speed leaves out."""
        ...

    def set_prompt(self, object_id: int, frame: int, prompt: FramePrompt) -> FrameMasks:
        """Make a prompt all that an object holds in a frame."""
        ...

    def remove_prompts(self, object_id: int, frame: int | None = None) -> None:
        """Forget the prompts of an object in a frame, or the object."""
        ...

    def accept(self, object_id: int, frame: int) -> None:
        """Fix an object in a frame."""
        ...

    def unaccept(self, object_id: int, frame: int) -> None:
        """Lift that again."""
        ...

    def remove_objects(self, object_ids: Iterable[int]) -> None:
        """Take objects out of all frames, with their prompts."""
        ...

    def choose(self, object_id: int, frame: int, rank: int) -> FrameMasks:
        """Take another mask that a click could mean."""
        ...

    def merge(self, object_id: int, other: int) -> None:
        """Make one object of two."""
        ...

    def split(self, object_id: int, frame: int, new_id: int) -> None:
        """Make an object of its own of what an object is from a frame on."""
        ...

    def propagate(
        self,
        direction: Direction,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
        recompute: bool = False,
    ) -> Iterator[FrameMasks]:
        """Follow objects; fill the labels frame by frame."""
        ...

    def planned_visits(
        self,
        direction: Direction,
        start: int | None = None,
        stop: int | None = None,
        object_ids: Iterable[int] | None = None,
    ) -> Sequence[int]:
        """Return how many results `propagate` will give of each frame."""
        ...

    def outdated_frames(self) -> Mapping[int, Sequence[int]]:
        """Return the frames whose masks are older than the prompts that they follow from."""
        ...

    def cancel(self) -> None:
        """Stop propagating within one frame; from any thread."""
        ...

    def propose_objects(
        self,
        frame: int,
        *,
        like: Iterable[int] = (),
        region: Region | None = None,
        also_searched: Iterable[int] = (),
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] = ...,
        **options: Any,
    ) -> tuple[Any, ...]:
        """Look for objects in a frame; add none."""
        ...

    def add_proposals(
        self, proposals: Iterable[Any], object_ids: Iterable[int] | None = None
    ) -> tuple[int, ...]:
        """Add proposed objects with these ids."""
        ...

    def watch_labels(self, seen: Callable[[int, Any, Any], None] | None) -> None:
        """Have a function called after every write to the labels."""
        ...

    def snapshot(self) -> Any:
        """Return what the session knows, without the labels."""
        ...

    def restore(self, state: Any) -> None:
        """Come back to a snapshot."""
        ...

    def corrected_masks(self) -> Mapping[ObjectFrame, PackedMask]:
        """Return what came of prompts that correct tracked frames, by object and frame."""
        ...

    def spans(self) -> Mapping[int, tuple[int, int]]:
        """Return the first frame and the end of objects that are part of a split one."""
        ...

    def replay(self, saved: SessionFile) -> Iterator[Replayed]:
        """Take a session file in, step by step."""
        ...


@runtime_checkable
class Releasing(Protocol):
    """Something that can free the memory it holds for next time."""

    def release(self) -> None:
        """Free it."""
        ...


@runtime_checkable
class Keeping(Protocol):
    """A session that can keep its results on disk; see `napari_sam2.TrackingSession`."""

    @property
    def kept_in(self) -> Path | None:
        """The folder with the results."""
        ...

    @property
    def store_trouble(self) -> Sam2Error | None:
        """Why they could not be written."""
        ...

    def keep_in(self, store: Path, records: Iterable[FrameRecord] = ()) -> None:
        """Keep results in a folder, with these records, in the place of what it holds."""
        ...

    def continue_in(self, store: Path) -> bool:
        """Continue from a folder that holds the same labels; return whether it does."""
        ...

    def kept_records(self) -> Iterator[FrameRecord]:
        """Give the records that are in the folder."""
        ...

    def record(self, records: Iterable[FrameRecord]) -> None:
        """Keep these records."""
        ...

    def labels_changed(self, frame: int) -> None:
        """Note that someone else has changed the labels of a frame."""
        ...

    def close(self) -> None:
        """Write everything, and leave the folder."""
        ...


@runtime_checkable
class Dividing(Protocol):
    """A session whose objects divide; see `napari_sam2.TrackingSession`."""

    @property
    def divisions(self) -> tuple[Division, ...]:
        """All divisions."""
        ...

    def set_divisions(self, divisions: Iterable[Division]) -> None:
        """Replace all divisions."""
        ...

    def add_division(self, parent: int, children: Sequence[int], frame: int) -> Division:
        """Say that an object divides."""
        ...

    def remove_division(self, parent: int) -> None:
        """Say that it does not."""
        ...

    def propose_divisions(
        self,
        frames_back: int = 3,
        *,
        progress: Callable[[float], None] | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> tuple[ProposedDivision, ...]:
        """Find divisions that may have happened; none once `cancelled` returns True."""
        ...


SessionOpener = Callable[[SessionSpec, Callable[[str], None]], Session]
"""Opens the session of a spec; is given a function that shows the current activity."""
