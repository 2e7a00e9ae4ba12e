"""Ctrl-C that keeps what is done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

INTERRUPTED_EXIT_CODE = 130
"""128 + SIGINT: what a shell expects of a command that Ctrl-C stopped."""

_MESSAGE = "Stopping after this frame; Ctrl-C again drops everything."


class Interrupt:
    """Whether Ctrl-C was pressed, and what to do at once when it is.

    Parameters
    ----------
    stop : callable, optional
        Called in the signal handler: sets a flag that the work looks at.
    message : str
        What the user is told.
    """

    def __init__(self, stop: Callable[[], None] | None = None, message: str = _MESSAGE) -> None:
        self.happened = False
        self._stop = stop
        self._message = message

    def asked(self) -> bool:
        """Whether the work should stop."""
        return self.happened

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Stop softly the first time, at once the second time."""
        if self.happened:
            raise KeyboardInterrupt
        self.happened = True
        if self._stop is not None:
            self._stop()
        typer.echo(f"\n{self._message}", err=True)


@contextmanager
def soft_interrupt(
    stop: Callable[[], None] | None = None, *, message: str = _MESSAGE
) -> Iterator[Interrupt]:
    """Turn the first Ctrl-C into a request; the second is a KeyboardInterrupt.

    Outside the main thread signals cannot be handled: Ctrl-C then stays as it is.

    Parameters
    ----------
    stop : callable, optional
        Called when Ctrl-C is pressed.
    message : str
        What the user is told then.

    Yields
    ------
    Interrupt
    """
    interrupt = Interrupt(stop, message)
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt.handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
