"""An edit that fails or is interrupted changes nothing: no prompt, no object, no label."""

from __future__ import annotations

import numpy as np
import pytest
from engine_internals import track_of, volume_of

from napari_sam2.errors import LabelsError
from napari_sam2.tracking import TrackingSession

FAULTS = [KeyboardInterrupt(), LabelsError("The disk is full.", remedy="Make room.")]
DRAWN = np.pad(np.ones((10, 10), bool), ((5, 25), (5, 33)))


@pytest.fixture
def session(model, stack) -> TrackingSession:
    """Two objects, clicked and propagated."""
    session = TrackingSession(model, stack)
    session.add_points(1, 3, [(10, 10)])
    session.add_points(1, 8, [(12, 12)])
    session.add_points(2, 5, [(30, 35)])
    list(session.propagate())
    return session


def state(session) -> tuple:
    decided = {number: set(track_of(session, number).conditioning) for number in (1, 2)}
    return session.prompts.copy(), session.object_ids, session.accepted, decided


def check_unchanged(session, before, labels, tmp_path) -> None:
    assert state(session) == before
    np.testing.assert_array_equal(session.labels, labels)
    session.save(tmp_path / "s.json")


def fails_at(monkeypatch, session, write: int, fault: BaseException) -> None:
    """Let the labels refuse one write."""
    volume, count = volume_of(session), iter(range(100))

    def failing(real):
        def fail(*args, **options):
            if next(count) == write:
                raise fault
            return real(*args, **options)

        return fail

    for name in ("write", "put_frame"):
        monkeypatch.setattr(volume, name, failing(getattr(volume, name)))


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), TypeError("a fault")], ids=repr)
def test_a_prompt_that_the_network_fails_at(session, model, monkeypatch, tmp_path, fault):
    def fail(*args, **options):
        raise fault

    before, labels = state(session), session.labels.copy()
    with monkeypatch.context() as patch:
        patch.setattr(type(model.network), "predict_masks", fail)
        for object_id, frame in ((3, 3), (1, 5), (1, 3)):
            with pytest.raises(type(fault)):
                session.add_points(object_id, frame, [(20, 20)])
    check_unchanged(session, before, labels, tmp_path)
    session.add_points(3, 3, [(20, 20)])
    assert session.object_ids == (1, 2, 3)


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
def test_a_prompt_whose_mask_cannot_be_written(session, monkeypatch, tmp_path, fault):
    session.accept(1, 3)
    before, labels = state(session), session.labels.copy()
    for object_id, frame in ((3, 0), (1, 3), (2, 7)):
        with monkeypatch.context() as patch:
            fails_at(patch, session, 0, fault)
            with pytest.raises(type(fault)):
                session.add_mask(object_id, frame, DRAWN)
        check_unchanged(session, before, labels, tmp_path)


def test_a_prompt_interrupted_after_its_mask_was_written(session, monkeypatch, tmp_path):
    def interrupt(*args):
        raise KeyboardInterrupt

    before, labels = state(session), session.labels.copy()
    with monkeypatch.context() as patch:
        patch.setattr(type(track_of(session, 1)), "condition", interrupt)
        for object_id, frame in ((3, 0), (1, 3), (2, 7)):
            with pytest.raises(KeyboardInterrupt):
                session.add_mask(object_id, frame, DRAWN)
    check_unchanged(session, before, labels, tmp_path)


@pytest.mark.parametrize("fault", FAULTS, ids=repr)
@pytest.mark.parametrize("frame", [None, 8])
def test_a_removal(session, monkeypatch, tmp_path, fault, frame):
    session.accept(1, 6)
    before, labels = state(session), session.labels.copy()
    with monkeypatch.context() as patch:
        fails_at(patch, session, 2 if frame is None else 0, fault)
        with pytest.raises(type(fault)):
            session.remove_prompts(1, frame)
    check_unchanged(session, before, labels, tmp_path)
    session.remove_prompts(1, frame)
    assert not (session.labels[slice(None) if frame is None else frame] == 1).any()


def test_the_removal_of_the_last_prompt(session, monkeypatch, tmp_path):
    before, labels = state(session), session.labels.copy()
    with monkeypatch.context() as patch:
        fails_at(patch, session, 4, FAULTS[1])
        with pytest.raises(LabelsError):
            session.remove_prompts(2, 5)
    check_unchanged(session, before, labels, tmp_path)
    session.remove_prompts(2, 5)
    assert session.object_ids == (1,)
    assert not (session.labels == 2).any()
