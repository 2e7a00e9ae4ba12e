"""`run_batch`: does all stacks of a plan with an executor, tries failed ones again, and adds up.

It runs on the caller's thread.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from napari_sam2.batch.claims import STALE_S, holder_of
from napari_sam2.batch.executors import BatchWatch, Executor
from napari_sam2.batch.output_paths import check_own_results
from napari_sam2.batch.plan import CLAIMS, BatchPlan
from napari_sam2.batch.stack_task import StackTask
from napari_sam2.batch.status import (
    STATUS_SUFFIX,
    StackState,
    StackStatus,
    read_status,
    write_status,
)
from napari_sam2.errors import BatchError

_LOOK_S = 2.0  # between two looks at a claim of a process that may be gone


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What has become of all stacks.

    Attributes
    ----------
    statuses : tuple of StackStatus
        In the order of the plan.
    seconds : float
    stopped : bool
        Whether somebody stopped it.
    error : BatchError or None
        Why it ended before all stacks were done.
    """

    statuses: tuple[StackStatus, ...]
    seconds: float
    stopped: bool = False
    error: BatchError | None = None

    @property
    def failed(self) -> bool:
        """Whether any stack has failed, or the engine has."""
        return self.error is not None or bool(self.of(StackState.FAILED))

    def of(self, state: StackState) -> tuple[StackStatus, ...]:
        """Return the stacks of a state."""
        return tuple(each for each in self.statuses if each.state is state)


def prepare(plan: BatchPlan, *, resume: bool, overwrite: bool, part: bool) -> BatchPlan:
    """Prepare the folder of results, and return the plan with the status of its stacks.

    Parameters
    ----------
    plan : BatchPlan
    resume : bool
        Go on with what is there.
    overwrite : bool
        Do all stacks again.
    part : bool
        Whether other processes write to the same folder that do other stacks.

    Raises
    ------
    BatchError
        There are results and neither option is given, something else stands where results are to be
        written, another process is at work on results that are to be replaced, or the folder cannot
        be written to.
    """
    check_own_results(plan.tasks)
    if not resume and not overwrite:
        check_new(plan, part=part)
    try:
        if overwrite:
            _forget(plan)
        plan.folder.mkdir(parents=True, exist_ok=True)
        if not part:
            # Of two that begin at the same moment only one makes it.
            (plan.folder / CLAIMS).mkdir(exist_ok=resume or overwrite)
    except FileExistsError as error:
        raise _there(plan) from error
    except OSError as error:
        raise BatchError(
            f"Results cannot be written to {plan.folder}: {error.strerror or error}.",
            safe="Nothing has been computed yet.",
            remedy="Give another folder with -o.",
        ) from error
    return replace(plan, tasks=tuple(_with_known(task) for task in plan.tasks))


def check_new(plan: BatchPlan, *, part: bool = False) -> None:
    """Raise an error if there are results already.

    Parameters
    ----------
    plan : BatchPlan
    part : bool
        Look at those of these stacks only.

    Raises
    ------
    BatchError
    """
    if part:
        there = any(task.status.exists() or task.labels.exists() for task in plan.tasks)
    else:
        try:
            there = any(plan.folder.iterdir())
        except FileNotFoundError:
            there = False
        except OSError as error:
            raise BatchError(
                f"Results cannot be written to {plan.folder}: {error.strerror or error}.",
                remedy="Give another folder with -o.",
            ) from error
    if there:
        raise _there(plan)


def known_status(task: StackTask) -> StackStatus:
    """Return the status of a stack from its files: done, or else waiting.

    Failures and stops are named as such.
    """
    waiting = StackStatus(task.name)
    status = read_status(task.status)
    if status is None:
        return waiting
    try:
        key = task.key()
    except OSError:
        return waiting
    if status.state is StackState.DONE and not status.fits(key, task.folder):
        return waiting
    return status if status.key == key else waiting


def run_batch(
    plan: BatchPlan, executor: Executor, watch: BatchWatch, run: str, *, retries: int = 1
) -> BatchResult:
    """Segment all stacks of a plan that are not done.

    Parameters
    ----------
    plan : BatchPlan
        From `prepare`.
    executor : Executor
    watch : BatchWatch
        Sees the progress and may stop it.
    run : str
        Id of the batch, which the workers of the executor know.
    retries : int
        How often a stack that failed is tried again, after all others.

    Returns
    -------
    BatchResult
    """
    start = time.monotonic()
    record = _Record(watch)
    todo = []
    for task in plan.tasks:
        status = known_status(task)
        record.statuses[task.name] = status
        if status.state is StackState.DONE:
            watch.skipped(status)
        else:
            todo.append(task)
    error: BatchError | None = None
    try:
        for _ in range(retries + 1):
            if todo and not watch.stopped():
                _run_all(todo, executor, record, run)
                todo = _failed(todo, record.statuses)
    except BatchError as problem:
        error = problem
        _read_again(plan.tasks, record.statuses)
    _look_elsewhere(plan.tasks, record.statuses)
    with suppress(OSError):  # others have claims there
        (plan.folder / CLAIMS).rmdir()
    statuses = tuple(record.statuses[task.name] for task in plan.tasks)
    return BatchResult(statuses, time.monotonic() - start, watch.stopped(), error)


