"""The order of a run through a series of volumes."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.stack.series_steps import HandOverStep, PropagationStep, series_steps


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
