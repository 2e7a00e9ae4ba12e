"""`Executor`: the interface that runs stacks, and the executor in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from napari_sam2.batch.stack_task import StackTask
from napari_sam2.batch.stack_worker import StackWorker
from napari_sam2.batch.status import StackStatus
from napari_sam2.segmentation.session_runner import Watcher


class BatchWatch(Protocol):
    """What an executor reports to, on the thread that called `Executor.run`."""

    def progress(self, name: str, done: int, planned: int | None) -> None:
        """Record how many frame results a stack has, and will have if that is known."""

    def skipped(self, status: StackStatus) -> None:
        """Record that a stack was done before; the executor does not get it."""

    def ended(self, status: StackStatus) -> None:
        """Record that a stack has ended."""

    def stopped(self) -> bool:
        """Return whether to stop: running stacks between two frames, and no new ones."""


class Executor(Protocol):
    """Segments stacks, each in one process, and several at once if it has several processes."""

    def run(self, tasks: Sequence[StackTask], watch: BatchWatch) -> None:
        """Segment stacks; all that were begun have ended when this returns.

        Parameters
        ----------
        tasks : sequence of StackTask
        watch : BatchWatch

        Raises
        ------
        BatchError
            The engine itself has failed; stacks that had ended are reported.
        """

    def close(self) -> None:
        """End all processes."""


class InProcess:
    """Does stacks one after the other in this process.

    Parameters
    ----------
    worker : StackWorker
    """

    def __init__(self, worker: StackWorker) -> None:
        self._worker = worker

    def run(self, tasks: Sequence[StackTask], watch: BatchWatch) -> None:
        """Segment stacks; see `Executor.run`."""
        for task in tasks:
            if watch.stopped():
                return
            watch.ended(self._worker.do(task, watcher_of(task.name, watch)))

    def close(self) -> None:
        """Do nothing: there are no other processes."""


def watcher_of(name: str, watch: BatchWatch) -> Watcher:
    """Return the watcher of one stack that reports to the watch of the batch."""
    return Watcher(lambda done, planned: watch.progress(name, done, planned), watch.stopped)
