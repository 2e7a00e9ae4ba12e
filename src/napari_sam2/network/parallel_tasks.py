"""A thread pool for tasks of many torch operations each, one torch thread per task.

torch divides each operation among its threads, which wait for each other at the end of the
operation. When other programs use the cores too, one thread always waits for a core, and the
others wait for it, hundreds of times per frame. Here each thread computes a whole task alone and
then takes the next one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch

_TASKS_PER_THREAD = 4

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def run_tasks(task: Callable[[_Item], object], items: Iterable[_Item]) -> None:
    """Call a function with every item, in as many threads as torch uses, in any order.

    Parameters
    ----------
    task : callable
        Takes an item. It must not depend on the order of the calls. What a call computes does not
        depend on the number of threads, since one thread computes all of it.
    items : iterable
        One for each call.

    Raises
    ------
    Exception
        What a call raised, after all threads have ended; those items that were left are given up.
    """
    waiting = deque(items)
    threads = min(torch.get_num_threads(), len(waiting))
    if threads > 1:
        _Helpers(task, waiting).run(threads)
    while waiting:  # one thread, or none can be started any more since Python ends
        task(waiting.popleft())


def map_tasks(task: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Return what a function makes of every item, in their order; see `run_tasks`.

    A single item is computed by all threads together.
    """
    numbered = list(enumerate(items))
    results: dict[int, _Result] = {}

    def compute(each: tuple[int, _Item]) -> None:
        results[each[0]] = task(each[1])

    run_tasks(compute, numbered)
    return [results[number] for number, _ in numbered]


def tasks_wanted() -> int:
    """Return how many tasks keep all threads busy to the end, 0 where there is one thread only.

    Several for each: while one thread waits for a core, the others take what would be its own.
    """
    threads = torch.get_num_threads()
    return 0 if threads == 1 else _TASKS_PER_THREAD * threads


class _Helpers:
    """Threads for one call of `run_tasks`: where cores are many they are started in 0.1 ms."""

    def __init__(self, task: Callable[[_Item], object], waiting: deque[_Item]) -> None:
        self._task = task
        self._waiting = waiting
        self._inference = torch.is_inference_mode_enabled()
        self._gradients = torch.is_grad_enabled()
        self._half = torch.is_autocast_enabled("cpu")
        self._dtype = torch.get_autocast_dtype("cpu")
        self._errors: list[BaseException] = []
        self._ready = threading.Semaphore(0)

    def run(self, count: int) -> None:
        """Compute until no item waits."""
        started = []
        try:
            for _ in range(count):
                thread = threading.Thread(target=self._help, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # Python ends
                    break
                started.append(thread)
            for _ in started:
                self._ready.acquire()
            # A thread that says how many threads it uses, says it for all that come after it.
            torch.set_num_threads(torch.get_num_threads())
            for thread in started:
                thread.join()
        except BaseException:
            self._waiting.clear()
            for thread in started:
                thread.join()
            raise
        if self._errors:
            raise self._errors[0]

    def _help(self) -> None:
        try:
            # torch sets the number of threads of a new thread when it is first asked for it there:
            # asked later, that would overwrite the 1 that follows.
            torch.get_num_threads()
            torch.set_num_threads(1)
        finally:
            self._ready.release()
        try:
            with (
                torch.inference_mode(self._inference),
                torch.set_grad_enabled(self._gradients),
                torch.autocast("cpu", dtype=self._dtype, enabled=self._half),
            ):
                while True:
                    try:
                        item = self._waiting.popleft()
                    except IndexError:
                        return
                    self._task(item)
        except BaseException as error:
            self._errors.append(error)
            self._waiting.clear()
