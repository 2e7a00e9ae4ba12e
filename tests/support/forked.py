"""Processes of their own for tests: forked by a server that has imported what takes seconds.

The server is that of `multiprocessing`: a single-threaded Python that is started once per worker of
the tests, when it is first needed, and ends with that worker. Where there is none (Windows) each
process is a new Python.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from functools import cache
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from unittest import mock

METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
"""How processes are started here, as `multiprocessing` calls it."""

NOWHERE = Path(os.devnull)

_IMPORTED = (
    "napari_sam2.cli.main",
    "napari_sam2.segmentation.stack_job",
    "napari_sam2.batch.stack_worker",
    "napari_sam2.tracking",
    "napari_sam2.training.adapt.process",
    "napari_sam2.remote.server.app",
    "uvicorn",
)


@cache
def context() -> BaseContext:
    """Return what makes processes, after its server has been started."""
    found = multiprocessing.get_context(METHOD)
    if METHOD == "forkserver":
        from multiprocessing.forkserver import ensure_running

        found.set_forkserver_preload(list(_IMPORTED))
        paths = os.pathsep.join(path for path in sys.path if path)
        with mock.patch.dict(os.environ, {"PYTHONPATH": paths}):
            ensure_running()
    return found


def start(job: Callable[..., object], *args: Any, said: Path | None = NOWHERE) -> BaseProcess:
    """Start a job in a process of its own.

    Parameters
    ----------
    job : callable
        A function of a module that can be imported; `SystemExit` gives the exit code.
    *args : object
        Its arguments.
    said : Path, optional
        A file for what it prints, which otherwise goes nowhere; None: where ours goes.
    """
    process = context().Process(target=_run, args=(job, args, dict(os.environ), said))
    process.start()
    atexit.register(process.kill)  # if a test has failed: `multiprocessing` would wait for it
    return process


def _run(
    job: Callable[..., object],
    args: tuple[Any, ...],
    environment: Mapping[str, str],
    said: Path | None,
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    if said is not None:
        file = os.open(said, os.O_WRONLY | os.O_CREAT, 0o600)
        for stream in (1, 2):
            os.dup2(file, stream)
    job(*args)
