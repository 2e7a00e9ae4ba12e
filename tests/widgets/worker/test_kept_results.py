"""The worker keeps results on disk while it propagates, and a replay continues from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from known_masks import known_masks

from napari_sam2.prompts import FramePrompt, PromptBook, SessionFile
from napari_sam2.tracking import Model, TrackingSession
from napari_sam2.widgets.state.image_source import ImageSource
from napari_sam2.widgets.state.session_spec import (
    Annotations,
    PlacedPrompt,
    RunPlan,
    SessionSpec,
)
from napari_sam2.widgets.worker.messages import (
    Done,
    Failure,
    FrameDone,
    KeepRequest,
    PromptRequest,
    ReplayRequest,
    ResultsKept,
    RunRequest,
)
from napari_sam2.widgets.worker.session_worker import SessionWorker

CLICK = FramePrompt(points=[(12, 12)])
ASKED = Annotations((PlacedPrompt(1, 2, CLICK),))


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(known_masks(), "tiny", torch.device("cpu"), 64)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(3).normal(size=(8, 40, 48)).astype(np.float32)


@pytest.fixture
def make_spec(image):
    def make(results, key="one") -> SessionSpec:
        source = ImageSource((), image, None, (-3.0, 3.0), None)
        return SessionSpec(key, source, 0, (), np.zeros(image.shape, np.uint16), results=results)

    return make


@pytest.fixture
def make_worker(qtbot, model):
    """``make_worker()``: a worker on real sessions, and the list of its answers."""
    workers = []

    def make():
        def open_session(spec, _tell):
            return TrackingSession(model, spec.stack(), labels=spec.labels, store=spec.results)

        worker, answers = SessionWorker(open_session), []
        worker.answers.answered.connect(answers.append)
        workers.append(worker)
        return worker, answers

    yield make
    for worker in workers:
        worker.close()


def idle(worker, qtbot):
    qtbot.waitUntil(lambda: not worker.busy, timeout=120_000)


def propagated(worker, qtbot, spec):
    worker.submit(PromptRequest(1, spec, ASKED, 1))
    worker.submit(RunRequest(1, spec, ASKED, 2, RunPlan()))
    idle(worker, qtbot)


def saved(image) -> SessionFile:
    book = PromptBook(image.shape)
    book.put(1, 2, CLICK)
    return SessionFile(book)


def test_a_replay_shows_labels_and_scores_at_once(make_worker, make_spec, image, qtbot, tmp_path):
    folder = tmp_path / "cells.sam2.zarr"
    worker, answers = make_worker()
    first = make_spec(folder)
    propagated(worker, qtbot, first)
    records = {r.key: r for a in answers if isinstance(a, Done | FrameDone) for r in a.records}
    worker.forget_session()
    idle(worker, qtbot)
    again, said = make_worker()
    second = make_spec(folder)
    # Start opens a session before it is known that work is resumed.
    again.submit(PromptRequest(1, replace(second, results=None), Annotations(), 0))
    again.submit(ReplayRequest(1, second, ASKED, 1, saved(image)))
    idle(again, qtbot)
    np.testing.assert_array_equal(second.labels, first.labels)
    assert not [a for a in said if isinstance(a, Failure)]
    done = [a for a in said if isinstance(a, Done)][-1]
    assert {r.key: r for r in done.records} == records
    assert {r.frame for r in done.records if r.score is not None} == set(range(8))
    said.clear()
    again.submit(RunRequest(1, second, ASKED, 2, RunPlan()))
    idle(again, qtbot)
    assert [a.frame for a in said if isinstance(a, FrameDone)] == [2]  # nothing is computed again


def test_keeping_may_begin_and_end_while_a_session_is_open(make_worker, make_spec, qtbot, tmp_path):
    folder = tmp_path / "cells.sam2.zarr"
    worker, _answers = make_worker()
    spec = make_spec(None)
    propagated(worker, qtbot, spec)
    assert not folder.exists()
    kept = make_spec(folder)
    worker.submit(KeepRequest(1, kept, ASKED, 0))
    idle(worker, qtbot)
    worker.submit(KeepRequest(1, make_spec(None), ASKED, 0))
    idle(worker, qtbot)
    session = TrackingSession(known(worker), spec.stack(), store=folder)
    np.testing.assert_array_equal(session.labels, spec.labels)
    assert len([r for r in session.kept_records() if r.score is not None]) == 8
    session.close()


def known(worker) -> Model:
    return worker._handler.session.model


def test_work_that_is_open_elsewhere_is_resumed_without_its_results(
    make_worker, make_spec, image, qtbot, tmp_path
):
    folder = tmp_path / "cells.sam2.zarr"
    worker, _ = make_worker()
    propagated(worker, qtbot, make_spec(folder))
    other, said = make_worker()
    spec = make_spec(folder)
    other.submit(ReplayRequest(1, spec, ASKED, 1, saved(image)))
    idle(other, qtbot)
    (told,) = [a for a in said if isinstance(a, ResultsKept)]
    assert "another window" in str(told.trouble)
    assert spec.labels[2].any()  # the prompt came back


def test_painted_and_undone_labels_are_kept(make_worker, make_spec, qtbot, tmp_path):
    from napari_sam2.labels import PlaneChange
    from napari_sam2.widgets.worker.messages import UndoRequest

    folder = tmp_path / "cells.sam2.zarr"
    worker, _ = make_worker()
    spec = make_spec(folder)
    worker.submit(PromptRequest(1, spec, ASKED, 1))
    idle(worker, qtbot)
    before = spec.labels[5].copy()
    spec.labels[5, 30:35, 30:35] = 4
    stroke = PlaneChange.between(5, before, spec.labels[5])
    mask = FramePrompt(mask=spec.labels[5] == 4)
    both = Annotations((*ASKED.prompts, PlacedPrompt(4, 5, mask)))
    worker.submit(PromptRequest(1, spec, both, 2, (stroke,)))
    idle(worker, qtbot)
    worker._handler.session.keep()
    assert (np.array(stored(folder)[5]) == spec.labels[5]).all()
    worker.submit(UndoRequest(1, spec, ASKED, 2, 1))
    idle(worker, qtbot)
    worker._handler.session.keep()
    assert not spec.labels[5].any()
    assert not np.array(stored(folder)[5]).any()


def stored(folder):
    import zarr

    return zarr.open_group(folder, mode="r")["labels"]


def test_the_folder_of_another_image_is_left_alone(make_worker, make_spec, image, qtbot, tmp_path):
    folder = tmp_path / "cells.sam2.zarr"
    worker, _ = make_worker()
    propagated(worker, qtbot, make_spec(folder))
    worker.forget_session()
    idle(worker, qtbot)
    labels = np.array(stored(folder))
    image += 1  # a file that was replaced by another of its shape
    other, said = make_worker()
    other.submit(ReplayRequest(1, make_spec(folder), ASKED, 1, saved(image)))
    idle(other, qtbot)
    assert ["another image" in str(a.trouble) for a in said if isinstance(a, ResultsKept)] == [True]
    np.testing.assert_array_equal(np.array(stored(folder)), labels)
