"""Masks come back as they were given, from labels and one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from napari_sam2.evaluation.label_masks import (
    LabelMasks,
    MaskPatch,
    StoredMasks,
    object_counts,
    object_windows,
)

FEW = settings(max_examples=40, deadline=None)
planes = arrays.arrays(
    np.int64,
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    elements=st.sampled_from([-1, 0, 1, 2, 7, 2**40]),
)


@FEW
@given(plane=planes)
def test_objects_are_counted_and_found_however_large_their_ids(plane):
    ids = {int(number) for number in np.unique(plane) if number > 0}
    counts, windows = object_counts(plane), object_windows(plane)
    assert counts.keys() == windows.keys() == ids
    for object_id in ids:
        assert counts[object_id] == np.count_nonzero(plane == object_id)
        window = windows[object_id]
        assert np.count_nonzero(plane[window] == object_id) == counts[object_id]
        assert (plane[window] == object_id).any(axis=0)[[0, -1]].all()
        assert (plane[window] == object_id).any(axis=1)[[0, -1]].all()


@FEW
@given(masks=arrays.arrays(bool, (3, 6, 7)))
def test_stored_masks_come_back(masks):
    store = StoredMasks((6, 7))
    for object_id, mask in enumerate(masks, start=1):
        store.record(object_id, 4, ~mask)
        store.record(object_id, 4, mask)
    for object_id, mask in enumerate(masks, start=1):
        assert np.array_equal(store.mask(object_id, 4), mask)
        assert not store.mask(object_id, 3).any()
    patches = {patch.object_id: patch for patch in store.patches(4)}
    assert patches.keys() == {n for n, mask in enumerate(masks, start=1) if mask.any()}
    for object_id, patch in patches.items():
        assert np.array_equal(masks[object_id - 1][patch.window], patch.mask)


def test_labels_give_the_masks_of_the_objects_that_count():
    labels = np.zeros((2, 5, 6), dtype=np.uint16)
    labels[1, 1:3, 2:4] = 3
    labels[1, 4] = 9
    masks = LabelMasks(labels, [3, 4])
    (patch,) = masks.patches(1)
    assert (patch.object_id, patch.window) == (3, (slice(1, 3), slice(2, 4)))
    assert np.array_equal(masks.mask(3, 1), labels[1] == 3)
    assert list(masks.patches(0)) == []


@FEW
@given(pair=arrays.arrays(bool, (2, 6, 7)).filter(lambda pair: pair.any(axis=(1, 2)).all()))
def test_what_two_patches_share(pair):
    store = StoredMasks((6, 7))
    for object_id, mask in enumerate(pair):
        store.record(object_id, 0, mask)
    first, second = store.patches(0)
    shared = MaskPatch(1, first.window, first.shared(second))
    whole = (slice(0, 6), slice(0, 7))
    assert np.array_equal(shared.within(whole), pair[0] & pair[1])
