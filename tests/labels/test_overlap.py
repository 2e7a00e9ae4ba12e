from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.errors import LabelsError
from napari_sam2.labels import resolve_overlaps

# Few different values, so that equal logits are frequent.
logits_planes = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(1, 5)),
    elements=st.sampled_from([-np.inf, -2.0, 0.0, 1.0, 3.5, np.inf, np.nan]),
)


@settings(max_examples=50, deadline=None)
@given(logits_planes)
def test_masks_are_disjoint_and_the_highest_logit_wins(logits):
    masks = resolve_overlaps(logits)
    assert masks.shape == logits.shape
    assert masks.dtype == bool
    assert (masks.sum(axis=0) <= 1).all()
    known = np.where(np.isnan(logits), -np.inf, logits)
    if len(logits):
        highest = known.max(axis=0)
        np.testing.assert_array_equal(masks.any(axis=0), highest > 0)
        np.testing.assert_array_equal(known[masks], np.broadcast_to(highest, logits.shape)[masks])
        first = known.argmax(axis=0)
        np.testing.assert_array_equal(masks.argmax(axis=0)[highest > 0], first[highest > 0])


def test_one_object_is_its_logits_above_zero():
    logits = np.array([[[-1.0, 0.0, 0.5]]], dtype=np.float32)
    np.testing.assert_array_equal(resolve_overlaps(logits), [[[False, False, True]]])


def test_logits_need_three_axes():
    with pytest.raises(LabelsError, match="2D"):
        resolve_overlaps(np.zeros((3, 3)))
