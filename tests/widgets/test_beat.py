"""What is new is shown at one moment, and not again and again."""

from __future__ import annotations

from napari_sam2.widgets.beat import Beat


def test_all_that_is_due_comes_together_and_once(qtbot) -> None:
    beat, calls = Beat(), []

    def one() -> None:
        calls.append("one")

    def two() -> None:
        calls.append("two")

    beat.soon(one)
    beat.soon(two)
    beat.soon(one)
    assert calls == [], "not within the event"
    qtbot.waitUntil(lambda: bool(calls))
    assert calls == ["one", "two"]


def test_what_is_asked_for_by_an_action_comes_with_the_next_beat(qtbot) -> None:
    beat, calls = Beat(), []

    def again() -> None:
        calls.append("again")
        if len(calls) < 3:
            beat.soon(again)

    beat.soon(again)
    qtbot.waitUntil(lambda: len(calls) == 3)


def test_what_is_dropped_does_not_come(qtbot) -> None:
    beat, calls = Beat(), []

    def kept() -> None:
        calls.append("kept")

    def dropped() -> None:
        calls.append("dropped")

    beat.soon(dropped)
    beat.soon(kept)
    beat.drop(dropped)
    beat.drop(dropped)
    qtbot.waitUntil(lambda: bool(calls))
    assert calls == ["kept"]


def test_a_stopped_beat_calls_nothing_until_it_is_asked_again(qtbot) -> None:
    beat, calls = Beat(), []

    def stale() -> None:
        calls.append("stale")

    def new() -> None:
        calls.append("new")

    beat.soon(stale)
    beat.stop()
    beat.soon(new)
    qtbot.waitUntil(lambda: bool(calls))
    assert calls == ["new"]
