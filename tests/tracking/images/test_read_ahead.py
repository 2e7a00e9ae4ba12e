"""Frames read in the background: the same results, errors when they are due, no thread left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from engine_internals import reader_of
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import FrameError, SessionError
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import TrackingSession, TrackingSettings
from napari_sam2.tracking.images import frame_reader
from napari_sam2.tracking.images.frame_reader import FrameReader, ReadAhead

FRAMES = 7


class Storage:
    """An array that notes which frames are read, and by which thread; some are damaged."""

    def __init__(self, data: np.ndarray, damaged: frozenset[int] = frozenset()) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.damaged = damaged
        self.readers: list[tuple[int, str]] = []
        self.seconds = 0.0

    def __getitem__(self, index):
        frame = int(index[0])
        self.readers.append((frame, threading.current_thread().name))
        time.sleep(self.seconds)
        if frame in self.damaged:
            raise OSError("a chunk is damaged")
        return self.data[index]

    def in_background(self) -> list[int]:
        return [frame for frame, name in self.readers if name.startswith("napari-sam2-frames")]


@pytest.fixture(autouse=True)
def no_thread_left() -> Iterator[None]:
    yield
    assert background() == []


@pytest.fixture(autouse=True)
def slow_storage(monkeypatch) -> None:
    """Take any storage for one that reading waits for."""
    monkeypatch.setattr(frame_reader, "_WAIT_S", -1.0)


def background() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("napari-sam2-frames")]


@pytest.fixture
def ahead() -> Iterator[ReadAhead]:
    reader = ReadAhead(lambda frame: np.full((1, 1, 1), frame, dtype=np.float32))
    yield reader
    reader.stop()


@given(st.lists(st.tuples(st.lists(st.integers(0, 5), unique=True), st.integers(0, 5))))
def test_any_frame_can_be_taken_whatever_was_expected(steps):
    reader = ReadAhead(lambda frame: np.full((1, 1, 1), frame, dtype=np.float32))
    for expected, taken in steps:
        reader.prefetch(expected)
        assert reader.get(taken).item() == taken
    reader.stop()


def test_nothing_is_read_that_is_no_longer_expected():
    going, read = threading.Event(), []

    def slow(frame: int) -> np.ndarray:
        going.wait(5)
        read.append(frame)
        return np.zeros((1, 1, 1), dtype=np.float32)

    reader = ReadAhead(slow)
    reader.prefetch([0, 1, 2])
    reader.prefetch([2])
    going.set()
    reader.get(2)
    reader.stop()
    assert 1 not in read
    assert read.count(2) == 1


def test_an_error_is_raised_when_its_frame_is_taken():
    def fail(frame: int) -> np.ndarray:
        raise FrameError(f"Frame {frame} is gone.", frame=frame)

    reader = ReadAhead(fail)
    reader.prefetch([3])
    with pytest.raises(FrameError, match="Frame 3"):
        reader.get(3)
    reader.stop()


def test_it_may_go_on_after_it_was_stopped(ahead):
    ahead.prefetch([1])
    ahead.stop()
    assert background() == []
    ahead.prefetch([2])
    assert ahead.get(2).item() == 2


def opened(model, storage: Storage, depth: int, **options) -> TrackingSession:
    chosen = TrackingSettings(read_ahead=depth, read_attempts=1, **options)
    session = TrackingSession(model, storage, contrast=(-1, 1), settings=chosen, keep_logits=True)
    session.add_points(1, 2, [(20, 20)])
    session.add_points(2, 3, [(30, 9)])
    return session


@settings(max_examples=8, deadline=None)
@given(
    depth=st.integers(1, 4),
    cached=st.integers(1, 5),
    damaged=st.frozensets(st.sampled_from([0, 1, 4, 5, 6]), max_size=3),
)
def test_depth_changes_no_bit_of_any_result(model, noise, depth, cached, damaged):
    found = []
    for each in (0, depth):
        storage = Storage(noise[:FRAMES], damaged)
        session = opened(model, storage, each, cached_frames=cached)
        found.append(list(session.propagate()))
        assert {error.frame for error in session.skipped} == damaged
        # Behind a frame that cannot be read the next one is not read ahead.
        if each == 0 or not damaged:
            assert bool(storage.in_background()) == (each > 0)
    for without, ahead in zip(*found, strict=True):
        assert (without.frame, without.skipped) == (ahead.frame, ahead.skipped)
        np.testing.assert_array_equal(without.logits, ahead.logits)
        np.testing.assert_array_equal(without.masks, ahead.masks)


@pytest.mark.parametrize("together", [1, 2, 4])
def test_every_frame_is_read_once(model, noise, together):
    storage = Storage(noise[:FRAMES])
    session = opened(model, storage, 2, encode_ahead=together)
    storage.readers.clear()
    list(session.propagate())
    assert sorted(frame for frame, _ in storage.readers) == [0, 1, 4, 5, 6]


def test_a_frame_is_read_once_for_all_batches_of_windows(model, noise):
    storage = Storage(noise[:FRAMES])
    session = opened(model, storage, 0, view="object", object_chunk=1, exclusive=False)
    storage.readers.clear()
    list(session.propagate("forward", start=4))
    assert [frame for frame, _ in storage.readers] == [4, 5, 6]


def test_no_frame_is_kept_after_a_pass(model, noise):
    session = opened(model, noise[:FRAMES].copy(), 0)
    list(session.propagate())
    reader = reader_of(session)
    before = reader.read(5)
    assert reader.read(5) is before
    reader.stop_background_work()
    assert reader.read(5) is not before


def test_only_storage_that_makes_wait_is_read_ahead(model, noise, monkeypatch):
    for wait, expected in ((3600.0, False), (0.005, True)):
        monkeypatch.setattr(frame_reader, "_WAIT_S", wait)
        storage = Storage(noise[:FRAMES])
        storage.seconds = 0.02
        session = opened(model, storage, 1)
        list(session.propagate())
        assert bool(storage.in_background()) == expected


def test_where_the_network_leaves_the_processor_free_all_storage_is_read_ahead(noise, monkeypatch):
    monkeypatch.setattr(frame_reader, "_WAIT_S", 3600.0)
    storage = Storage(noise[:FRAMES])
    reader = FrameReader(FrameStack(storage, contrast=(-1, 1)), always_ahead=True)
    reader.prefetch([1, 2], now=True)
    ends = time.monotonic() + 10
    while len(storage.readers) < 2 and time.monotonic() < ends:
        time.sleep(0.001)
    for frame in (1, 2, 4):
        reader.read(frame)
    reader.stop_background_work()
    assert storage.in_background() == [1, 2]
    assert sorted(frame for frame, _ in storage.readers) == [1, 2, 4]


@pytest.mark.parametrize("end", ["cancel", "close", "error"])
def test_no_thread_is_left_however_a_propagation_ends(model, noise, end):
    storage = Storage(noise[:FRAMES], frozenset({5}) if end == "error" else frozenset())
    session = opened(model, storage, 2, unreadable="stop")
    walk = session.propagate("forward")
    next(result for result in walk if result.frame == 4)
    assert background()
    if end == "cancel":
        session.cancel()
        assert list(walk) == []
    elif end == "close":
        walk.close()
    else:
        with pytest.raises(FrameError):
            list(walk)
    assert background() == []


def test_a_prompt_between_two_frames_is_served(model, noise):
    session = opened(model, Storage(noise[:FRAMES]), 2)
    walk = session.propagate("forward")
    next(walk)
    assert session.add_points(3, 6, [(12, 12)]).frame == 6
    assert {result.frame for result in walk} >= {4, 5, 6}


@pytest.mark.parametrize("depth", [-1, 1.5, True])
def test_an_impossible_depth_is_refused(depth):
    with pytest.raises(SessionError, match="read_ahead"):
        TrackingSettings(read_ahead=depth)
