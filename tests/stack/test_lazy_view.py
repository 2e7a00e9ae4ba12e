"""Views of an array that read nothing before they are converted."""

from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.stack.lazy_view import LazyView

ARRAY = np.random.default_rng(0).integers(0, 99, (4, 3, 30, 20)).astype(np.uint16)


class Counted:
    """An array that notes how many elements are read, and knows no negative steps."""

    shape, dtype = ARRAY.shape, ARRAY.dtype

    def __init__(self):
        self.read = 0

    def __getitem__(self, index):
        assert all(not isinstance(part, slice) or part.step > 0 for part in index)
        self.read += np.size(ARRAY[index])
        return ARRAY[index]


@pytest.mark.parametrize(
    "indices",
    [
        [np.s_[:, :, 3:9, 2:5], np.s_[2, 1]],
        [np.s_[..., ::-1], np.s_[3, ..., 4:1:-1]],
        [np.s_[-1], np.s_[np.int64(-2), 5]],
        [np.s_[:, 1:1], np.s_[0]],
        [np.s_[::2, ::-2], np.s_[1:, :1], np.s_[0, 0, 0, 0]],
        [np.s_[1, 2, 3, 4]],
    ],
    ids=str,
)
def test_views_of_views_are_what_numpy_gives(indices):
    source, expected = Counted(), ARRAY
    found = LazyView(source)
    for index in indices:
        assert source.read == 0
        found, expected = found[index], expected[index]
    assert np.shape(found) == expected.shape
    np.testing.assert_array_equal(np.asarray(found), expected)
    assert source.read == expected.size


def test_masks_and_lists_read_all():
    view = LazyView(Counted())
    np.testing.assert_array_equal(view[[0, 2]], ARRAY[[0, 2]])
    np.testing.assert_array_equal(view[1:3][ARRAY[1:3] > 50], ARRAY[1:3][ARRAY[1:3] > 50])
    with pytest.raises(IndexError):
        view[4]
    assert (len(view), view.ndim, view.size, view.dtype) == (4, 4, ARRAY.size, ARRAY.dtype)
