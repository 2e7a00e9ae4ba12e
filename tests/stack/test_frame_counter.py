"""Frames of a propagation count once, when no pass visits them any more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.stack.frame_counter import FrameCounter


def test_frame_that_is_visited_twice_counts_at_its_last_visit():
    counter = FrameCounter([1, 2, 2, 0])
    counted = []
    for frame in (1, 2, 2, 1, 0):
        counter.visit(frame)
        counted.append((counter.done, counter.total))
    assert counted == [(0, 3), (0, 3), (1, 3), (2, 3), (3, 3)]
    assert (counter.visited, counter.planned) == (5, 5)


@given(
    visits=st.lists(st.integers(0, 3), min_size=1, max_size=20),
    order=st.randoms(use_true_random=False),
    extra=st.lists(st.integers(0, 19), max_size=5),
)
def test_done_never_exceeds_the_frames_and_reaches_them(visits, order, extra):
    counter = FrameCounter(visits)
    frames = [frame for frame, count in enumerate(visits) for _ in range(count)] + extra
    order.shuffle(frames)
    before = 0
    for frame in frames:
        counter.visit(frame)
        assert before <= counter.done <= counter.total <= len({*range(len(visits)), *extra})
        assert counter.visited <= counter.planned
        before = counter.done
    assert counter.done == counter.total == len(set(frames))
