"""Frames encoded before they are needed: fewer calls, same results, errors when they are due."""

from __future__ import annotations

import numpy as np
import pytest
from engine_internals import cache_of
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import FrameError, SessionError
from napari_sam2.tracking import TrackingSession, TrackingSettings

FRAMES = 9


class Frames:
    """An array of which some frames are damaged, and that tells which were read."""

    def __init__(self, data: np.ndarray, damaged: frozenset[int] = frozenset()) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.damaged = damaged
        self.read: list[int] = []

    def __getitem__(self, index):
        self.read.append(int(index[0]))
        if index[0] in self.damaged:
            raise OSError("a chunk is damaged")
        return self.data[index]


def opened(model, frames, **options) -> TrackingSession:
    chosen = TrackingSettings(view="frame", read_attempts=1, read_ahead=0, **options)
    session = TrackingSession(model, frames, contrast=(-1, 1), settings=chosen, keep_logits=True)
    session.add_points(1, 0, [(20, 20)])
    return session


def test_frames_are_encoded_together(model, noise, encoded):
    session = opened(model, noise[:FRAMES], encode_ahead=4)
    assert [result.frame for result in session.propagate("forward")] == list(range(FRAMES))
    assert encoded == [1, 4, 4]


def test_only_frames_that_a_pass_comes_to_are_encoded(model, noise, encoded):
    session = opened(model, noise[:FRAMES], encode_ahead=4)
    list(session.propagate("forward", start=1, stop=4))
    session.add_points(1, 7, [(20, 20)])
    assert encoded == [1, 3, 1]


def test_no_more_than_are_kept(model, noise, encoded):
    session = opened(model, noise[:FRAMES], encode_ahead=8, cached_frames=2)
    list(session.propagate("forward"))
    assert encoded == [1, 2, 2, 2, 2]
    assert len(cache_of(session)) == 2


def test_a_cpu_encodes_singly_unless_set_otherwise(model, noise, encoded):
    list(opened(model, noise[:4]).propagate("forward"))
    assert encoded == [1] * 4


def test_windows_that_follow_are_not_known_beforehand(model, noise, encoded):
    chosen = TrackingSettings(view="object", encode_ahead=4, exclusive=False)
    session = TrackingSession(model, noise[:3], contrast=(-1, 1), settings=chosen)
    session.add_points(1, 0, [(20, 20)])
    encoded.clear()
    list(session.propagate("forward"))
    assert encoded == [1, 1]


@settings(max_examples=8, deadline=None)
@given(
    together=st.integers(2, 5),
    cached=st.integers(1, 5),
    depth=st.integers(0, 2),
    damaged=st.frozensets(st.integers(1, FRAMES - 1), max_size=3),
)
def test_no_number_changes_a_result(model, noise, together, cached, depth, damaged):
    found = []
    for options in ({}, {"encode_ahead": together, "cached_frames": cached}):
        chosen = TrackingSettings(view="frame", read_attempts=1, read_ahead=depth, **options)
        frames = Frames(noise[:FRAMES], damaged)
        session = TrackingSession(model, frames, contrast=(-1, 1), settings=chosen)
        session.add_points(1, 0, [(20, 20)])
        found.append((list(session.propagate()), session.labels.copy()))
        assert {error.frame for error in session.skipped} == damaged
    (singly, labels), (ahead, others) = found
    assert [each.frame for each in singly] == [each.frame for each in ahead]
    for one, other in zip(singly, ahead, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    assert np.mean(labels != others) < 1e-3


def test_a_damaged_frame_stops_the_pass_when_its_turn_comes(model, noise):
    frames = Frames(noise[:FRAMES], frozenset({3}))
    session = opened(model, frames, encode_ahead=4, unreadable="stop")
    walk = session.propagate("forward")
    assert [next(walk).frame for _ in range(3)] == [0, 1, 2]
    assert 3 in frames.read
    with pytest.raises(FrameError, match="3"):
        next(walk)


def test_memory_that_runs_out_ends_it(model, noise, monkeypatch):
    real = type(model.network).encode_image
    batches = []

    def encode(network, images):
        batches.append(len(images))
        if len(images) > 1:
            raise MemoryError("no room for several")
        return real(network, images)

    monkeypatch.setattr(type(model.network), "encode_image", encode)
    session = opened(model, noise[:FRAMES], encode_ahead=4)
    assert len(list(session.propagate("forward"))) == FRAMES
    assert batches == [1, 4, *[1] * (FRAMES - 1)]


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_an_impossible_number_is_refused(number):
    with pytest.raises(SessionError, match="encode_ahead"):
        TrackingSettings(encode_ahead=number)
