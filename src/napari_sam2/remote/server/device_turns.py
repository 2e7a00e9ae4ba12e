"""`DeviceTurns`: fair turns on the device, in the order in which they were asked for.

Every step of a session takes a turn and gives it back, so that of several clients each has the
device for one frame after the other. Any thread may ask.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class DeviceTurns:
    """One turn at a time; whoever has waited longest is next."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    @contextmanager
    def turn(self, patience_s: float | None = None) -> Iterator[None]:
        """Wait for a turn, and hold it.

        Raises
        ------
        TimeoutError
            It did not come within `patience_s`.
        """
        self._take(patience_s)
        try:
            yield
        finally:
            self._give_back()

    def yield_turn(self) -> None:
        """Let waiting requests have their turns, and take the next turn after them."""
        with self._lock:
            if not self._waiting:
                return
        self._give_back()
        self._take(None)

    def _take(self, patience_s: float | None) -> None:
        with self._lock:
            if not self._taken:
                self._taken = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(patience_s):
            return
        with self._lock:
            if not mine.is_set():
                self._waiting.remove(mine)
                raise TimeoutError("The device is busy.")
        # The turn came in this very moment: it is given to the next one.
        self._give_back()
        raise TimeoutError("The device is busy.")

    def _give_back(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()  # the turn goes over to it
            else:
                self._taken = False
