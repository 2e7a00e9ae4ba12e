"""Labels that take no memory before they are written."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from napari_sam2.labels import blank_labels

MIB = 2**20


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (2, 3, 64, 65)])
def test_they_are_writable_zeros(shape, dtype):
    labels = blank_labels(shape, dtype)
    assert labels.shape == shape
    assert labels.dtype == dtype
    assert labels.flags.writeable
    assert labels.flags.c_contiguous
    assert not labels.any()
    labels[...] = 7
    assert (labels == 7).all()


def test_a_pixel_in_every_frame_takes_a_page_of_every_frame():
    resident = psutil.Process().memory_info
    labels = blank_labels((100, 1024, 1024), np.uint16)
    before = resident().rss
    labels[:, 500, 500] = 1
    assert resident().rss - before < 20 * MIB
    assert labels.sum() == 100
    labels[...] = 1
    assert resident().rss - before > 150 * MIB


def test_what_no_machine_has_is_a_memory_error():
    with pytest.raises(MemoryError):
        blank_labels((2**20, 2**20, 2**20), np.uint16)
