"""The order of a run through a series of volumes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.stack.series_steps import (
    HandOverStep,
    PropagationStep,
    SearchStep,
    search_steps,
    series_steps,
)
from napari_sam2.types import Direction


def test_objects_are_handed_over_between_two_propagations():
    assert list(series_steps("abc")) == [
        PropagationStep("a"),
        HandOverStep("a", "b"),
        PropagationStep("b"),
        HandOverStep("b", "c"),
        PropagationStep("c"),
    ]


@given(st.lists(st.integers()))
def test_every_volume_is_propagated_once_in_its_order(volumes):
    steps = list(series_steps(volumes))
    assert [step.volume for step in steps if isinstance(step, PropagationStep)] == volumes
    handed = [(step.here, step.there) for step in steps if isinstance(step, HandOverStep)]
    assert handed == list(pairwise(volumes))


def test_one_search_is_followed_through_the_whole_range():
    assert list(search_steps(4, None, 1, 9)) == [SearchStep(4, Direction.BOTH, 1, 9)]


@given(st.integers(0, 40), st.integers(1, 12), st.integers(0, 40), st.integers(0, 40))
def test_a_stack_is_searched_evenly_and_each_frame_after_it_was_reached(frame, every, low, high):
    start, stop = min(low, high, frame), max(low, high, frame) + 1
    steps = list(search_steps(frame, every, start, stop))
    looked = [step.frame for step in steps[:-1]]
    evenly = {each for each in range(frame % every, stop, every) if each >= start}
    assert evenly <= set(looked) <= evenly | {start, stop - 1}
    assert len(looked) == len(set(looked))
    assert min(looked) - start <= every / 2, "what is cut by the end of the stack is found too"
    assert stop - 1 - max(looked) <= every / 2
    assert set(looked) == evenly or min(b - a for a, b in pairwise(sorted(looked))) > every / 2
    reached = {frame}
    for step in steps[:-1]:
        assert step.frame in reached
        assert step.frame in range(step.start, step.stop)
        reached |= set(range(step.start, step.stop))
    assert reached == set(range(start, stop))
    assert steps[-1] == SearchStep(None, Direction.BOTH, start, stop)
    ordered = sorted(looked)
    for step in steps[:-1]:
        at = ordered.index(step.frame)
        assert step.also_searched == (*ordered[max(0, at - 1) : at], *ordered[at + 1 : at + 2])
