"""A chart has each curve's values, whatever they are, and is written whole or not at all."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from napari_sam2.cli.plots.charts import Chart, Curve, check_plots, draw_charts, write_charts
from napari_sam2.errors import EvaluationError
from napari_sam2.labels.rendering.colours import colour_of

LOW = Curve("low", [(1, 0.2), (2, 0.3), (3, 0.4)], colour=1)
HIGH = Curve("high", [(1, 0.6), (2, float("nan")), (3, 0.9)], colour=2, dashed=True)


def chart(*curves: Curve, y_range: tuple[float, float] | None = None) -> Chart:
    return Chart("IoU over clicks", "clicks", "IoU", curves, y_range)


def test_a_figure_has_the_data_and_the_texts_of_its_chart():
    (axes,) = draw_charts([chart(LOW, HIGH, y_range=(0, 1))]).axes
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == (
        "IoU over clicks",
        "clicks",
        "IoU",
    )
    assert axes.get_ylim() == (0, 1)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["low", "high"]
    for line, curve in zip(axes.lines, (LOW, HIGH), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), curve.points)
        np.testing.assert_allclose(
            to_rgb(line.get_color()), np.divide(colour_of(curve.colour), 255)
        )
        assert (line.get_linestyle() == "--") is curve.dashed


def test_charts_stand_one_below_the_other():
    figure = draw_charts([chart(LOW), chart(HIGH)])
    figure.canvas.draw()
    first, second = (axes.get_position() for axes in figure.axes)
    assert first.y0 > second.y1
    assert figure.canvas.get_width_height() == (960, 1200)


def test_counts_have_whole_ticks():
    (axes,) = draw_charts([chart(LOW)]).axes
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_many_points_have_no_markers():
    few, many = ([(x, 0.5) for x in range(count)] for count in (10, 1000))
    (axes,) = draw_charts([chart(Curve("few", few, 1), Curve("many", many, 2))]).axes
    assert [line.get_marker() for line in axes.lines] == ["o", ""]


@settings(max_examples=10, deadline=None)
@given(points=st.lists(st.tuples(st.floats(-1e4, 1e5), st.floats(-1e4, 1e5)), max_size=5))
def test_any_points_are_drawn(points):
    figure = draw_charts([chart(Curve("a", points, 1))])
    figure.canvas.draw()
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xydata(), np.reshape(points, (-1, 2)))


def test_a_chart_is_written_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "curve.png"
    path.write_text("old")
    write_charts(path, [chart(LOW)])
    with Image.open(path) as picture:
        assert (picture.format, picture.size) == ("PNG", (960, 600))
    assert [file.name for file in tmp_path.iterdir()] == ["curve.png"]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(EvaluationError, match="cannot be written") as raised:
        write_charts(tmp_path / "no" / "curve.png", [chart(LOW)], EvaluationError, "All is safe.")
    assert raised.value.safe == "All is safe."


def test_drawing_needs_no_pyplot(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import of it fails
    draw_charts([chart(LOW)]).canvas.draw()


def test_without_matplotlib_the_error_says_how_to_get_it(no_matplotlib):
    with pytest.raises(EvaluationError, match=r'pip install "napari-sam2\[plots\]"'):
        check_plots(EvaluationError)
