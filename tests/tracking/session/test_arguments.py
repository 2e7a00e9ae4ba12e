"""What scripts pass to a session: numpy scalars are numbers, and what is mixed up is told."""

from __future__ import annotations

import copy
import inspect
import json
import pickle

import numpy as np
import pytest

from napari_sam2.errors import LabelsError, PromptError, SessionError
from napari_sam2.tracking import TrackingSession, TrackingSettings


def test_numpy_scalars_become_plain_numbers(model, stack, tmp_path):
    session = TrackingSession(model, stack)
    one, two = np.int64(1), np.uint8(2)
    first = session.add_points(one, np.int32(5), [(20, 20)])
    session.add_box(two, np.int16(6), np.array([4, 4, 20, 20]))
    session.choose(one, np.int64(5), np.int64(1))
    list(session.propagate(start=np.int64(3), stop=np.uint8(8), object_ids=[one]))
    for frame in np.flatnonzero([0, 0, 0, 0, 1]):
        session.accept(one, frame)
    json.dumps([first.object_ids, first.frame, session.object_ids, session.accepted])
    session.save(tmp_path / "saved.sam2.json")
    again = TrackingSession.load(tmp_path / "saved.sam2.json", model, stack)
    assert again.accepted == session.accepted == ((1, 4),)


METHODS = {
    name: tuple(inspect.signature(method).parameters)
    for name, method in inspect.getmembers(TrackingSession, inspect.isfunction)
    if not name.startswith("_")
}
OF_BOTH = {name for name, arguments in METHODS.items() if {"object_id", "frame"} <= {*arguments}}


@pytest.mark.parametrize("name", sorted(OF_BOTH))
def test_the_object_comes_before_the_frame(name):
    assert METHODS[name][1:3] == ("object_id", "frame")


def test_all_methods_of_an_object_in_a_frame_are_among_them():
    assert {"accept", "unaccept", "add_points", "choose", "split", "remove_prompts"} <= OF_BOTH


def test_accepted_objects_and_frames_come_in_the_order_of_the_arguments(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 5, [(20, 20)])
    session.accept(object_id=1, frame=5)
    (pair,) = session.accepted
    assert (pair.object_id, pair.frame) == pair == (1, 5)
    session.unaccept(*pair)
    assert session.accepted == ()


@pytest.mark.parametrize("model_given", ["bundled", None, 3])
def test_what_is_no_model_is_an_error(stack, model_given):
    with pytest.raises(SessionError, match="load_model"):
        TrackingSession(model_given, stack)


def test_what_is_no_settings_is_an_error(model, stack):
    with pytest.raises(SessionError, match="TrackingSettings"):
        TrackingSession(model, stack, settings={"speed": "fastest"})
    with pytest.raises(SessionError, match="overlap"):
        TrackingSettings(overlap="no")


@pytest.mark.parametrize(
    "wrong", [{"start": "1"}, {"start": 1.0}, {"stop": True}, {"object_ids": 1}]
)
def test_a_range_that_is_none_is_an_error(model, stack, wrong):
    session = TrackingSession(model, stack)
    session.add_points(1, 5, [(20, 20)])
    with pytest.raises(SessionError, match=next(iter(wrong))):
        session.propagate(**wrong)


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_session_is_never_copied_by_half(model, stack, make):
    session = TrackingSession(model, stack)
    session.add_points(1, 5, [(20, 20)])
    with pytest.raises(SessionError, match=r"session\.save"):
        make(session)


@pytest.mark.parametrize("rank", [-1, 3, 1.5])
def test_only_masks_that_a_click_could_mean_are_chosen(model, stack, rank):
    session = TrackingSession(model, stack)
    before = session.add_points(1, 5, [(20, 20)]).masks
    with pytest.raises(SessionError, match="0 to 2"):
        session.choose(1, 5, rank)
    np.testing.assert_array_equal(session.labels[5] == 1, before[0])


@pytest.mark.parametrize(("new_id", "error"), [(0, PromptError), (70_000, LabelsError)])
def test_a_split_off_object_has_an_id_that_the_labels_hold(model, stack, new_id, error):
    session = TrackingSession(model, stack)
    session.add_points(1, 2, [(20, 20)])
    list(session.propagate())
    before = session.labels.copy()
    with pytest.raises(error, match=str(new_id)):
        session.split(1, 6, new_id)
    np.testing.assert_array_equal(session.labels, before)
    assert session.object_ids == (1,)
