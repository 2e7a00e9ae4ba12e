from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from napari_sam2.training.data.session_masks import UNKNOWN, known_labels

MASKS = hnp.arrays(np.int32, (12, 14), elements=st.integers(0, 3))


def disc(radius: int = 10, side: int = 60) -> np.ndarray:
    yy, xx = np.mgrid[:side, :side] - side // 2
    return (np.hypot(yy, xx) <= radius).astype(np.int32)


def test_a_mask_says_where_its_object_ends_and_no_more():
    masks = disc()
    labels = known_labels(masks, 0.25)
    distance = ndimage.distance_transform_edt(masks == 0)
    width = 0.25 * 2 * np.sqrt(masks.sum() / np.pi)
    assert (labels[masks == 1] == 1).all()
    assert (labels[(distance > 0) & (distance <= width)] == 0).all()
    assert (labels[distance > width] == UNKNOWN).all()
    assert (distance > width).any()


def test_the_rim_is_never_too_thin_to_be_seen():
    masks = disc(radius=1)
    labels = known_labels(masks, 0.0)
    assert labels[30, 33] == 0
    assert labels[30, 34] == UNKNOWN


def test_an_infinite_rim_takes_all_else_for_background():
    masks = disc()
    assert np.array_equal(known_labels(masks, np.inf), masks)


def test_clicks_on_the_background_are_known():
    labels = known_labels(disc(), 0.1, background=[(5.4, 6.0), (0.0, 59.0)])
    assert (labels[3:8, 4:9] == 0).all()
    assert (labels[:3, 57:] == 0).all()
    assert labels[9, 6] == UNKNOWN


def test_what_is_hidden_is_not_known():
    masks = disc()
    hidden = np.zeros(masks.shape, bool)
    hidden[:, 30:] = True
    labels = known_labels(masks, np.inf, hidden=hidden)
    assert (labels[:, 30:] == UNKNOWN).all()
    assert (labels[:, :30] == masks[:, :30]).all()


@given(MASKS, st.sampled_from([0.0, 0.3, 2.0]))
def test_objects_keep_their_pixels_and_nothing_is_made_up(masks, rim):
    labels = known_labels(masks, rim)
    assert np.array_equal(labels > 0, masks > 0)
    assert np.array_equal(labels[masks > 0], masks[masks > 0])
    wider = known_labels(masks, rim + 0.5)
    assert (wider[labels != UNKNOWN] == labels[labels != UNKNOWN]).all()
    distance = ndimage.distance_transform_edt(masks == 0) if masks.any() else None
    if distance is not None:
        assert ((labels == 0) | (masks > 0))[distance <= 2.0].all()