class _Record:
    """Keeps reports and forwards them."""

    def __init__(self, watch: BatchWatch) -> None:
        self.statuses: dict[str, StackStatus] = {}
        self.stopped = watch.stopped
        self.progress = watch.progress
        self.skipped = watch.skipped
        self._watch = watch

    def ended(self, status: StackStatus) -> None:
        self.statuses[status.name] = status
        self._watch.ended(status)


def _run_all(tasks: Sequence[StackTask], executor: Executor, record: _Record, run: str) -> None:
    """Segment stacks, and again those whose claim belongs to a lost worker of this batch."""
    while tasks and not record.stopped():
        executor.run(tasks, record)
        tasks = [task for task in tasks if _is_ours(record.statuses[task.name], run)]
        end = time.monotonic() + STALE_S + _LOOK_S
        while tasks and not record.stopped() and time.monotonic() < end:
            if any(holder_of(task.folder / CLAIMS, task.name) is None for task in tasks):
                break
            time.sleep(_LOOK_S)


def _is_ours(status: StackStatus, run: str) -> bool:
    return status.state is StackState.ELSEWHERE and status.attempt == run


def _failed(tasks: Sequence[StackTask], statuses: Mapping[str, StackStatus]) -> list[StackTask]:
    return [
        replace(task, known=statuses[task.name].attempt)
        for task in tasks
        if statuses[task.name].state is StackState.FAILED
    ]


def _with_known(task: StackTask) -> StackTask:
    status = read_status(task.status)
    return task if status is None else replace(task, known=status.attempt)


def _read_again(tasks: Sequence[StackTask], statuses: dict[str, StackStatus]) -> None:
    """Read the status files of stacks whose worker could not report any more."""
    for task in tasks:
        if statuses[task.name].state is not StackState.FAILED:
            statuses[task.name] = known_status(task)


def _look_elsewhere(tasks: Sequence[StackTask], statuses: dict[str, StackStatus]) -> None:
    """Read the status files of stacks that another batch has segmented meanwhile."""
    for task in tasks:
        if statuses[task.name].state is StackState.ELSEWHERE:
            status = known_status(task)
            if status.state in (StackState.DONE, StackState.FAILED):
                statuses[task.name] = status


def _there(plan: BatchPlan) -> BatchError:
    begun = [plan.folder / CLAIMS, *(task.status for task in plan.tasks)]
    if not any(map(Path.exists, (*begun, *plan.folder.glob(f"*{STATUS_SUFFIX}")))):
        return BatchError(
            f"{plan.folder} is not empty, and what is in it is not from a batch.",
            safe="It is unchanged.",
            remedy="Give another folder with -o.",
        )
    done = sum(known_status(task).state is StackState.DONE for task in plan.tasks)
    return BatchError(
        f"{plan.folder} is there already, with {done} of {len(plan.tasks)} stacks done.",
        safe="It is unchanged.",
        remedy="Add --resume to do the others, or --overwrite to do all of them again.",
    )


def _forget(plan: BatchPlan) -> None:
    """Forget the state of all stacks, so that they are done again; labels are replaced later.

    Raises
    ------
    BatchError
        Another process is at work on one of them.
    OSError
        Something cannot be deleted.
    """
    for task in plan.tasks:
        owner = holder_of(plan.folder / CLAIMS, task.name)
        if owner is not None:
            raise BatchError(
                f"{owner} is at work on {task.name}.",
                safe="Nothing was touched.",
                remedy="Wait until it has ended, or give another folder with -o.",
            )
    for task in plan.tasks:
        status = read_status(task.status)
        if status is not None:  # what is to be replaced stays known as ours
            written = (*status.outputs, *status.written)
            write_status(task.status, StackStatus(task.name, written=written))
    if not any(task.claimed for task in plan.tasks):
        return
    with suppress(FileNotFoundError):
        shutil.rmtree(plan.folder / CLAIMS)
