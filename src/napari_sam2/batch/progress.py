"""`BatchProgress`: how far all stacks are together, frames per second, and the time that is left.

One thread.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_WINDOW_S = 60.0  # over which frames per second are measured


class BatchProgress:
    """Adds up the progress of stacks of which some are not begun.

    Parameters
    ----------
    stacks : int
        Number of stacks that are to be done.
    clock : callable
        Gives seconds.
    """

    def __init__(self, stacks: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._stacks = stacks
        self._clock = clock
        self._done: dict[str, int] = {}
        self._planned: dict[str, int] = {}
        self._ended: set[str] = set()
        self._frames = 0
        self._seen: deque[tuple[float, int]] = deque([(clock(), 0)])

    def update(self, name: str, done: int, planned: int | None) -> None:
        """Record how many frame results a stack has, and will have."""
        before = self._done.get(name, 0)
        # A stack that is tried again begins anew.
        self._frames += done - before if done >= before else done
        self._done[name] = done
        if planned is not None:
            self._planned[name] = max(planned, done)
        self._ended.discard(name)
        now = self._clock()
        self._seen.append((now, self._frames))
        while now - self._seen[0][0] > _WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()

    def end(self, name: str) -> None:
        """Record that a stack has ended."""
        self._ended.add(name)

    @property
    def stacks_done(self) -> float:
        """Stacks that are done, the parts of those that are being done included."""
        parts = [
            min(1.0, done / self._planned[name])
            for name, done in self._done.items()
            if name not in self._ended and self._planned.get(name)
        ]
        return len(self._ended) + sum(parts)

    @property
    def frames(self) -> int:
        """Frame results so far."""
        return self._frames

    @property
    def frames_per_second(self) -> float | None:
        """Frame results per second of about the last minute; None before there are any."""
        (start, before), (end, after) = self._seen[0], self._seen[-1]
        return (after - before) / (end - start) if after > before and end > start else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all stacks are done, if the others are as long as those that were begun."""
        rate = self.frames_per_second
        if rate is None or not self._planned:
            return None
        begun = self._done.keys() | self._ended
        mean = sum(self._planned.values()) / len(self._planned)
        left = sum(
            self._planned.get(name, mean) - done
            for name, done in self._done.items()
            if name not in self._ended
        )
        return (max(0.0, left) + mean * (self._stacks - len(begun))) / rate

    def __str__(self) -> str:
        rate, left = self.frames_per_second, self.seconds_left
        parts = [] if rate is None else [f"{rate:.1f} frames/s"]
        parts += [] if left is None else [f"{_clock_text(left)} left"]
        return ", ".join(parts)


def _clock_text(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
