"""The worker thread: newest request first, cancelling, errors that reach the user."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_sam2.errors import DeviceError, PromptError, Sam2Error, SessionError
from napari_sam2.prompts import FramePrompt
from napari_sam2.types import Direction
from napari_sam2.widgets.state.image_source import ImageSource
from napari_sam2.widgets.state.session_spec import Annotations, PlacedPrompt, RunPlan, SessionSpec
from napari_sam2.widgets.worker.messages import (
    Done,
    Failure,
    FrameDone,
    PromptRequest,
    RunEnded,
    RunRequest,
    RunStarted,
)
from napari_sam2.widgets.worker.session_worker import SessionWorker
from napari_sam2.widgets.worker.thread import THREAD_NAME, readable


@pytest.fixture
def spec(blobs):
    def make(key="a") -> SessionSpec:
        image = blobs()
        labels = np.zeros(image.shape, np.uint16)
        sight = ImageSource((image,), image, None, ((0.0, 1000.0),), None)
        return SessionSpec(key, sight, 0, (), labels)

    return make


class Hearing:
    """An engine, and all that it answered in this thread."""

    def __init__(self, script) -> None:
        self.engine = SessionWorker(script.open)
        self.answers = []
        self.threads = set()
        self.engine.answers.answered.connect(self._hear, Qt.ConnectionType.QueuedConnection)

    def _hear(self, answer) -> None:
        self.threads.add(threading.current_thread())
        self.answers.append(answer)

    def of(self, kind) -> list:
        return [answer for answer in self.answers if isinstance(answer, kind)]


@pytest.fixture
def hearing(script, qtbot, our_threads):
    heard = Hearing(script)
    yield heard
    script.gate.set()
    heard.engine.close()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)


def at(y, x, object_id=1, frame=0) -> PlacedPrompt:
    return PlacedPrompt(object_id, frame, FramePrompt(((y, x),)))


def prompts(generation, spec, placed, step=1) -> PromptRequest:
    return PromptRequest(generation, spec, Annotations(placed), step)


def run(generation, spec, placed, direction, step=1) -> RunRequest:
    return RunRequest(generation, spec, Annotations(placed), step, RunPlan(direction))


def test_prompt_is_answered_and_the_labels_hold_the_mask(hearing, script, spec, qtbot):
    asked = spec()
    hearing.engine.submit(prompts(7, asked, (at(8, 8),)))
    qtbot.waitUntil(lambda: bool(hearing.of(Done)))
    (done,) = hearing.of(Done)
    assert (done.generation, done.step) == (7, 1)
    assert [(r.object_id, r.frame, r.area) for r in done.records] == [(1, 0, 100)]
    assert asked.labels[0].sum() == 100
    assert all(name.startswith(THREAD_NAME) for name in script.threads)
    assert hearing.threads == {threading.main_thread()}


def test_only_the_newest_state_of_rapid_clicks_is_processed(hearing, script, spec, qtbot):
    asked = spec()
    script.gate.clear()
    for n in range(1, 8):
        placed = tuple(at(8, 8, object_id) for object_id in range(1, n + 1))
        hearing.engine.submit(prompts(1, asked, placed))
    script.gate.set()
    qtbot.waitUntil(lambda: not hearing.engine.busy)
    assert len(hearing.of(Done)) <= 2
    assert [told[1] for told in script.told if told[0] == "points"] == [1, 2, 3, 4, 5, 6, 7]


def test_requests_of_two_sessions_do_not_displace_each_other(hearing, script, spec, qtbot):
    one, two = spec("one"), spec("two")
    script.gate.clear()
    hearing.engine.submit(prompts(1, one, (at(8, 8),)))
    hearing.engine.submit(prompts(1, two, (at(8, 8),)))
    hearing.engine.submit(prompts(1, one, (at(8, 8), at(25, 30, 2))))
    script.gate.set()
    qtbot.waitUntil(lambda: not hearing.engine.busy)
    assert one.labels.max() == 2
    assert two.labels.max() == 1


def test_run_answers_every_frame_in_order(hearing, spec, qtbot):
    asked = spec()
    hearing.engine.submit(run(3, asked, (at(8, 10, frame=2),), Direction.BOTH))
    qtbot.waitUntil(lambda: bool(hearing.of(RunEnded)))
    assert hearing.of(RunStarted) == [RunStarted(3, (1,) * 6)]
    assert [(a.frame, a.done) for a in hearing.of(FrameDone)] == [
        (2, 1),
        (3, 2),
        (4, 3),
        (5, 4),
        (1, 5),
        (0, 6),
    ]
    assert hearing.of(RunEnded) == [RunEnded(3, 6, cancelled=False, outdated={})]
    assert [(asked.labels[i] == 1).sum() for i in range(6)] == [100] * 6


def test_cancel_takes_effect_within_one_frame_and_keeps_the_results(hearing, script, spec, qtbot):
    asked = spec()
    script.seconds = 0.05
    hearing.engine.submit(run(1, asked, (at(8, 8),), Direction.FORWARD))
    qtbot.waitUntil(lambda: len(hearing.of(FrameDone)) == 2)
    hearing.engine.cancel_run()
    qtbot.waitUntil(lambda: bool(hearing.of(RunEnded)))
    (ended,) = hearing.of(RunEnded)
    assert ended.cancelled
    assert 2 <= ended.done <= 4
    assert (asked.labels[:2] == 1).any(axis=(1, 2)).all()
    assert not asked.labels[5].any()


def test_cancel_while_the_model_loads(hearing, script, spec, qtbot):
    script.gate.clear()
    hearing.engine.submit(run(1, spec(), (at(8, 8),), Direction.BOTH))
    qtbot.waitUntil(lambda: bool(script.told))
    hearing.engine.cancel_run()
    script.gate.set()
    qtbot.waitUntil(lambda: bool(hearing.of(RunEnded)))
    assert hearing.of(RunEnded)[0].done <= 1


def test_cancelled_run_does_not_cancel_the_next(hearing, script, spec, qtbot):
    asked = spec()
    hearing.engine.submit(run(1, asked, (at(8, 8),), Direction.BOTH))
    hearing.engine.cancel_run()
    hearing.engine.submit(run(2, asked, (at(8, 8),), Direction.BOTH))
    qtbot.waitUntil(lambda: len(hearing.of(RunEnded)) == 2)
    assert hearing.of(RunEnded)[1] == RunEnded(2, 6, cancelled=False, outdated={})


def test_prompt_during_a_run_is_answered_between_frames(hearing, script, spec, qtbot):
    asked = spec()
    script.seconds = 0.05
    hearing.engine.submit(run(1, asked, (at(8, 8),), Direction.FORWARD))
    qtbot.waitUntil(lambda: bool(hearing.of(FrameDone)))
    hearing.engine.submit(prompts(1, asked, (at(8, 8), at(25, 30, 2))))
    qtbot.waitUntil(lambda: bool(hearing.of(Done)))
    assert not hearing.of(RunEnded)
    qtbot.waitUntil(lambda: bool(hearing.of(RunEnded)))
    assert (asked.labels[5] == 2).any()


def test_refused_prompt_is_a_failure_and_the_others_are_answered(hearing, spec, qtbot):
    asked = spec()
    hearing.engine.submit(prompts(1, asked, (at(13, 13), at(25, 30, 2))))
    qtbot.waitUntil(lambda: bool(hearing.of(Done)))
    (failure,) = hearing.of(Failure)
    assert isinstance(failure.error, PromptError)
    assert (asked.labels == 2).any()


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (RuntimeError("CUDA error: device-side assert"), SessionError),
        (RuntimeError("CUDA out of memory. Tried to allocate"), DeviceError),
        (MemoryError(), DeviceError),
        (ValueError("a bug"), ValueError),
        (OSError("chunk 3 cannot be read"), OSError),
        (SessionError("Nothing is prompted."), SessionError),
    ],
)
def test_faults_in_a_run_reach_the_user_and_keep_the_labels(
    hearing, script, spec, qtbot, raised, kind
):
    asked = spec()
    frames = iter(range(100))
    script.fault = lambda step: raised if step == "frame" and next(frames) == 2 else None
    hearing.engine.submit(run(1, asked, (at(8, 8),), Direction.FORWARD))
    qtbot.waitUntil(lambda: bool(hearing.of(RunEnded)))
    (failure,) = hearing.of(Failure)
    assert isinstance(failure.error, kind)
    assert failure.error is raised or failure.error.__cause__ is raised
    assert hearing.of(RunEnded)[0].done == 2
    assert (asked.labels[:2] == 1).any(axis=(1, 2)).all()


def test_after_a_device_error_a_new_session_is_opened(hearing, script, spec, qtbot):
    asked = spec()
    faults = [DeviceError("The GPU is gone.")]
    script.fault = lambda step: faults.pop() if step == "points" and faults else None
    hearing.engine.submit(prompts(1, asked, (at(8, 8),)))
    qtbot.waitUntil(lambda: bool(hearing.of(Failure)))
    hearing.engine.submit(prompts(1, asked, (at(8, 8),)))
    qtbot.waitUntil(lambda: bool(hearing.of(Done)))
    assert len(script.opened) == 2
    assert (asked.labels == 1).any()


def test_session_that_cannot_be_opened_is_tried_again(hearing, script, spec, qtbot):
    faults = [OSError("no such file")]
    script.fault = lambda step: faults.pop() if step == "open" and faults else None
    hearing.engine.submit(prompts(1, spec(), (at(8, 8),)))
    qtbot.waitUntil(lambda: bool(hearing.of(Failure)))
    hearing.engine.submit(prompts(2, spec(), (at(8, 8),)))
    qtbot.waitUntil(lambda: bool(hearing.of(Done)))


def test_closing_mid_run_ends_the_thread_and_all_answers(hearing, script, spec, qtbot, our_threads):
    script.seconds = 0.05
    hearing.engine.submit(run(1, spec(), (at(8, 8),), Direction.BOTH))
    qtbot.waitUntil(lambda: bool(hearing.of(FrameDone)))
    hearing.engine.close()
    qtbot.wait(20)
    heard = len(hearing.answers)
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    qtbot.wait(20)
    assert len(hearing.answers) == heard
    hearing.engine.submit(prompts(1, spec(), ()))
    hearing.engine.close()
    assert not our_threads()


def test_out_of_memory_error_says_what_to_do():
    error = readable(RuntimeError("CUDA out of memory"))
    assert isinstance(error, Sam2Error)
    assert "smaller model" in error.remedy
    assert "kept" in error.safe


def test_prompt_behind_a_run_that_has_not_begun_is_not_lost(hearing, script, spec, qtbot):
    asked = spec()
    script.gate.clear()
    hearing.engine.submit(prompts(1, spec("other"), ()))  # the worker is busy with this one
    qtbot.waitUntil(lambda: bool(script.told))
    hearing.engine.submit(prompts(1, asked, (at(8, 8),), step=1))
    hearing.engine.submit(run(1, asked, (at(8, 8),), Direction.FORWARD, step=3))
    hearing.engine.submit(prompts(1, asked, (at(8, 8), at(25, 30, 2)), step=5))
    script.gate.set()
    qtbot.waitUntil(lambda: not hearing.engine.busy)
    assert [done.step for done in hearing.of(Done)] == [1, 1, 5], "in the order of the history"
    assert (asked.labels[0] == 2).any(), "the run knew nothing of it, and must not take it away"
