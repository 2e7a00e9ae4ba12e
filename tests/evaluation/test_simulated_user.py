"""The simulated user clicks inside objects and draws boxes around them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation import (
    EvaluationOptions,
    PromptFrame,
    PromptKind,
    choose_prompts,
    interior_point,
)
from napari_sam2.evaluation.simulated_user import bounding_box, choose_frame, object_areas

FEW = settings(max_examples=25, deadline=None)
stacks = arrays.arrays(
    np.uint16,
    st.tuples(st.integers(1, 5), st.integers(2, 9), st.integers(2, 9)),
    elements=st.integers(0, 4),
)
masks = arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(np.any)


@FEW
@given(truth=stacks, frame=st.sampled_from(PromptFrame))
def test_a_click_lands_on_its_object(truth, frame):
    prompts = choose_prompts(truth, EvaluationOptions(frame=frame))
    assert [prompt.object_id for prompt in prompts] == sorted(set(truth[truth > 0].tolist()))
    for prompt in prompts:
        y, x = prompt.point
        assert truth[prompt.frame, int(y), int(x)] == prompt.object_id


@FEW
@given(truth=stacks)
def test_a_box_holds_its_object_and_has_an_area(truth):
    for prompt in choose_prompts(truth, EvaluationOptions(prompt=PromptKind.BOX)):
        y0, x0, y1, x1 = prompt.box
        rows, columns = np.nonzero(truth[prompt.frame] == prompt.object_id)
        assert y0 <= rows.min() <= rows.max() <= y1 < truth.shape[1]
        assert x0 <= columns.min() <= columns.max() <= x1 < truth.shape[2]
        assert min(y0, x0) >= 0
        assert y1 > y0
        assert x1 > x0


@FEW
@given(mask=masks)
def test_the_interior_point_is_inside(mask):
    y, x = interior_point(mask)
    assert mask[int(y), int(x)]


def test_the_interior_point_is_the_middle_of_the_largest_part():
    mask = np.zeros((40, 40), dtype=bool)
    mask[2:6, 2:30] = True
    mask[20:35, 20:35] = True
    assert interior_point(mask) == (27.0, 27.0)


def test_the_edge_of_the_image_counts_as_outside():
    mask = np.ones((9, 9), dtype=bool)
    assert interior_point(mask) == (4.0, 4.0)


def test_which_frame_gets_the_prompt():
    areas = np.array([0, 3, 0, 9, 4, 0])
    assert choose_frame(areas, PromptFrame.FIRST) == 1
    assert choose_frame(areas, PromptFrame.MIDDLE) == 3
    assert choose_frame(areas, PromptFrame.LARGEST) == 3
    assert choose_frame(np.array([1, 0, 0, 0, 1]), PromptFrame.MIDDLE) == 4


def test_the_best_frame_is_the_largest_that_is_not_cut_off():
    areas, at_edge = np.array([0, 3, 8, 5, 9]), np.array([0, 1, 0, 0, 2])
    assert choose_frame(areas, PromptFrame.BEST, at_edge) == 2
    assert choose_frame(areas, PromptFrame.WHOLE, at_edge) == 2
    always = np.array([0, 1, 1, 1, 1])
    assert choose_frame(areas, PromptFrame.BEST, always) == 4
    assert choose_frame(areas, PromptFrame.WHOLE, always) == 1
    assert choose_frame(areas, PromptFrame.BEST) == 4


def test_an_object_that_enters_is_prompted_when_it_is_whole():
    truth = np.zeros((4, 10, 12), dtype=np.uint16)
    for frame, plane in enumerate(truth):
        plane[3:6, frame - 1 if frame else 0 : frame + 3] = 1
    (first,) = choose_prompts(truth, EvaluationOptions(frame=PromptFrame.FIRST))
    (whole,) = choose_prompts(truth, EvaluationOptions(frame=PromptFrame.WHOLE))
    assert (first.frame, whole.frame) == (0, 2)


def test_areas_are_counted_per_frame():
    truth = np.zeros((2, 3, 3), dtype=np.uint16)
    truth[0, 0] = 7
    truth[1, :2] = 7
    areas = object_areas(truth)
    assert areas.keys() == {7}
    assert areas[7].tolist() == [3, 6]


def test_at_most_so_many_objects_spread_over_the_ids():
    truth = np.arange(1, 13, dtype=np.uint16).reshape(1, 3, 4)
    prompts = choose_prompts(truth, EvaluationOptions(max_objects=3))
    assert [prompt.object_id for prompt in prompts] == [1, 5, 9]


def test_nothing_in_the_labels_gives_no_prompts():
    assert choose_prompts(np.zeros((2, 4, 4), dtype=np.uint16), EvaluationOptions()) == ()


@pytest.mark.parametrize("place", [interior_point, bounding_box])
def test_an_empty_mask_is_refused(place):
    with pytest.raises(EvaluationError, match="empty mask"):
        place(np.zeros((4, 4), dtype=bool))


def test_less_than_no_rounds_is_refused():
    with pytest.raises(EvaluationError, match="-1 rounds"):
        EvaluationOptions(rounds=-1)


def test_no_objects_at_most_is_refused():
    with pytest.raises(EvaluationError, match="nothing to score"):
        EvaluationOptions(max_objects=0)
