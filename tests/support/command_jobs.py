"""Commands for processes of their own (`forked`): ours, also slowed down or counted, and Dask's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path


def command(arguments: Sequence[str]) -> None:
    """Run the command."""
    from napari_sam2.cli import main

    main(list(arguments))


def slow_command(arguments: Sequence[str]) -> None:
    """Run the command with pauses to be killed in, and a commit every few frames.

    For users, a commit comes every 0.8 s, and a frame takes longer.
    """
    from napari_sam2.tracking import TrackingSession
    from napari_sam2.tracking.state import result_keeper

    visit = TrackingSession._visit_next

    def slowly(session, schedule):
        time.sleep(0.05)
        return visit(session, schedule)

    TrackingSession._visit_next = slowly
    result_keeper._EVERY_S = 0.25
    command(arguments)


def counted_command(arguments: Sequence[str], logs: Path) -> None:
    """Run the command, and note in a folder which stacks this process does."""
    from napari_sam2.batch.stack_worker import StackWorker

    segmented = StackWorker._segmented

    def counted(worker, task, begun, *rest, **options):
        with (logs / f"{task.name}.log").open("a") as log:
            log.write(begun.attempt + "\n")
        return segmented(worker, task, begun, *rest, **options)

    StackWorker._segmented = counted
    command(arguments)


def dask_command(name: str, arguments: Sequence[str]) -> None:
    """Run ``dask scheduler`` or ``dask worker``."""
    from importlib import import_module

    import dask
    import forked

    if name == "worker":
        forked.context()  # its workers are forked too, by a server of its own
    with dask.config.set({"distributed.worker.multiprocessing-method": forked.METHOD}):
        import_module(f"distributed.cli.dask_{name}").main(list(arguments))
