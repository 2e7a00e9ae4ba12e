"""Running of a job in a child process of low priority, beside the window's process.

`multiprocessing` would import the main module again in the child: a script that opens napari would
open it twice. Therefore a new Python is started, reads its job from a pipe and ends when the pipe
closes, also when the parent crashes. Jobs run on the main thread of the child; messages arrive on
the thread that called `run_in_child`. The module itself needs only the standard library.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, TypeVar

from napari_sam2.errors import Sam2Error, TrainingError

MOST_THREADS = 2
"""CPU threads of such a process: the window and its own work need cores as well."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""Environment variables by which numerical libraries limit their CPU threads."""

_NICE = 10
_EVERY_S = 0.05
_PATIENCE_S = 10.0
_ABANDONED = 3  # exit code when the parent has closed the pipe
_START = "from napari_sam2._child import main; main()"
_MOST_OUTPUT = 2000  # characters of a failed process's stderr that its error quotes

_Argument = TypeVar("_Argument")
_Message = TypeVar("_Message")
_Result = TypeVar("_Result")

Job = Callable[[_Argument, Callable[[_Message], None]], _Result]
"""A function of a module: takes an argument and a function that sends messages to the parent."""


class ChildEndedError(TrainingError):
    """The process ended without a result."""


def run_in_child(
    job: Job[_Argument, _Message, _Result],
    argument: _Argument,
    received: Callable[[_Message], None],
    cancelled: Callable[[], bool],
) -> _Result | None:
    """Run a job in a child process of low priority with few threads.

    Parameters
    ----------
    job : callable
        A function of a module; see `Job`. Its argument, messages and result are pickled.
    argument : object
        The argument of the job.
    received : callable
        Called on this thread with each message of the job.
    cancelled : callable
        Called many times a second; True ends the process at once.

    Returns
    -------
    object or None
        Result of the job; None if it was cancelled.

    Raises
    ------
    ChildEndedError
        The process ended early or could not be started.
    Exception
        Any error that the job raises.
    """
    with tempfile.TemporaryFile() as output:
        process = _start(output)
        messages: queue.SimpleQueue[tuple[str, Any] | None] = queue.SimpleQueue()
        order = (job, argument)
        thread = threading.Thread(
            target=_talk, args=(process, order, messages), name="napari-sam2-child", daemon=True
        )
        thread.start()
        try:
            while not cancelled():
                try:
                    message = messages.get(timeout=_EVERY_S)
                except queue.Empty:
                    continue
                if message is None:
                    raise _ended(process, output)
                kind, value = message
                if kind == "message":
                    received(value)
                elif kind == "raised":
                    raise value
                else:
                    result: _Result = value
                    return result
            return None
        finally:
            _end(process)
            thread.join()


def _start(output: IO[bytes]) -> subprocess.Popen[bytes]:
    threads = str(min(MOST_THREADS, os.cpu_count() or 1))
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, **dict.fromkeys(THREAD_VARIABLES, threads)}
    # Only Windows has these flags; without them a console would flash up there.
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    flags |= getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environment,
            creationflags=flags,
        )
    except OSError as error:
        raise ChildEndedError(
            f"No process for the training could be started: {error}.",
            safe="The model is as it was.",
        ) from error


def _talk(
    process: subprocess.Popen[bytes],
    order: tuple[Any, Any],
    messages: queue.SimpleQueue[tuple[str, Any] | None],
) -> None:
    """Send the job to the child and queue its messages; runs on a thread until the child ends."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        pickle.dump(order, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        while True:
            messages.put(pickle.load(process.stdout))
    except (OSError, EOFError, ValueError, pickle.UnpicklingError):  # it ended, or was ended
        messages.put(None)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _ended(process: subprocess.Popen[bytes], output: IO[bytes]) -> ChildEndedError:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE_S)
    output.seek(0)
    words = output.read().decode(errors="replace").strip()[-_MOST_OUTPUT:]
    code = process.returncode
    return ChildEndedError(
        f"The training process ended before it was done (exit code {code})."
        + (f" Its last output: {words}" if words else ""),
        safe="The model is as it was.",
        remedy="If memory ran out, close other programs or take a smaller model, and try again.",
    )


def main() -> None:
    """Run the job that arrives through the pipe; the entry point of the child."""
    orders, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not mix with the messages
    if hasattr(os, "nice"):
        with suppress(OSError):  # where a system forbids it, the work is done all the same
            os.nice(_NICE)
    job, argument = pickle.load(orders)
    threading.Thread(target=_watch, args=(orders,), daemon=True).start()

    def send(kind: str, value: object) -> None:
        pickle.dump((kind, value), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()

    try:
        result = job(argument, lambda value: send("message", value))
    except Sam2Error as error:
        send("raised", error)
    else:
        send("returned", result)


def _watch(orders: IO[bytes]) -> None:
    """End the child when its parent has closed the pipe."""
    orders.read()
    os._exit(_ABANDONED)
