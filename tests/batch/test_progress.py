"""Frames per second and time left, over stacks of which some are not begun."""

from __future__ import annotations

import pytest

from napari_sam2.batch.progress import BatchProgress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_left_counts_stacks_that_are_not_begun():
    clock = Clock()
    progress = BatchProgress(4, clock)
    assert str(progress) == ""
    assert progress.seconds_left is None
    for done in range(1, 11):
        clock.now += 0.5
        progress.update("a", done, 10)
    progress.end("a")
    assert progress.stacks_done == 1
    assert progress.frames_per_second == pytest.approx(2)
    assert progress.seconds_left == pytest.approx(15)
    clock.now += 2.5
    progress.update("b", 5, 10)
    assert progress.stacks_done == pytest.approx(1.5)
    assert progress.seconds_left == pytest.approx((5 + 20) / 2)
    assert str(progress) == "2.0 frames/s, 0:12 left"


def test_only_the_last_minute_counts():
    clock = Clock()
    progress = BatchProgress(1, clock)
    for done in range(1, 101):
        clock.now += 10
        progress.update("a", done, 1000)
    for done in range(101, 701):
        clock.now += 0.1
        progress.update("a", done, 1000)
    assert progress.frames_per_second == pytest.approx(10, rel=0.02)


def test_a_stack_that_is_tried_again_counts_its_frames_again():
    clock = Clock()
    progress = BatchProgress(2, clock)
    for done in (5, 10, 3):
        clock.now += 1
        progress.update("a", done, 10)
    assert progress.frames == 13
    assert progress.stacks_done == pytest.approx(0.3)


def test_a_search_whose_length_is_unknown_gives_no_time():
    clock = Clock()
    progress = BatchProgress(2, clock)
    clock.now += 1
    progress.update("a", 4, None)
    assert progress.frames_per_second == pytest.approx(4)
    assert progress.seconds_left is None
    assert str(progress) == "4.0 frames/s"
