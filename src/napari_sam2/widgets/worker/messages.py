"""Requests and answers between main thread and session worker. Frozen values."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_sam2.labels import FrameRecord, PlaneChange
from napari_sam2.prompts import SessionFile
from napari_sam2.widgets.state.object_edits import ObjectEdit
from napari_sam2.widgets.state.positions import StackPosition
from napari_sam2.widgets.state.search import SearchPlan, Sighting
from napari_sam2.widgets.state.session_spec import (
    Annotations,
    Prompts,
    RunPlan,
    SessionFeedback,
    SessionSpec,
)
from napari_sam2.widgets.worker.adaptation import AdaptJob, AdaptPlan

if TYPE_CHECKING:
    from napari_sam2.tracking.division_proposals import ProposedDivision

Records = tuple[FrameRecord, ...]
Outdated = Mapping[int, frozenset[int]]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Bring a session in line with what is wanted.

    Attributes
    ----------
    generation : int
        Comes back with the answers.
    spec : SessionSpec
    annotations : Annotations
    step : int
        Number of the step of the user's history that this is, from 1; 0: none.
    """

    generation: int
    spec: SessionSpec
    annotations: Annotations
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class PromptRequest(Request):
    """Take changed prompts and acceptance in.

    Attributes
    ----------
    strokes : tuple of PlaneChange
        What the user has painted into the labels; it is there already.
    """

    strokes: tuple[PlaneChange, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class EditRequest(Request):
    """Change an object. `annotations` is the state before."""

    edit: ObjectEdit


@dataclass(frozen=True, slots=True, eq=False)
class ReplayRequest(Request):
    """Replace all prompts by those of a session file; `annotations` holds the same ones.

    Where that fails or is stopped, the labels are as they were before.

    Attributes
    ----------
    saved : SessionFile
    stop : threading.Event
        Set from any thread: give up, and answer nothing.
    """

    saved: SessionFile
    stop: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True, eq=False)
class RunRequest(Request):
    """Carry the prompted objects through the stack."""

    plan: RunPlan


@dataclass(frozen=True, slots=True, eq=False)
class HandOverRequest(Request):
    """Find objects of a volume in the next one.

    Attributes
    ----------
    there : StackPosition
        The next volume.
    object_ids : frozenset of int
    plan : RunPlan
        With the axis that leads there; only its frames count.
    """

    there: StackPosition
    object_ids: frozenset[int]
    plan: RunPlan


@dataclass(frozen=True, slots=True, eq=False)
class SearchRequest(Request):
    """Look for objects in a frame, which is no step: an `AddFound` edit adds them."""

    plan: SearchPlan


@dataclass(frozen=True, slots=True, eq=False)
class JoinRequest(Request):
    """Have several steps taken back as one from now on, which is no step.

    Attributes
    ----------
    numbers : tuple of int
        Of the steps, ascending; the last one is the number of the joined step.
    """

    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class UndoRequest(Request):
    """Take a step back, or with `again` make it again.

    Attributes
    ----------
    to : int
        Step that is the last one afterwards; `annotations` is what was wanted then.
    again : bool
    """

    to: int
    again: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class AdaptRequest(Request):
    """Read what the model can learn from the session, which is no step.

    Attributes
    ----------
    plan : AdaptPlan
    """

    plan: AdaptPlan


@dataclass(frozen=True, slots=True, eq=False)
class ProposeRequest(Request):
    """Look for divisions that may have happened, which is no step.

    Attributes
    ----------
    stop : threading.Event
        Set from any thread: look no further, and propose nothing.
    """

    stop: threading.Event


@dataclass(frozen=True, slots=True, eq=False)
class KeepRequest(Request):
    """Keep the results of the open session in the folder of the spec from now on, or nowhere."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What the worker is busy with now."""

    generation: int
    text: str


@dataclass(frozen=True, slots=True)
class ContrastJudged:
    """The contrast of the session was looked at in a prompted frame.

    Attributes
    ----------
    shows_little : bool
        Nearly all pixels are black or white.
    """

    generation: int
    shows_little: bool


