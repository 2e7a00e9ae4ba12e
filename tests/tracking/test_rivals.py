"""Who follows whom by mistake."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.tracking import TrackingSession, TrackingSettings
from napari_sam2.tracking.prediction import ABSENT_LOGIT, ObjectPrediction
from napari_sam2.tracking.rivals import find_strays
from napari_sam2.tracking.window import Window

SHAPE = (32, 32)
NOTHING = np.zeros(SHAPE, np.uint16)


def box(y0: int, x0: int, y1: int, x1: int, score: float = 1.0) -> ObjectPrediction:
    """A mask that fills a rectangle, seen in the whole frame at its own resolution."""
    logits = torch.full(SHAPE, -8.0)
    logits[y0:y1, x0:x1] = 8.0
    return ObjectPrediction(logits, score, 1.0, torch.zeros(4), Window.whole(SHAPE))


def test_of_two_that_coincide_the_one_decided_farther_away_is_astray():
    twins = {1: box(4, 4, 20, 20), 2: box(5, 4, 21, 20)}
    assert find_strays(twins, NOTHING, {1: 3, 2: 9}) == {2}
    assert find_strays(twins, NOTHING, {1: 9, 2: 3}) == {1}


def test_at_equal_distance_the_better_score_stays():
    twins = {1: box(4, 4, 20, 20, score=0.4), 2: box(5, 4, 21, 20, score=0.9)}
    assert find_strays(twins, NOTHING, {1: 5, 2: 5}) == {1}


def test_neighbours_and_nested_objects_keep_to_themselves():
    predictions = {1: box(0, 0, 20, 20), 2: box(0, 16, 20, 31), 3: box(4, 4, 10, 10)}
    assert find_strays(predictions, NOTHING, {1: 1, 2: 2, 3: 3}) == set()


def test_labels_of_others_count_by_their_own_distance():
    occupied = NOTHING.copy()
    occupied[4:20, 4:20] = 7
    mine = {1: box(4, 4, 20, 20)}
    assert find_strays(mine, occupied, {1: 5, 7: 2}) == {1}
    assert find_strays(mine, occupied, {1: 5, 7: 20}) == {7}
    assert find_strays(mine, occupied, {1: 5}) == {1}, "what no session knows is the user's"


def test_absent_objects_are_never_astray():
    gone = ObjectPrediction(
        torch.full(SHAPE, ABSENT_LOGIT), 1.0, 0.0, torch.zeros(4), Window.whole(SHAPE)
    )
    occupied = np.ones(SHAPE, np.uint16)
    assert find_strays({5: gone}, occupied, {5: 1}) == set()


@given(
    st.dictionaries(
        st.integers(1, 9),
        st.tuples(*[st.integers(0, 15)] * 2, *[st.integers(1, 16)] * 2),
        max_size=6,
    ),
    st.randoms(),
)
@settings(max_examples=60, deadline=None)
def test_strays_do_not_depend_on_the_order(rectangles, random):
    predictions = {i: box(y, x, y + h, x + w) for i, (y, x, h, w) in rectangles.items()}
    distances = {i: i % 3 for i in predictions}
    shuffled = list(predictions.items())
    random.shuffle(shuffled)
    strays = find_strays(predictions, NOTHING, distances)
    assert find_strays(dict(shuffled), NOTHING, distances) == strays
    assert len(strays) < max(1, len(predictions))


@pytest.mark.parametrize("exclusive", [True, False])
def test_an_object_that_goes_on_as_its_neighbour_is_absent(model, stack, exclusive):
    """Two masks drawn on the same place in different frames: they meet in between."""
    settings = TrackingSettings(exclusive=exclusive, max_hole=0, min_island=0)
    session = TrackingSession(model, stack, settings=settings)
    mask = np.zeros(stack.shape[1:], bool)
    mask[8:28, 8:30] = True
    session.add_mask(1, 2, mask)
    list(session.propagate())
    alone = [(session.labels[t] == 1).sum() for t in range(len(stack))]
    session.add_mask(2, 9, mask)
    results = {result.frame: result for result in session.propagate(direction="backward")}
    met = [t for t in range(6, 9) if alone[t] and 2 in results[t].object_ids]
    assert met, "the first object reaches the second one's frames"
    for t in met:
        one, two = (session.labels[t] == 1).sum(), (session.labels[t] == 2).sum()
        assert two > 0 or not exclusive or one == alone[t]
        assert session.labels[t].max() <= 2
