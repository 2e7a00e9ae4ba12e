"""`StackWorker`: segments stacks one after the other, with one model on one device.

Every executor does its stacks with one of these, on a thread of the process that it chooses.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_sam2.batch.claims import ClaimOwner, StackClaim, take_claim
from napari_sam2.batch.plan import CLAIMS
from napari_sam2.batch.stack_task import StackTask
from napari_sam2.batch.status import (
    StackFailure,
    StackState,
    StackStatus,
    now,
    read_status,
    write_status,
)
from napari_sam2.errors import BatchError
from napari_sam2.segmentation.session_runner import Watcher
from napari_sam2.segmentation.stack_job import segment_files

if TYPE_CHECKING:
    from napari_sam2.tracking import Model


class StackWorker:
    """Segments stacks with a model that it keeps from one stack to the next.

    Parameters
    ----------
    device : str
        As of `load_model`.
    run : str
        Id of the batch.
    """

    def __init__(self, device: str, run: str) -> None:
        self._device = device
        self._run = run
        self._model: Model | None = None
        self._asked: tuple[str, int | None] | None = None

    def do(self, task: StackTask, watcher: Watcher) -> StackStatus:
        """Segment a stack, unless it is done or another process works on it.

        Whatever goes wrong with the stack is in the status that is returned, and in its file where
        that can be written.
        """
        try:
            key = task.key()
            settled = _settled(task, key)
            if settled is not None:
                return settled
            if not task.claimed:
                return self._attempt(task, key, watcher, None)
            claim = take_claim(task.folder / CLAIMS, task.name, self._run)
        except (OSError, BatchError) as error:
            return self._refused(task, error)
        if isinstance(claim, ClaimOwner):
            return _elsewhere(task, claim)
        with claim:
            # Another process may have done it between the two looks.
            settled = _settled(task, key)
            return settled or self._attempt(task, key, watcher, claim)

    def _attempt(
        self, task: StackTask, key: str, watcher: Watcher, claim: StackClaim | None
    ) -> StackStatus:
        before = read_status(task.status)
        paths = [path.relative_to(task.folder).as_posix() for path in task.written]
        again = before is not None and before.key == key
        begun = StackStatus(
            task.name,
            StackState.RUNNING,
            key=key,
            attempt=f"{self._run}-{secrets.token_hex(4)}",
            attempts=1 + (before.attempts if before is not None and again else 0),
            started=now(),
            host=socket.gethostname(),
            pid=os.getpid(),
            device=self._device,
            written=tuple(dict.fromkeys((*_written(before), *paths))),
        )
        start = time.monotonic()
        try:
            write_status(task.status, begun)
            ended = self._segmented(task, begun, _held(watcher, claim), resume=again)
        except Exception as error:  # a damaged file may raise anything, and the others go on
            ended = replace(begun, state=StackState.FAILED, error=StackFailure.of(error))
        except BaseException:  # Ctrl-C twice, or the end of the process
            with suppress(BatchError):
                write_status(task.status, replace(begun, state=StackState.STOPPED, ended=now()))
            raise
        if claim is not None and not claim.check():
            return _elsewhere(task, ClaimOwner())
        ended = replace(ended, ended=now(), seconds=round(time.monotonic() - start, 3))
        try:
            write_status(task.status, ended)
        except BatchError as error:
            return replace(ended, state=StackState.FAILED, error=_both(ended.error, error))
        return ended

    def _segmented(
        self, task: StackTask, begun: StackStatus, watcher: Watcher, *, resume: bool
    ) -> StackStatus:
        trouble = task.trouble()
        if trouble is not None:
            raise trouble
        task.write_rows()
        notes = [] if task.prompts is None else [f"prompts: {task.prompts}"]
        summary = segment_files(
            task.files,
            task.options,
            self._load,
            resume=resume,
            write_partial=False,
            may_be_empty=True,  # as an empty well of a plate
            notify=notes.append,
            watcher=watcher,
        )
        if summary.complete and not summary.objects:
            notes.append("No object was found.")
        return replace(
            begun,
            state=StackState.DONE if summary.complete else StackState.STOPPED,
            frames=summary.frames_done,
            frame_results=summary.frame_results,
            objects=len(summary.objects),
            skipped=len(summary.skipped),
            device=summary.device,
            model=summary.model,
            notes=(*notes, *(each.reason for each in summary.skipped)),
            outputs=task.outputs if summary.complete else (),
        )

    def _refused(self, task: StackTask, error: Exception) -> StackStatus:
        """Return, and write if that can be done, that a stack could not even be begun."""
        status = StackStatus(
            task.name,
            StackState.FAILED,
            attempt=f"{self._run}-{secrets.token_hex(4)}",
            attempts=1,
            started=now(),
            ended=now(),
            host=socket.gethostname(),
            pid=os.getpid(),
            written=_written(read_status(task.status)),
            error=StackFailure.of(error),
        )
        with suppress(BatchError):
            write_status(task.status, status)
        return status

    def _load(self, name: str, image_size: int | None) -> Model:
        """Return the model, which is loaded once for all stacks that want the same."""
        if self._model is None or self._asked != (name, image_size):
            from napari_sam2.tracking import load_model

            self._model = None  # two do not fit on every device
            self._model = load_model(name, device=self._device, image_size=image_size)
            self._asked = (name, image_size)
        return self._model


def note_loss(task: StackTask, run: str, reason: str) -> StackStatus:
    """Return, and write, that the process was lost that had a stack.

    If it had finished the stack before, that is returned instead.
    """
    status = read_status(task.status)
    if status is None or status.state is StackState.RUNNING:
        key = "" if status is None else status.key
        attempts = 1 if status is None else status.attempts
        began = now() if status is None else status.started
        status = StackStatus(
            task.name,
            StackState.FAILED,
            key=key,
            attempt=f"{run}-{secrets.token_hex(4)}",
            attempts=attempts,
            started=began,
            ended=now(),
            written=_written(status),
            error=StackFailure("WorkerLost", reason),
        )
        with suppress(BatchError):
            write_status(task.status, status)
    return status


def _written(status: StackStatus | None) -> tuple[str, ...]:
    """Return the files that batches have written or begun to write, after a status file."""
    return () if status is None else tuple(dict.fromkeys((*status.outputs, *status.written)))


def _settled(task: StackTask, key: str) -> StackStatus | None:
    """Return the status of a stack for which nothing is to be done; None if there is something."""
    status = read_status(task.status)
    if status is None or status.key != key:
        return None
    failed = status.state is StackState.FAILED and status.attempt != task.known
    return status if status.fits(key, task.folder) or failed else None


def _elsewhere(task: StackTask, owner: ClaimOwner) -> StackStatus:
    return StackStatus(
        task.name,
        StackState.ELSEWHERE,
        attempt=owner.run,
        host=owner.host,
        pid=owner.pid,
        notes=(f"{owner} is at work on it.",),
    )


def _held(watcher: Watcher, claim: StackClaim | None) -> Watcher:
    """Return a watcher that also stops when the claim is lost."""
    if claim is None:
        return watcher
    return replace(watcher, stopped=lambda: claim.lost or watcher.stopped())


def _both(first: StackFailure | None, second: BatchError) -> StackFailure:
    if first is None:
        return StackFailure.of(second)
    return replace(first, message=f"{first.message} {second}")
