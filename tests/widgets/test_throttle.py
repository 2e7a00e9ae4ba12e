"""Scheduled updates run together, and once each."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QTimer

from napari_sam2.widgets.throttle import Throttle


class Calls(list[str]):
    """What was called, in order."""

    def action(self, name: str) -> Callable[[], None]:
        return lambda: self.append(name)


def test_scheduled_actions_run_together_and_once(qtbot) -> None:
    throttle, calls = Throttle(), Calls()
    one, two = calls.action("one"), calls.action("two")
    for action in (one, two, one):
        throttle.soon(action)
    assert calls == [], "not within the event"
    qtbot.waitUntil(lambda: bool(calls))
    assert calls == ["one", "two"]


def test_action_scheduled_by_an_action_runs_later(qtbot) -> None:
    throttle, calls = Throttle(), Calls()

    def again() -> None:
        calls.append("again")
        if len(calls) < 3:
            throttle.soon(again)

    throttle.soon(again)
    qtbot.waitUntil(lambda: len(calls) == 3)


def test_dropped_action_does_not_run(qtbot) -> None:
    throttle, calls = Throttle(), Calls()
    dropped = calls.action("dropped")
    throttle.soon(dropped)
    throttle.soon(calls.action("kept"))
    throttle.drop(dropped)
    throttle.drop(dropped)
    qtbot.waitUntil(lambda: bool(calls))
    assert calls == ["kept"]


def test_nothing_runs_after_stop_until_scheduled_again(qtbot) -> None:
    throttle, calls = Throttle(), Calls()
    throttle.soon(calls.action("stale"))
    throttle.stop()
    timers = throttle.findChildren(QTimer)
    assert not any(timer.isActive() for timer in timers), "other threads may collect it now"
    throttle.soon(calls.action("new"))
    qtbot.waitUntil(lambda: bool(calls))
    assert calls == ["new"]
