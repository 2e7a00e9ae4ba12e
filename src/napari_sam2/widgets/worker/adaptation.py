"""Starts the process of an adaptation and reports its progress.

Worker thread only.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from napari_sam2.widgets.worker.session_protocol import Session

if TYPE_CHECKING:
    from napari_sam2.training import AdaptationTask


@dataclass(frozen=True, slots=True)
class AdaptPlan:
    """How a model is to learn, and where the adapted model goes.

    Attributes
    ----------
    minutes : float
    stem : str
        The file is named after it.
    folders : tuple of Path
        Where the file may be, the best place first; where none can be written to, it is in the
        model cache.
    """

    minutes: float
    stem: str
    folders: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class AdaptState:
    """How far an adaptation is.

    Attributes
    ----------
    text : str
        What it is busy with.
    fraction : float
        In 0..1.
    """

    text: str
    fraction: float


@dataclass(frozen=True, slots=True)
class AdaptOutcome:
    """What came of an adaptation.

    Attributes
    ----------
    click, box : (float, float)
        Mean IoU before and after on the masks that were held out, of one click and of the box.
    measured : int
        How many masks those are.
    path : Path or None
        File of the adapted model; None: it was not better.
    skipped : tuple of str
        What was wrong with frames that could not be read.
    """

    click: tuple[float, float]
    box: tuple[float, float]
    measured: int
    path: Path | None
    skipped: tuple[str, ...] = ()


class AdaptJob(Protocol):
    """An adaptation that is prepared; needs the session no more."""

    def run(
        self, progress: Callable[[AdaptState], None], cancelled: Callable[[], bool]
    ) -> AdaptOutcome | None:
        """Do it and wait for it, in any thread; None if it was cancelled."""


Prepare = Callable[[Session, AdaptPlan], AdaptJob]
"""Reads from a session what its model can learn from; worker thread only."""


@dataclass(frozen=True, slots=True, eq=False)
class ProcessJob:
    """An adaptation in a process of its own; see `napari_sam2.training.run_adaptation`."""

    task: AdaptationTask

    def run(
        self, progress: Callable[[AdaptState], None], cancelled: Callable[[], bool]
    ) -> AdaptOutcome | None:
        """Do it and wait for it, in any thread; None if it was cancelled."""
        from napari_sam2.training import AdaptationCancelledError, run_adaptation

        def tell(now: Any) -> None:
            steps = f": step {now.step} of {now.steps}" if now.steps else ""
            progress(AdaptState(f"{now.stage.value}{steps}", now.fraction))

        try:
            result = run_adaptation(self.task, tell, cancelled)
        except AdaptationCancelledError:
            return None
        return AdaptOutcome(
            (result.before.click, result.after.click),
            (result.before.box, result.after.box),
            result.measured_masks,
            result.model,
            result.skipped,
        )


def prepare_process_job(session: Any, plan: AdaptPlan) -> AdaptJob:
    """Read what the model of a `TrackingSession` can learn from."""
    from napari_sam2.checkpoints import cache_folder, free_adapted_path
    from napari_sam2.training import prepare_adaptation

    possible = [folder for folder in plan.folders if os.access(folder, os.W_OK)]
    folder = possible[0] if possible else cache_folder() / "adapted"
    path = free_adapted_path(folder, plan.stem)
    return ProcessJob(prepare_adaptation(session, plan.minutes, path))
