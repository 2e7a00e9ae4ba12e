"""No thread changes a session while another one decides about a prompt or visits a frame."""

from __future__ import annotations

import threading

import pytest

from napari_sam2.tracking import TrackingSession
from napari_sam2.tracking.decoding import mask_postprocessing

PATIENCE_S = 0.5


@pytest.fixture
def session(model, noise) -> TrackingSession:
    session = TrackingSession(model, noise[:3])
    session.add_points(1, 0, [(20, 20)])
    return session


@pytest.fixture
def intruder(session, monkeypatch):
    """A thread that acts on the session in the middle of what the session does next.

    Whether it had to wait is the fixture's value: a list of one truth afterwards.
    """
    had_to_wait: list[bool] = []
    threads: list[threading.Thread] = []
    real = mask_postprocessing.finish_masks

    def finish(*args, **options):
        if not threads:
            threads.append(threading.Thread(target=session.accept, args=(1, 0)))
            threads[0].start()
            threads[0].join(PATIENCE_S)
            had_to_wait.append(threads[0].is_alive())
        return real(*args, **options)

    monkeypatch.setattr(mask_postprocessing, "finish_masks", finish)
    yield had_to_wait
    for thread in threads:
        thread.join()


def test_others_wait_while_a_prompt_is_decided(session, intruder):
    session.add_points(2, 1, [(10, 30)])
    assert intruder == [True]


def test_others_wait_while_a_frame_is_visited(session, intruder):
    for _ in session.propagate("forward"):
        pass
    assert intruder == [True]


def test_others_need_not_wait_between_two_frames(session):
    frames = session.propagate("forward")
    next(frames)
    thread = threading.Thread(target=session.accept, args=(1, 0))
    thread.start()
    thread.join()
    frames.close()
    assert (1, 0) in session.accepted
