"""Batches in this process: what they report, and how they are run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from napari_sam2.batch.executors import Executor, InProcess
from napari_sam2.batch.plan import BatchInputs, plan_batch
from napari_sam2.batch.run import BatchResult, prepare, run_batch
from napari_sam2.batch.stack_worker import StackWorker
from napari_sam2.batch.status import StackStatus


@dataclass
class Recorder:
    """Keeps what a batch reports, and stops it when `stop` says so."""

    stop: Callable[[Recorder], bool] = lambda recorder: False
    seen: Callable[[str, int], None] = lambda name, done: None
    results: list[tuple[str, int]] = field(default_factory=list)
    done: list[StackStatus] = field(default_factory=list)
    before: list[str] = field(default_factory=list)

    def progress(self, name: str, done: int, planned: int | None) -> None:
        assert planned is None or done <= planned
        self.results.append((name, done))
        self.seen(name, done)

    def skipped(self, status: StackStatus) -> None:
        self.before.append(status.name)

    def ended(self, status: StackStatus) -> None:
        self.done.append(status)

    def stopped(self) -> bool:
        return self.stop(self)


def do_batch(
    inputs: BatchInputs,
    recorder: Recorder | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    retries: int = 0,
    run: str = "run",
    executor: Executor | None = None,
) -> BatchResult:
    """Prepare and do a batch, in this process unless there is another executor."""
    plan = prepare(plan_batch(inputs), resume=resume, overwrite=overwrite, part=False)
    chosen = executor or InProcess(StackWorker("cpu", run))
    return run_batch(plan, chosen, recorder or Recorder(), run, retries=retries)


def labels_of(folder: Path) -> dict[str, bytes]:
    """Return the labels files of a folder of results."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.tif"))}
