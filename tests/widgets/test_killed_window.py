"""A window that is killed while it propagates: the next one shows what it had shown, and goes on.

Many more such kills, at random moments: ``python benchmarks/kills.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = Path(__file__).parents[2] / "benchmarks" / "kills.py"

pytestmark = [
    pytest.mark.gl,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="windows are forked processes"),
]


def test_a_killed_window_is_resumed_with_all_that_it_had_shown():
    # On a busy machine a commit takes longer than two seconds.
    given = ["--kind", "window", "--times", "1", "--frames", "6", "--may-be-lost", "60"]
    command = [sys.executable, str(KILLS), *given]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 different at the end" in done.stdout
    assert "s lost" in done.stdout, "a window was resumed after a kill"
