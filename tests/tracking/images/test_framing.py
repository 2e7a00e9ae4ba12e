"""Which window shows an object."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_sam2.tracking.images.object_window import Framing, Place, Window, WindowedObject

SHAPE = (200, 300)
FRAMING = Framing(SHAPE, 64, follows=True)
PLACES = st.builds(
    Place, st.tuples(st.floats(0, 199), st.floats(0, 299)), st.floats(1, 300, allow_subnormal=False)
)


@given(PLACES)
@settings(max_examples=100, deadline=None)
def test_windows_show_the_object_with_its_surroundings(place):
    window = FRAMING.around(place)
    assert window.height == window.width <= max(SHAPE)
    assert window.holds([place.centre])
    assert FRAMING.fits(place, window)
    assert window.height >= min(2.5 * place.extent, max(SHAPE))


@given(PLACES, st.floats(0.85, 1.2))
@settings(max_examples=100, deadline=None)
def test_the_scale_is_kept_while_an_object_changes_little(place, growth):
    before = FRAMING.around(place)
    later = Place((place.centre[0] + 3, place.centre[1]), place.extent * growth)
    assert FRAMING.following(WindowedObject(later, before)).height == before.height


def test_the_scale_changes_with_the_object():
    before = FRAMING.around(Place((100, 100), 20))
    grown = FRAMING.around(Place((100, 100), 50), before)
    assert grown.height == 150


def test_a_shrinking_mask_draws_no_window_after_it():
    decided = WindowedObject(Place((100, 100), 30), FRAMING.around(Place((100, 100), 30)))
    shrunk = WindowedObject(Place((104, 100), 4), decided.window)
    window = FRAMING.following(shrunk, decided)
    assert window.height == decided.window.height
    assert window.holds([(104, 100)])


def test_windows_grow_a_little_at_a_time_and_come_back():
    decided = WindowedObject(Place((100, 100), 20), FRAMING.around(Place((100, 100), 20)))
    leaked = FRAMING.following(WindowedObject(Place((100, 100), 90), decided.window), decided)
    assert decided.window.height < leaked.height < 1.4 * decided.window.height
    back = FRAMING.following(WindowedObject(Place((100, 100), 12), leaked), decided)
    assert back.height == decided.window.height


@given(PLACES, st.lists(st.tuples(st.floats(0, 199), st.floats(0, 299)), min_size=1, max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_window_is_enlarged_to_hold_clicks(place, points):
    window = FRAMING.holding(FRAMING.around(place), points)
    assert window.holds(points)
    assert FRAMING.holding(window, points) == window


def test_looking_closer_halves_the_window():
    window = FRAMING.first_look([(100, 150)])
    assert window.height == 64
    assert FRAMING.closer(window, (100, 150)).height == 32
    assert FRAMING.closer(FRAMING.closer(window, (1, 1)), (1, 1)).height == 24


def test_masks_are_seen_around_their_place():
    mask = np.zeros(SHAPE, bool)
    mask[50:70, 80:90] = True
    window = FRAMING.of_mask(mask)
    assert window.height == 60
    assert window.holds([(50, 80), (69, 89)])
    assert FRAMING.of_mask(np.zeros(SHAPE, bool)) == Window.whole(SHAPE)


def test_a_mask_of_a_known_object_keeps_its_scale():
    known = WindowedObject(Place((60, 85), 30), FRAMING.around(Place((60, 85), 30)))
    sliver = np.zeros(SHAPE, bool)
    sliver[60:63, 84:88] = True
    assert FRAMING.of_mask(sliver, known).height == known.window.height
    assert FRAMING.of_mask(sliver).height < known.window.height


@pytest.mark.parametrize("place", [Place((10, 10), 5), Place((100, 100), 300)])
def test_without_following_every_window_is_the_frame(place):
    framing = Framing(SHAPE, 64, follows=False)
    whole = Window.whole(SHAPE)
    assert framing.around(place) == framing.first_look([(1, 1)]) == whole
    assert (
        framing.following(WindowedObject(place, whole)) == framing.holding(whole, [(5, 5)]) == whole
    )
    assert framing.closer(whole, (3, 3)) == framing.of_mask(np.ones(SHAPE, bool)) == whole
    assert framing.fits(place, whole)


CELLS = 8
ON_GRID = Framing(SHAPE, 128, follows=True, cells=CELLS)


def followed(place):
    return ON_GRID.following(WindowedObject(place, ON_GRID.around(place)))


@example(Place((0.0, 288.0), 54.0))
@given(PLACES)
@settings(max_examples=100, deadline=None)
def test_on_a_grid_windows_are_made_of_whole_cells(place):
    window = followed(place)
    cell, rest = divmod(window.height, CELLS)
    assert rest == 0
    assert window.top % cell == window.left % cell == 0
    assert window.holds([place.centre])
    assert window.height >= min(2.5 * place.extent, max(SHAPE))


@example(Place((181.0, 150.0), 40.0))
@given(PLACES)
@settings(max_examples=200, deadline=None)
def test_on_a_grid_windows_reach_the_end_of_the_frame_as_others_do(place):
    for one in (followed(place), ON_GRID.shared(place)):
        other = Window.square(place.centre, one.height, SHAPE)
        cell = one.height // CELLS
        for first, there, length in (
            (one.top, other.top, SHAPE[0]),
            (one.left, other.left, SHAPE[1]),
        ):
            if there <= 0:
                assert first <= 0
            if there + one.height >= length:
                assert first + one.height >= length
            assert abs(first - there) <= cell


@given(PLACES, PLACES)
@settings(max_examples=100, deadline=None)
def test_on_a_grid_objects_of_like_size_have_windows_of_one_size(one, other):
    sides = [followed(each).height for each in (one, other)]
    ratio = max(one.extent, other.extent) / min(one.extent, other.extent)
    assert max(sides) / min(sides) <= 1.34 * ratio
    assert len({followed(Place((90, 90), extent)).height for extent in range(30, 61)}) <= 6


@given(PLACES, st.floats(0.95, 1.05))
@settings(max_examples=100, deadline=None)
def test_on_a_grid_the_scale_is_kept_while_an_object_changes_little(place, growth):
    before = followed(place)
    later = Place((place.centre[0] + 3, place.centre[1]), place.extent * growth)
    if ON_GRID.fits(later, before):
        assert ON_GRID.following(WindowedObject(later, before)).height == before.height


@given(PLACES)
@settings(max_examples=50, deadline=None)
def test_prompted_windows_lie_on_no_grid(place):
    assert ON_GRID.around(place) == FRAMING.around(place)


def test_a_click_gets_windows_from_close_by_to_the_whole_frame():
    windows = ON_GRID.scales([(150.0, 20.0)])
    sides = [window.height for window in windows]
    assert sides[0] <= 48
    assert sides[-1] >= max(SHAPE)
    assert all(1.5 < b / a < 2.7 for a, b in pairwise(sides))
    assert all(window.holds([(150.0, 20.0)]) for window in windows)


def test_windows_of_clicks_far_from_each_other_hold_all_of_them():
    points = [(10.0, 10.0), (190.0, 280.0)]
    windows = ON_GRID.scales(points)
    assert windows
    assert all(window.holds(points) for window in windows)
