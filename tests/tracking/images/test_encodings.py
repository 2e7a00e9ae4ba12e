"""How often frames are encoded: once while they are kept, and only where there is work."""

from __future__ import annotations

import numpy as np
import pytest
from engine_internals import cache_of

from napari_sam2 import TrackingSession, TrackingSettings
from napari_sam2.tracking.images.object_window import Window

DRAWN = np.pad(np.ones((10, 10), bool), ((5, 25), (5, 33)))


def tracked(model, stack, kept: int) -> TrackingSession:
    """Two objects prompted in the first frame and in the tenth, followed through all frames."""
    session = TrackingSession(model, stack, settings=TrackingSettings(cached_frames=kept))
    for object_id in (1, 2):
        for frame in (0, 9):
            session.add_points(object_id, frame, [(8 * object_id, 9 * object_id)])
    for _ in session.propagate():
        pass
    return session


def test_features_come_in_the_order_of_the_windows(model, stack):
    cache = cache_of(TrackingSession(model, stack))
    left, right = Window(0, 0, 20, 20), Window(8, 20, 20, 20)
    one, other = (cache.get(0, [window]).stride16 for window in (left, right))
    assert (one - other).abs().max() > 0.01
    found = cache.get(0, [right, left, right]).stride16
    # Windows that are encoded together may differ in the last bits.
    np.testing.assert_allclose(found, np.concatenate([other, one, other]), atol=1e-5)


def test_a_frame_is_encoded_once_for_all_objects_clicks_and_passes(model, stack, encoded):
    session = tracked(model, stack, kept=12)
    assert sum(encoded) == 12
    session.add_points(1, 9, [(30, 30)], [False])
    for _ in session.propagate(recompute=True):
        pass
    assert sum(encoded) == 12


@pytest.mark.parametrize("chunk", [1, 2, 16])
def test_objects_share_what_needs_no_memory(model, stack, monkeypatch, chunk):
    opened = []
    real = type(model.network).open_memory

    def count(network, stride16, position):
        opened.append(len(stride16))
        return real(network, stride16, position)

    monkeypatch.setattr(type(model.network), "open_memory", count)
    session = TrackingSession(model, stack, settings=TrackingSettings(object_chunk=chunk))
    for object_id in (1, 2, 3):
        session.add_points(object_id, 0, [(8 * object_id, 9 * object_id)])
    assert len(list(session.propagate("forward"))) == 12
    assert opened == [1] * 11


def test_a_correction_encodes_nothing_that_is_kept(model, stack, encoded):
    session = tracked(model, stack, kept=12)
    encoded.clear()
    session.add_mask(1, 5, DRAWN)
    recomputed = {result.frame for result in session.propagate()}
    assert recomputed >= {1, 2, 3, 4, 5, 6, 7, 8}
    assert not encoded


def test_a_correction_encodes_no_frame_beyond_its_neighbours_and_none_twice(model, stack, encoded):
    session = tracked(model, stack, kept=2)
    encoded.clear()
    session.add_mask(1, 5, DRAWN)
    for _ in session.propagate():
        pass
    between = 8  # frames 1 to 8 are computed anew, the corrected one among them
    prompted = 2  # their own memories are made from their features
    assert 0 < sum(encoded) <= between + prompted + 1, "and the corrected frame for its memory"
