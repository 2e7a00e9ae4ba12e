"""Other programs that use the same cores: started for a measurement, ended with it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

# A process whose parent has ended, in whatever way, reads the end of its input.
_UNTIL_INPUT_ENDS = """
import os, sys, threading
def wait():
    sys.stdin.read()
    os._exit(0)
threading.Thread(target=wait, daemon=True).start()
"""
_READY = "\nprint('ready', flush=True)\n"

BUSY: dict[str, str] = {
    "loops": _UNTIL_INPUT_ENDS + _READY + "while True: pass",
    "torch": _UNTIL_INPUT_ENDS
    + "import torch\na = torch.rand(1024, 1024)\n"
    + _READY
    + "while True: torch.nn.functional.gelu(a @ a / 1024)",
}
"""What they do: loops of Python, one core each; matrix products of torch, with all its threads."""


@contextmanager
def busy(kind: str | None, processes: int) -> Iterator[None]:
    """Keep the cores busy with other processes, which run when the context is entered.

    Parameters
    ----------
    kind : {"loops", "torch"} or None
        None starts nothing.
    processes : int
        How many.
    """
    started = []
    try:
        for _ in range(processes if kind is not None else 0):
            command = [sys.executable, "-c", BUSY[str(kind)]]
            started.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
        for process in started:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise RuntimeError(f"A busy process ended at once, with {process.wait()}.")
        if started:
            time.sleep(1.0)  # until the scheduler has spread them over the cores
        yield
    finally:
        for process in started:
            process.kill()
            process.communicate()
