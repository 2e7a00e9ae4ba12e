"""Views of arrays with other axes, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from napari_sam2.stack import ArrayView

PIXELS = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


@pytest.mark.parametrize(
    ("order", "held", "expected"),
    [
        ((3, 1, 0, 2), {}, PIXELS.transpose(3, 1, 0, 2)),
        ((2, 3), {0: 1, 1: 2}, PIXELS[1, 2]),
        ((3, 1, 2), {0: 1}, PIXELS[1].transpose(2, 0, 1)),
        ((None, 3, None, 2), {0: 0, 1: 0}, PIXELS[0, 0].T[None, :, None]),
    ],
)
@pytest.mark.parametrize("stored", [False, True])
def test_a_view_reads_what_numpy_reads(order, held, expected, stored):
    array = zarr.array(PIXELS) if stored else PIXELS
    view = ArrayView(array, order, held)
    assert (view.shape, view.ndim, len(view)) == (expected.shape, expected.ndim, len(expected))
    assert view.size == expected.size
    np.testing.assert_array_equal(view, expected)
    some = (0, -1, ..., slice(0, 1), (0, slice(None)), (slice(None), 0), (0, 0))
    for index in (*some, (..., 0), (0, ..., 0), [0], expected > 9):
        np.testing.assert_array_equal(view[index], expected[index], err_msg=str(index))
    with pytest.raises(IndexError):
        view[view.shape[0]]


def test_memory_is_not_copied():
    assert np.shares_memory(ArrayView(PIXELS, (None, 3, 2), {0: 0, 1: 1})[0], PIXELS)


@pytest.mark.parametrize(("order", "held"), [((0, 1, 2), {}), ((0, 1, 2, 3), {3: 0})])
def test_axes_that_are_not_those_of_the_array_are_an_error(order, held):
    with pytest.raises(ValueError, match="axes"):
        ArrayView(PIXELS, order, held)
