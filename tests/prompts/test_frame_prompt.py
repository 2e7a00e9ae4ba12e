from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.errors import PromptError
from napari_sam2.prompts import FramePrompt


def test_points_default_to_the_object():
    prompt = FramePrompt(points=[(1, 2), (3.5, 4)])
    assert prompt.points == ((1.0, 2.0), (3.5, 4.0))
    assert prompt.positive == (True, True)


def test_points_may_be_an_array_of_any_real_type():
    prompt = FramePrompt(points=np.array([[1, 2]], dtype=np.float32), positive=np.array([False]))
    assert prompt.points == ((1.0, 2.0),)
    assert prompt.positive == (False,)
    assert type(prompt.positive[0]) is bool


def test_box_corners_are_sorted():
    assert FramePrompt(box=(9, 8, 1, 2)).box == (1.0, 2.0, 9.0, 8.0)


def test_mask_is_a_read_only_copy():
    given = np.eye(4, dtype=bool)
    prompt = FramePrompt(mask=given)
    given[:] = False
    assert prompt.mask is not None
    assert prompt.mask.sum() == 4
    with pytest.raises(ValueError, match="read-only"):
        prompt.mask[0, 0] = False


def test_mask_of_one_label_value_counts_as_two_valued():
    prompt = FramePrompt(mask=np.array([[0, 7], [7, 0]], dtype=np.uint16))
    assert prompt.mask is not None
    np.testing.assert_array_equal(prompt.mask, [[False, True], [True, False]])


def test_equality_and_hash_go_by_content():
    first = FramePrompt(points=[(1, 2)], mask=np.eye(3, dtype=bool))
    second = FramePrompt(points=((1.0, 2.0),), mask=np.eye(3, dtype=np.uint8))
    assert first == second
    assert hash(first) == hash(second)
    assert first != FramePrompt(points=[(1, 2)])
    assert first != FramePrompt(points=[(1, 2)], mask=~np.eye(3, dtype=bool))
    assert first != "prompt"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "empty"),
        ({"points": []}, "empty"),
        ({"points": [(np.nan, 1)]}, "y is nan"),
        ({"points": [(1, np.inf)]}, "x is inf"),
        ({"points": (1, 2)}, r"\(y, x\) pairs"),
        ({"points": [(0, 1, 2)]}, r"\(y, x\) pairs"),
        ({"points": [(1, 2), (3,)]}, "numbers"),
        ({"points": [("a", "b")]}, "numbers"),
        ({"points": [(1j, 0)]}, "numbers"),
        ({"points": [(None, 0)]}, "numbers"),
        ({"points": [(1, 2)], "positive": [True, False]}, "each of the 1"),
        ({"points": [(1, 2)], "positive": [2]}, "each of the 1"),
        ({"points": [(1, 2)], "positive": ["yes"]}, "each of the 1"),
        ({"box": (1, 2, 1, 5)}, "no area"),
        ({"box": (1, 2, 3, 2)}, "no area"),
        ({"box": (1, 2, 3)}, "shape"),
        ({"box": (1, 2, 3, np.nan)}, "nan"),
        ({"mask": np.zeros((3, 3), bool)}, "empty"),
        ({"mask": np.ones((2, 3, 3), bool)}, "2D"),
        ({"mask": np.ones((3, 3), complex)}, "complex"),
        ({"mask": np.array([[1, 2]])}, "2 different values"),
        ({"mask": np.array([[0.0, np.nan]])}, "different values"),
    ],
)
def test_bad_input_is_an_error_with_a_remedy(fields, says):
    with pytest.raises(PromptError, match=says) as caught:
        FramePrompt(**fields)
    assert caught.value.remedy


ONE, TWO, THREE = (1.0, 2.0), (3.0, 4.0), (5.0, 6.0)
MASK = np.eye(4, 5, dtype=bool)


@pytest.mark.parametrize(
    ("before", "after", "clicks", "refines"),
    [
        (FramePrompt((ONE,)), FramePrompt((ONE, TWO), rounds=(1, 1)), 1, True),
        (FramePrompt((ONE,)), FramePrompt((ONE, TWO)), 1, False),
        (FramePrompt((ONE,)), FramePrompt((ONE, TWO, THREE), rounds=(1, 2)), 2, True),
        (FramePrompt((ONE,)), FramePrompt((ONE, TWO, THREE), rounds=(1, 1, 1)), 2, False),
        (FramePrompt((ONE, TWO)), FramePrompt((ONE, TWO), rounds=(1, 1)), 0, False),
        (FramePrompt((ONE, TWO)), FramePrompt((ONE,)), None, False),
        (FramePrompt((ONE,)), FramePrompt((ONE, TWO), (False, True), rounds=(1, 1)), None, False),
        (FramePrompt((ONE,)), FramePrompt((ONE, TWO), box=(0, 0, 3, 3)), None, False),
        (FramePrompt(mask=MASK), FramePrompt((ONE,), mask=MASK, rounds=(0, 1)), 1, True),
        (FramePrompt(mask=MASK), FramePrompt((ONE,), mask=~MASK, rounds=(0, 1)), None, False),
    ],
)
def test_what_was_added_to_a_prompt(before, after, clicks, refines):
    assert after.clicks_since(before) == clicks
    assert after.refines(before) == refines


def test_clicks_are_added_as_a_round():
    both = FramePrompt(box=(0, 0, 3, 3)).with_clicks([ONE, TWO], [True, False]).with_clicks([THREE])
    assert both == FramePrompt(
        (ONE, TWO, THREE), (True, False, True), (0, 0, 3, 3), rounds=(0, 2, 1)
    )
    with pytest.raises(PromptError):
        both.with_clicks([])


def test_rounding_makes_no_other_prompt():
    prompt = FramePrompt(((1.0, 2.0),), (True,), (0.0, 0.0, 5.0, 5.0))
    assert prompt.is_nearly(FramePrompt(((1 + 1e-9, 2.0),), (True,), (0.0, 1e-9, 5.0, 5.0)))
    others = (
        FramePrompt(((1.001, 2.0),), (True,), prompt.box),
        FramePrompt(prompt.points, (False,), prompt.box),
        FramePrompt(prompt.points, (True,)),
        FramePrompt(prompt.points, (True,), prompt.box, np.ones((3, 3), bool)),
        FramePrompt((*prompt.points, (3.0, 3.0)), (True, True), prompt.box),
    )
    assert not any(prompt.is_nearly(other) for other in others)
