"""Jobs for processes of their own."""

from __future__ import annotations

import os
import sys
import threading
import time

from napari_sam2.errors import TrainingError


def count(until, tell):
    for number in range(until):
        tell(number)
    return "done"


def scaled(factor, value, _tell):
    return factor * value


def surroundings(_argument, _tell):
    import torch

    niceness = os.nice(0) if hasattr(os, "nice") else None
    return os.getpid(), torch.get_num_threads(), niceness


def chatter(_argument, _tell):
    print("printed")
    os.write(1, b"written")
    return "quiet"


def fail(happened, _tell):
    raise TrainingError(happened, safe="All of it.", remedy="None.")


def stumble(divisor, _tell):
    return 1 / divisor


def wait_for_ever(_argument, tell):
    tell(os.getpid())
    time.sleep(600)


def start_and_die(_argument, _tell):
    """Start another process, and end without waiting for it; give its number."""
    from napari_sam2._child import run_in_child

    pids = []
    threading.Thread(
        target=run_in_child,
        args=(wait_for_ever, None, pids.append, lambda: False),
        daemon=True,
    ).start()
    while not pids:
        time.sleep(0.01)
    sys.stdout.flush()
    return pids[0]
