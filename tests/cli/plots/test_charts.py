"""Charts show each curve where its values are, whatever the values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_sam2.cli.plots.charts import Axes, Curve, draw_chart, ticks, write_chart
from napari_sam2.errors import EvaluationError
from napari_sam2.labels.rendering.colours import colour_of

AXES = Axes("IoU over clicks", "clicks", "IoU", y_range=(0, 1), whole_x=True)


def coloured(picture: np.ndarray, number: int) -> np.ndarray:
    """Pixels of a colour left of the legend."""
    near = np.abs(picture[:, :700].astype(int) - colour_of(number)).max(axis=2) < 40
    return np.argwhere(near)


def test_a_rising_curve_rises_and_a_better_one_lies_above():
    low = Curve("low", [(1, 0.2), (2, 0.3), (3, 0.4)], colour=1)
    high = Curve("high", [(1, 0.6), (2, 0.7), (3, 0.9)], colour=2)
    picture = draw_chart([low, high], AXES)
    below, above = coloured(picture, 1), coloured(picture, 2)
    assert below[:, 0].mean() > above[:, 0].mean() + 100
    left = above[above[:, 1] < np.median(above[:, 1])]
    right = above[above[:, 1] > np.median(above[:, 1])]
    assert left[:, 0].mean() > right[:, 0].mean()


def test_a_dashed_curve_has_less_ink():
    points = [(1, 0.5), (9, 0.5)]
    full = coloured(draw_chart([Curve("a", points, 1)], AXES), 1)
    dashed = coloured(draw_chart([Curve("a", points, 1, dashed=True)], AXES), 1)
    assert 0.3 * len(full) < len(dashed) < 0.8 * len(full)


def test_a_missing_value_leaves_a_gap():
    points = [(1, 0.5), (2, 0.5), (3, float("nan")), (4, 0.5), (5, 0.5)]
    columns = np.unique(coloured(draw_chart([Curve("a", points, 1)], AXES), 1)[:, 1])
    assert np.diff(columns).max() > 100


@pytest.mark.parametrize("points", [[], [(1, 0.5)], [(1, 2.0), (1, 2.0)]])
def test_few_points_draw_without_error(points):
    picture = draw_chart([Curve("a", points, 1)], Axes("t", "x", "y"))
    assert picture.dtype == np.uint8
    assert len(coloured(picture, 1)) > 0 or not points


@settings(max_examples=60, deadline=None)
@given(
    low=st.floats(-1e4, 1e4),
    width=st.floats(1e-3, 1e5),
)
def test_ticks_are_few_even_and_within(low, width):
    marks = ticks(low, low + width)
    assert 3 <= len(marks) <= 12
    assert low - 1e-6 * width <= marks[0] + 1e-8
    assert marks[-1] <= low + width * (1 + 1e-6) + 1e-8
    assert np.allclose(np.diff(marks), marks[1] - marks[0], rtol=1e-6)


def test_counts_have_whole_ticks():
    assert ticks(1, 3, whole=True) == [1, 2, 3]
    assert ticks(1, 9, whole=True) == list(range(1, 10))
    assert ticks(0, 100, whole=True)[:3] == [0, 10, 20]


def test_a_chart_is_written_and_a_failure_is_told(tmp_path):
    curve = Curve("a", [(1, 0.1), (2, 0.9)], 1)
    path = tmp_path / "curve.png"
    write_chart(path, [curve], AXES)
    assert np.array_equal(np.asarray(Image.open(path)), draw_chart([curve], AXES))
    with pytest.raises(EvaluationError, match="cannot be written"):
        write_chart(tmp_path / "no" / "curve.png", [curve], AXES, EvaluationError)