@dataclass(frozen=True, slots=True)
class Opened:
    """A session is open.

    Attributes
    ----------
    approximations : tuple of str
        What its speed leaves out; nothing if it is exact.
    """

    generation: int
    approximations: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    """The session has done what a request asked for; the labels show it.

    Attributes
    ----------
    step : int
        Of the request.
    position : StackPosition
        The stack whose session it is.
    records : tuple of FrameRecord
        All that are others than before.
    changed : Annotations or None
        After an edit of objects, the prompts and acceptance that it has left.
    feedback : SessionFeedback or None
        What the session has made of the prompts.
    outdated : mapping of int to frozenset of int
        Frames whose masks are older than the prompts that they follow from, by object.
    """

    generation: int
    step: int
    position: StackPosition
    records: Records = ()
    changed: Annotations | None = None
    feedback: SessionFeedback | None = None
    outdated: Outdated = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunStarted:
    """Propagation begins.

    Attributes
    ----------
    visits : tuple of int
        How many results it will give of each frame of the stack.
    """

    generation: int
    visits: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class FrameDone:
    """The masks of one frame are in the labels.

    Attributes
    ----------
    generation, frame, done : int
    records : Records
        Those that are new.
    changed : bool
        Whether any pixel is another one than before.
    """

    generation: int
    frame: int
    done: int
    records: Records = ()
    changed: bool = True


@dataclass(frozen=True, slots=True)
class RunSplit:
    """A prompt came in between; what the run does from now on is a step of its own."""

    generation: int
    step: int


@dataclass(frozen=True, slots=True)
class RunEnded:
    """Propagation is over: finished, cancelled or failed.

    Attributes
    ----------
    skipped : tuple of str
        What was wrong with each frame that could not be read.
    outdated : mapping of int to frozenset of int, or None
        Frames whose masks are out of date still, by object; None: that is not known.
    """

    generation: int
    done: int
    cancelled: bool
    skipped: tuple[str, ...] = ()
    failed: bool = False
    outdated: Outdated | None = None


@dataclass(frozen=True, slots=True, eq=False)
class HandedOver:
    """Objects of a volume were looked for in the next one.

    Attributes
    ----------
    there : StackPosition
        The next volume.
    object_ids : frozenset of int
        All that were looked for.
    prompts : tuple of PlacedPrompt
        Masks of those that were found.
    """

    generation: int
    there: StackPosition
    object_ids: frozenset[int]
    prompts: Prompts


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """A search is so far, in 0..1."""

    generation: int
    number: int
    done: float


@dataclass(frozen=True, slots=True, eq=False)
class SearchEnded:
    """A search is over: finished, cancelled or failed.

    Attributes
    ----------
    number : int
        Of the search.
    found : tuple of Sighting
        Nothing if it was cancelled or failed.
    """

    generation: int
    number: int
    found: tuple[Sighting, ...] = ()
    cancelled: bool = False
    failed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What the model can learn from has been read, or why it could not be.

    Attributes
    ----------
    job : AdaptJob or None
    error : Exception or None
        Just one of both is there.
    """

    generation: int
    job: AdaptJob | None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class DivisionProgress:
    """The search for divisions is so far, in 0..1."""

    generation: int
    done: float


@dataclass(frozen=True, slots=True, eq=False)
class DivisionsProposed:
    """Divisions have been looked for, or why they could not be.

    Attributes
    ----------
    position : StackPosition
    proposals : tuple of ProposedDivision
        Nothing if it was cancelled.
    error : Exception or None
    cancelled : bool
    """

    generation: int
    position: StackPosition
    proposals: tuple[ProposedDivision, ...] = ()
    error: Exception | None = None
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Forgotten:
    """These steps cannot be undone any more: they took too much memory."""

    generation: int
    steps: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Failure:
    """Something went wrong in the worker.

    Attributes
    ----------
    step : int or None
        Step that was not made.
    """

    generation: int
    error: Exception
    step: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ResultsKept:
    """Labels and scores are on disk, or why they are not.

    Attributes
    ----------
    trouble : Exception or None
        None: they are, or were not to be.
    """

    generation: int
    trouble: Exception | None


Running = RunStarted | FrameDone | RunSplit | RunEnded | HandedOver
"""Answers about a run."""

Searching = SearchProgress | SearchEnded
"""Answers about a search."""

Answer = (
    Phase
    | Opened
    | ContrastJudged
    | Done
    | Running
    | Searching
    | Prepared
    | DivisionProgress
    | DivisionsProposed
    | Forgotten
    | ResultsKept
    | Failure
)
