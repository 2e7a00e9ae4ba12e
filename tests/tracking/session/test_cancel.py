"""A propagation that is cancelled at any moment leaves whole frames, and can be taken up again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from napari_sam2.labels import LabelsVolume
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import TrackingSession, TrackingSettings
from napari_sam2.tracking.decoding import mask_postprocessing

FRAMES = 4


class Moments:
    """Counts everything the engine does, and acts at one of these moments."""

    def __init__(self, model, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._at, self._act = 0, lambda: None
        network = type(model.network)
        for place, name in (
            (FrameStack, "read"),
            (network, "encode_image"),
            (network, "open_memory"),
            (network, "attend_memory"),
            (network, "predict_masks"),
            (network, "encode_memory"),
            (mask_postprocessing, "finish_masks"),
            (LabelsVolume, "write"),
        ):
            monkeypatch.setattr(place, name, self._watched(getattr(place, name)))

    def await_(self, moment: int, act: Callable[[], None]) -> None:
        """Have `act` done at this moment from now on, counted from 1."""
        self.count, self._at, self._act = 0, moment, act

    def _watched(self, real: Callable) -> Callable:
        def run(*args, **kwargs):
            self.count += 1
            if self.count == self._at:
                self._act()
            return real(*args, **kwargs)

        return run


@pytest.fixture
def moments(model, monkeypatch) -> Moments:
    return Moments(model, monkeypatch)


@pytest.fixture
def session(model, noise) -> TrackingSession:
    """Two objects, one of them clicked twice; seen coarsely, to be quick."""
    coarse = replace(model, image_size=32)
    settings = TrackingSettings(exclusive=False)
    session = TrackingSession(coarse, noise[:FRAMES, :32, :32], settings=settings)
    session.add_points(1, 1, [(10, 10)])
    session.add_points(2, 2, [(22, 20)])
    session.add_points(1, 3, [(12, 10)])
    return session


def test_cancelled_at_any_moment_every_frame_is_right_or_untouched(session, moments):
    clicked, state = session.labels.copy(), session.snapshot()
    moments.await_(0, lambda: None)
    order = [result.frame for result in session.propagate()]
    total, whole = moments.count, session.labels.copy()
    assert total > 6 * FRAMES
    for moment in range(1, total + 1):
        session.restore(state)
        session.labels[:] = clicked
        moments.await_(moment, session.cancel)
        visited = [result.frame for result in session.propagate()]
        assert visited == order[: len(visited)]
        # What the pass has yet to come to is as it was before, up to the last pixel.
        ahead = [frame for frame in range(FRAMES) if frame not in visited]
        np.testing.assert_array_equal(session.labels[ahead], clicked[ahead])
        behind = [frame for frame in visited if frame not in order[len(visited) :]]
        np.testing.assert_array_equal(session.labels[behind], whole[behind])
        list(session.propagate())
        np.testing.assert_array_equal(session.labels, whole)


def test_all_objects_of_a_frame_are_one_write(session):
    session.add_points(3, 1, [(22, 10)])
    told: list[int] = []
    session.watch_labels(lambda frame, _old, _new: told.append(frame))
    for _ in session.propagate():
        assert len(told) <= 1
        told.clear()


def test_cancelling_takes_effect_within_the_frame(session, moments):
    before = {}

    def act() -> None:
        before["labels"] = session.labels.copy()
        session.cancel()

    moments.await_(20, act)
    list(session.propagate())
    changed = (session.labels != before["labels"]).any(axis=(1, 2))
    assert changed.sum() <= 1


def test_cancelling_from_another_thread_stops_the_run(session, moments):
    def act() -> None:
        thread = threading.Thread(target=session.cancel)
        thread.start()
        thread.join(timeout=30)
        assert not thread.is_alive(), "cancelling waits for nothing"

    moments.await_(15, act)
    list(session.propagate())
    assert session.planned_frames() > 3, "more than the prompted frames is left"
