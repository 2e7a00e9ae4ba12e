"""What is dropped under a budget is made anew from what was decided, to the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from engine_internals import cache_of, track_of

from napari_sam2.tracking import TrackingSession, TrackingSettings

FRAMES = 8


@pytest.fixture
def make(model, noise):
    """Make a session with one object that is clicked, drawn and accepted in several frames."""

    def session(**options) -> TrackingSession:
        settings = TrackingSettings(**options)
        session = TrackingSession(model, noise[:FRAMES], keep_logits=True, settings=settings)
        session.add_points(1, 0, [(20, 20)])
        session.add_points(1, 3, [(22, 20)])
        drawn = np.zeros(noise.shape[1:], dtype=bool)
        drawn[8:24, 10:30] = True
        session.add_mask(1, 5, drawn)
        list(session.propagate(start=0, stop=2))
        session.accept(1, 1)
        return session

    return session


def logits(session: TrackingSession, *, forget: bool = False) -> np.ndarray:
    """Compute everything anew; what is kept for later may be dropped after every frame."""
    found = []
    for result in session.propagate(recompute=True):
        found.append(result.logits)
        if forget:
            track_of(session, 1).conditioning_memory.clear()
            cache_of(session).shrink()
    return np.stack(found)


def test_features_and_memories_that_were_dropped_come_back_the_same(make):
    np.testing.assert_array_equal(logits(make(), forget=True), logits(make()))


def test_no_more_is_kept_than_the_settings_allow(make):
    session = make(max_conditioning=2, cached_frames=1)
    for _ in session.propagate():
        assert len(track_of(session, 1).conditioning_memory) <= 2
        assert len(cache_of(session)) == 1
    assert len(track_of(session, 1).conditioning) == 4


def test_after_a_snapshot_memories_are_made_anew_from_what_was_decided(make):
    session = make()
    labels, state = session.labels.copy(), session.snapshot()
    expected = logits(session)
    session.restore(state)
    session.labels[:] = labels
    assert not track_of(session, 1).conditioning_memory
    np.testing.assert_array_equal(logits(session), expected)


def test_a_correction_encodes_only_the_frames_around_it(make):
    session = make()
    list(session.propagate())
    before = cache_of(session).encoded
    cache_of(session).shrink()
    session.add_points(1, 4, [(12, 30)])
    frames = [result.frame for result in session.propagate()]
    assert sorted(frames) == [0, 1, 3, 4, 5], "nothing but decided frames lies between 3 and 5"
    # The corrected frame, and the three others whose memory it, and nothing else, asks for.
    assert cache_of(session).encoded - before <= 4
