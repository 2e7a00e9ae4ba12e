"""A process of its own for work that must not stand in the way of a window.

`multiprocessing` would import the main module again in the process: a script that opens napari
would open it twice. So Python is started anew, gets its job through a pipe, and ends when that
pipe ends: with whoever started it, however that ended. Needs nothing but the standard library.
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

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_NICE = 10
_EVERY_S = 0.05
_PATIENCE_S = 10.0
_ABANDONED = 3  # exit code when the pipe has ended
_START = "from napari_sam2._child import main; main()"
_TOLD = 2000  # characters of what a process said that died

_Argument = TypeVar("_Argument")
_Heard = TypeVar("_Heard")
_Result = TypeVar("_Result")

Job = Callable[[_Argument, Callable[[_Heard], None]], _Result]
"""A function of a module: it is given an argument and a function that tells what it is at."""


class ChildEndedError(TrainingError):
    """The process ended without a result."""


def run_in_child(
    job: Job[_Argument, _Heard, _Result],
    argument: _Argument,
    heard: Callable[[_Heard], None],
    cancelled: Callable[[], bool],
) -> _Result | None:
    """Have a job done in a process of low priority, with few threads.

    Parameters
    ----------
    job : callable
        Of a module, so that the process finds it; see `Job`. What goes to and fro is pickled.
    argument : object
        What it is given.
    heard : callable
        Called, in this thread, with all that the job tells.
    cancelled : callable
        Asked many times a second; true ends the process at once.

    Returns
    -------
    object or None
        What the job returns; None if it was cancelled.

    Raises
    ------
    ChildEndedError
        The process died, or could not be started.
    Exception
        What the job raises.
    """
    with tempfile.TemporaryFile() as said:
        process = _start(said)
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
                    raise _ended(process, said)
                kind, value = message
                if kind == "told":
                    heard(value)
                elif kind == "raised":
                    raise value
                else:
                    result: _Result = value
                    return result
            return None
        finally:
            _end(process)
            thread.join()


def _start(said: IO[bytes]) -> subprocess.Popen[bytes]:
    threads = str(min(MOST_THREADS, os.cpu_count() or 1))
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, **dict.fromkeys(_THREADS, threads)}
    # Only Windows knows these; a console would flash up there.
    flags = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    flags |= getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
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
    """Send the order, and hear what comes until the process ends; in a thread."""
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


def _ended(process: subprocess.Popen[bytes], said: IO[bytes]) -> ChildEndedError:
    with suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE_S)
    said.seek(0)
    words = said.read().decode(errors="replace").strip()[-_TOLD:]
    code = process.returncode
    return ChildEndedError(
        f"The training process ended before it was done (exit code {code})."
        + (f" It said: {words}" if words else ""),
        safe="The model is as it was.",
        remedy="If memory ran out, close other programs or take a smaller model, and try again.",
    )


def main() -> None:
    """Do the job that comes through the pipe; in the process."""
    orders, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print must not get between the answers
    if hasattr(os, "nice"):
        with suppress(OSError):  # where a system forbids it, the work is done all the same
            os.nice(_NICE)
    job, argument = pickle.load(orders)
    threading.Thread(target=_watch, args=(orders,), daemon=True).start()

    def send(kind: str, value: object) -> None:
        pickle.dump((kind, value), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()

    try:
        result = job(argument, lambda value: send("told", value))
    except Sam2Error as error:
        send("raised", error)
    else:
        send("returned", result)


def _watch(orders: IO[bytes]) -> None:
    """End the process when whoever started it is gone."""
    orders.read()
    os._exit(_ABANDONED)
