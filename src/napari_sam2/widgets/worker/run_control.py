"""Stops and pauses a propagation. Any thread."""

from __future__ import annotations

import threading


class RunControl:
    """Stops or holds a run, from any thread, and knows what has come of its frames."""

    def __init__(self) -> None:
        self.done = 0  # frames
        self.skipped: list[str] = []  # what was wrong with frames that could not be read
        self._stop, self._go = threading.Event(), threading.Event()
        self._go.set()

    @property
    def stopped(self) -> bool:
        """Whether the run is to end."""
        return self._stop.is_set()

    def stop(self) -> None:
        """End the run within one frame."""
        self._stop.set()
        self._go.set()

    def hold(self, paused: bool) -> None:
        """Pause the run, or let it go on."""
        (self._go.clear if paused else self._go.set)()

    def wait(self, seconds: float) -> bool:
        """Wait while the run is paused, no longer than this; return whether it may go on."""
        return self._go.wait(seconds)
