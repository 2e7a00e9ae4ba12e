"""The corrective click lands in the middle of what is most wrong, and says which way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation import Click, corrective_click
from napari_sam2.evaluation.simulated_user import regions_of

FEW = settings(max_examples=50, deadline=None)
pairs = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(
    lambda shape: st.tuples(arrays.arrays(bool, shape), arrays.arrays(bool, shape))
)


def pixel_of(click: Click) -> tuple[int, int]:
    return int(click.point[0]), int(click.point[1])


@FEW
@given(pair=pairs)
def test_a_click_lands_on_an_error_of_its_kind_in_the_largest_region(pair):
    prediction, truth = pair
    click = corrective_click(prediction, truth)
    if click is None:
        assert np.array_equal(prediction, truth)
        return
    pixel = pixel_of(click)
    assert truth[pixel] == click.positive
    assert prediction[pixel] != click.positive
    wrong = [*regions_of(truth & ~prediction), *regions_of(prediction & ~truth)]
    clicked = next(region for region in wrong if region.mask[pixel])
    assert clicked.size == max(region.size for region in wrong)


@FEW
@given(pair=pairs)
def test_swapping_prediction_and_truth_swaps_the_sign(pair):
    prediction, truth = pair
    there, back = corrective_click(prediction, truth), corrective_click(truth, prediction)
    assert (there is None) == (back is None)
    missing = [region.size for region in regions_of(truth & ~prediction)]
    superfluous = [region.size for region in regions_of(prediction & ~truth)]
    if there is not None and max(missing, default=0) != max(superfluous, default=0):
        assert back == Click(there.point, not there.positive)


@FEW
@given(pair=pairs)
def test_clicking_on_and_on_never_repeats_a_pixel_and_reaches_every_error(pair):
    prediction, truth = pair
    clicked: list[tuple[int, int]] = []
    while (click := corrective_click(prediction, truth, clicked)) is not None:
        assert pixel_of(click) not in clicked
        clicked.append(pixel_of(click))
    assert len(clicked) == np.count_nonzero(prediction ^ truth)


def test_a_missing_half_is_clicked_in_its_middle():
    truth = np.zeros((30, 40), dtype=bool)
    truth[5:14, 10:30] = True
    prediction = truth.copy()
    prediction[:, 21:] = False
    assert corrective_click(prediction, truth) == Click((9.0, 25.0), positive=True)


def test_the_larger_superfluous_part_is_clicked_away():
    truth = np.zeros((30, 40), dtype=bool)
    truth[5:14, 5:14] = True
    prediction = np.zeros_like(truth)
    prediction[5:14, 7:14] = True
    prediction[20:25, 30:35] = True
    assert corrective_click(prediction, truth) == Click((22.0, 32.0), positive=False)


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(EvaluationError, match=r"\(3, 3\) and \(3, 4\)"):
        corrective_click(np.ones((3, 3), dtype=bool), np.ones((3, 4), dtype=bool))
