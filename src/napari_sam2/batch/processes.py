"""`Processes`: does stacks in spawned processes, one for each device.

The thread that calls `run` hands the stacks out and hears of their progress. In each process the
main thread does the stacks, and a second one listens: it stops the stack when it is told to, and
also when the parent is gone, however that ended. A process that dies is replaced.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final

from napari_sam2._child import THREAD_VARIABLES
from napari_sam2.batch.executors import BatchWatch
from napari_sam2.batch.stack_task import StackTask
from napari_sam2.batch.stack_worker import StackWorker, note_loss
from napari_sam2.batch.status import StackStatus
from napari_sam2.errors import BatchError
from napari_sam2.segmentation.session_runner import Watcher

_METHOD: Final = "spawn"  # of multiprocessing: forked, they would not survive torch's threads
_LOOK_S = 0.1  # between two looks whether to stop
_PATIENCE_S = 10.0
_STOP = "stop"

Report = tuple[int, int | None] | StackStatus
"""What a process tells of its stack: results done and planned, or its end."""


class Processes:
    """Does stacks in processes that are started when they are needed, and kept until `close`.

    Parameters
    ----------
    devices : sequence of str
        One process for each; a device may be there several times.
    run : str
        Id of the batch.
    """

    def __init__(self, devices: Sequence[str], run: str) -> None:
        self._devices = tuple(devices)
        self._run = run
        self._workers: dict[int, _WorkerProcess] = {}

    def run(self, tasks: Sequence[StackTask], watch: BatchWatch) -> None:
        """Segment stacks; see `Executor.run`."""
        waiting = deque(tasks)
        told = False
        while True:
            if watch.stopped() and not told:
                told = True
                waiting.clear()
                for worker in self._workers.values():
                    worker.send(_STOP)
            for number in range(min(len(self._devices), len(tasks))):
                if waiting and self._worker(number).task is None:
                    self._workers[number].begin(waiting.popleft())
            busy = [worker for worker in self._workers.values() if worker.task is not None]
            if not busy:
                return
            by_source = {worker.pipe: worker for worker in busy}
            for source in wait(list(by_source), timeout=_LOOK_S):
                self._receive(by_source[source], watch)  # type: ignore[index]

    def close(self) -> None:
        """End all processes; those that still do a stack are ended by force."""
        for worker in self._workers.values():
            worker.end()
        self._workers.clear()

    def _worker(self, number: int) -> _WorkerProcess:
        """Return the process of a number; start a new one if it has died."""
        if number not in self._workers or not self._workers[number].process.is_alive():
            threads = max(1, (os.cpu_count() or 1) // len(self._devices))
            self._workers[number] = _WorkerProcess(self._devices[number], self._run, threads)
        return self._workers[number]

    def _receive(self, worker: _WorkerProcess, watch: BatchWatch) -> None:
        task = worker.task
        if task is None:
            return
        try:
            report: Report = worker.pipe.recv()
        except (EOFError, OSError):  # the process is gone
            worker.task = None
            worker.end()
            code = worker.process.exitcode
            reason = f"The process that did it ended (exit code {code})."
            watch.ended(note_loss(task, self._run, reason))
            return
        if isinstance(report, StackStatus):
            worker.task = None
            watch.ended(report)
        else:
            watch.progress(task.name, *report)


class _WorkerProcess:
    """A worker process, the pipe to it, and its present stack."""

    def __init__(self, device: str, run: str, threads: int) -> None:
        context = multiprocessing.get_context(_METHOD)
        self.task: StackTask | None = None
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_serve, args=(theirs, device, run, threads), name="napari-sam2-stacks"
        )
        try:
            self.process.start()
        except OSError as error:
            raise BatchError(
                f"No process could be started: {error}.",
                safe="Stacks that are done are kept.",
                remedy="Take fewer with --workers.",
            ) from error
        theirs.close()

    def begin(self, task: StackTask) -> None:
        """Send a stack to the process."""
        self.task = task
        self.send(task)

    def send(self, message: StackTask | str) -> None:
        """Send something; that the process is gone is seen when it should answer."""
        with suppress(OSError):
            self.pipe.send(message)

    def end(self) -> None:
        """End the process: by closing its pipe, or by force."""
        idle = self.task is None
        self.pipe.close()
        self.process.join(_PATIENCE_S if idle else 0)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(pipe: Connection, device: str, run: str, threads: int) -> None:
    """Segment stacks from a pipe until it is closed; the main function of a process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal: the parent says what to do
    for name in THREAD_VARIABLES:  # read when torch is loaded
        os.environ.setdefault(name, str(threads))
    tasks: queue.SimpleQueue[StackTask | None] = queue.SimpleQueue()
    stopped = threading.Event()
    listener = threading.Thread(target=_listen, args=(pipe, tasks, stopped), daemon=True)
    listener.start()
    worker = StackWorker(device, run)

    def report(done: int, planned: int | None) -> None:
        with suppress(OSError):  # the parent is gone, which the listener has seen
            pipe.send((done, planned))

    while (task := tasks.get()) is not None:
        status = worker.do(task, Watcher(report, stopped.is_set))
        with suppress(OSError):
            pipe.send(status)


def _listen(
    pipe: Connection, tasks: queue.SimpleQueue[StackTask | None], stopped: threading.Event
) -> None:
    """Receive stacks and the stop message from a pipe until it is closed."""
    try:
        while True:
            message = pipe.recv()
            if message == _STOP:
                stopped.set()
            else:
                tasks.put(message)
    except (EOFError, OSError):
        stopped.set()
        tasks.put(None)
