"""Accepted masks, sorted by stack."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.widgets.state.positions import Acceptance

PLACES = ((), ((0, 1),), ((0, 2),))
spots = st.frozensets(st.tuples(st.sampled_from(PLACES), st.integers(1, 3), st.integers(0, 3)))


@given(st.lists(spots))
def test_acceptance_is_sorted_by_stack_whatever_was_sorted_before(stream):
    acceptance = Acceptance()
    for each in stream:
        acceptance.sort(each)
        assert acceptance.positions == {place for place, _, _ in each}
        for place in PLACES:
            wanted = {(number, frame) for where, number, frame in each if where == place}
            assert acceptance.at(place) == wanted


def test_unchanged_acceptance_is_the_same_object():
    acceptance, spots = Acceptance(), frozenset({(PLACES[1], 2, 3)})
    acceptance.sort(spots)
    before = acceptance.at(PLACES[1])
    acceptance.sort(spots)
    assert acceptance.at(PLACES[1]) is before
