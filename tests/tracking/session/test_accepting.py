"""Accepting is bookkeeping: what a mask looks like to the memory is computed when it is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_internals import cache_of, computed_prediction, track_of, tracks_of

from napari_sam2.errors import DeviceError, FrameError
from napari_sam2.tracking import TrackingSession, TrackingSettings
from napari_sam2.tracking.decoding import prediction

DRAWN = np.pad(np.ones((10, 10), bool), ((5, 25), (5, 33)))


def tracked(model, stack, **options) -> TrackingSession:
    """Two objects, clicked in one frame each and followed; they may meet."""
    settings = TrackingSettings(exclusive=False, **options)
    session = TrackingSession(model, stack, keep_logits=True, settings=settings)
    session.add_points(1, 3, [(10, 10)])
    session.add_points(2, 5, [(30, 35)])
    list(session.propagate())
    return session


def accept_everything(session: TrackingSession) -> None:
    for frame in range(session.n_frames):
        session.accept_all(frame)


def make_at_once(session: TrackingSession) -> None:
    """Ask the network about every decided frame now, and keep all that it says."""
    for track in tracks_of(session).values():
        for frame, decided in track.conditioning.items():
            prediction = computed_prediction(session, decided)
            track.conditioning[frame] = replace(decided, prediction=prediction)


@pytest.fixture
def network_calls(model, monkeypatch) -> list[str]:
    """Names of the network's methods that were called."""
    calls: list[str] = []
    for name in ("encode_image", "predict_masks", "attend_memory", "encode_memory"):
        real = getattr(type(model.network), name)

        def call(*args, real=real, name=name, **kwargs):
            calls.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(type(model.network), name, call)
    return calls


def test_accepting_and_drawing_ask_the_network_nothing(model, stack, network_calls):
    session = tracked(model, stack, cached_frames=1)
    network_calls.clear()
    accept_everything(session)
    session.add_mask(3, 7, DRAWN)
    assert network_calls == []
    assert len(session.accepted) == 2 * len(stack)


@pytest.mark.parametrize("view", ["frame", "object"])
@pytest.mark.parametrize("most", [2, 8, None])
def test_what_is_computed_when_needed_is_what_would_have_been_at_once(model, stack, view, most):
    """To the bit: with few memories and features kept, and windows of any kind."""
    logits = []
    for at_once in (False, True):
        session = tracked(model, stack, view=view, max_conditioning=most, cached_frames=1)
        for frame in (0, 2, 4, 8, 9, 11):
            session.accept_all(frame)
        session.add_mask(1, 6, DRAWN)
        if at_once:
            make_at_once(session)
        results = session.propagate(recompute=True)
        logits.append(
            {(r.frame, i): r.logits[r.object_ids.index(i)] for r in results for i in r.object_ids}
        )
    late, early = logits
    assert late.keys() == early.keys()
    for place, found in late.items():
        np.testing.assert_array_equal(found, early[place])


def test_no_more_than_the_nearest_are_ever_computed_and_kept(model, stack, monkeypatch):
    session = tracked(model, stack, max_conditioning=2)
    accept_everything(session)
    session.unaccept(1, 1)
    made = []
    real = prediction.predict_drawn
    monkeypatch.setattr(prediction, "predict_drawn", lambda *a: made.append(a) or real(*a))
    for _ in session.propagate(object_ids=[1], recompute=True):
        pass
    assert len(made) == 2, "frames 0 and 2, for frame 1"
    track = track_of(session, 1)
    assert set(track.conditioning_memory) == {0, 2}
    assert all(each.prediction is None for each in track.conditioning.values())


def test_masks_of_accepted_frames_are_kept_small(model):
    rng = np.random.default_rng(5)
    labels = np.zeros((6, 1024, 1024), np.uint16)
    for frame in range(6):
        y, x = rng.integers(0, 900, 2)
        labels[frame, y : y + 80, x : x + 90] = 1
    session = TrackingSession(model, np.zeros(labels.shape, np.float32), labels=labels)
    accept_everything_of(session, 1)
    for frame, decided in track_of(session, 1).conditioning.items():
        assert len(decided.pixels.bits) < 200
        np.testing.assert_array_equal(decided.mask, labels[frame] == 1)


def accept_everything_of(session: TrackingSession, object_id: int) -> None:
    for frame in range(session.n_frames):
        session.accept(object_id, frame)


class Failing:
    """A stack some of whose frames cannot be read any more."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.gone: set[int] = set()

    def __getitem__(self, index):
        frame = index[0] if isinstance(index, tuple) else index
        if int(frame) in self.gone:
            raise OSError("the share is gone")
        return self.data[index]


def from_storage_that_fails(model, stack, **options) -> tuple[TrackingSession, Failing]:
    data = Failing(stack)
    settings = TrackingSettings(exclusive=False, read_attempts=1, cached_frames=1, **options)
    session = TrackingSession(model, data, contrast=(-1.0, 1.0), settings=settings)
    session.add_points(1, 3, [(10, 10)])
    session.add_points(2, 5, [(30, 35)])
    list(session.propagate())
    return session, data


def test_an_accepted_frame_that_is_gone_is_reported_and_not_attended_to(model, stack):
    session, data = from_storage_that_fails(model, stack)
    data.gone.add(8)
    session.accept(1, 8)
    kept = session.labels[8] == 1
    list(session.propagate(recompute=True))
    assert [error.frame for error in session.skipped] == [8]
    assert 8 not in track_of(session, 1).conditioning_memory
    np.testing.assert_array_equal(session.labels[8] == 1, kept)
    data.gone.clear()
    list(session.propagate(recompute=True))
    assert session.skipped == ()


def test_by_setting_an_accepted_frame_that_is_gone_is_the_end(model, stack):
    session, data = from_storage_that_fails(model, stack, unreadable="stop")
    data.gone.add(8)
    session.accept(1, 8)
    with pytest.raises(FrameError, match="Frame 8"):
        list(session.propagate(recompute=True))


def test_an_object_that_begins_from_a_frame_that_is_gone_leaves_the_others_alone(model, stack):
    session, data = from_storage_that_fails(model, stack)
    session.accept(1, 8)
    session.remove_prompts(1, 3)
    data.gone.add(8)
    cache_of(session).shrink()
    before = session.labels == 1
    results = []
    with pytest.raises(FrameError, match="Object 1 cannot be followed"):
        results.extend(session.propagate(recompute=True))
    found = [result.frame for result in results if 2 in result.object_ids]
    assert sorted(found) == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11]
    np.testing.assert_array_equal(session.labels == 1, before)
    assert session.planned_frames(object_ids=[2]) == 2, "its click, and the frame that is gone"
    data.gone.clear()
    list(session.propagate())
    assert (session.labels == 1).any(axis=(1, 2)).all()


@pytest.mark.parametrize("stage", ["predict_masks", "encode_memory", "encode_image"])
def test_memory_that_runs_out_while_a_memory_is_made_costs_no_labels(
    model, stack, monkeypatch, stage
):
    session = tracked(model, stack)
    session.accept_all(7)
    cache_of(session).shrink()
    before = session.labels.copy()
    with monkeypatch.context() as patch:

        def run_out(*args, **kwargs):
            raise MemoryError("Unable to allocate 4.00 MiB")

        patch.setattr(type(model.network), stage, run_out)
        with pytest.raises(DeviceError, match="too little memory"):
            list(session.propagate(recompute=True))
    np.testing.assert_array_equal(session.labels, before)
    assert session.accepted == ((1, 7), (2, 7))
    list(session.propagate())


def test_a_frame_accepted_before_it_was_tracked_is_tracked_after_all(model, stack):
    session, plain = (TrackingSession(model, stack) for _ in range(2))
    for each in (session, plain):
        each.add_points(1, 0, [(10, 10)])
    session.accept(1, 4)
    session.accept_all(6)
    session.unaccept(1, 4)
    session.unaccept(1, 6)
    for each in (session, plain):
        list(each.propagate())
    np.testing.assert_array_equal(session.labels, plain.labels)


def test_a_frame_that_was_tracked_keeps_its_mask(model, stack):
    session = tracked(model, stack)
    before = session.labels.copy()
    session.accept(1, 6)
    session.unaccept(1, 6)
    assert session.planned_frames() == 2, "the two clicked frames are handed out"
    np.testing.assert_array_equal(session.labels, before)


def test_the_last_acceptance_of_an_object_takes_it_out_of_the_session(model, stack):
    session = tracked(model, stack)
    session.accept(1, 6)
    session.remove_prompts(1, 3)
    mask, other = session.labels[6] == 1, session.labels == 2
    session.unaccept(1, 6)
    assert (session.object_ids, session.accepted) == ((2,), ())
    np.testing.assert_array_equal(session.labels[6] == 1, mask)
    assert (session.labels == 1).sum() == mask.sum(), "nothing is left of what was tracked from it"
    np.testing.assert_array_equal(session.labels == 2, other)
    session.accept(1, 6)
    assert session.object_ids == (1, 2), "it can be taken up again"


def test_a_file_without_an_accepted_object_removes_it(model, stack):
    session = TrackingSession(model, stack)
    session.add_points(1, 0, [(10, 10)])
    before = session.to_file()
    session.add_points(2, 5, [(30, 35)])
    list(session.propagate())
    session.accept(2, 7)
    session.accept(2, 8)
    session.remove_prompts(2, 5)
    list(session.replay(before))
    assert session.object_ids == (1,)
    assert not (session.labels == 2).any()


def test_labels_of_others_yield_to_prompts_alone(model, stack):
    labels = np.zeros(stack.shape, np.uint16)
    labels[:, 5:15, 5:15] = 77
    before = labels.copy()
    session = TrackingSession(model, stack, labels=labels)
    session.add_mask(1, 3, DRAWN)
    list(session.propagate())
    assert (labels[3] == 1).sum() == DRAWN.sum()
    np.testing.assert_array_equal(np.delete(labels == 77, 3, 0), np.delete(before == 77, 3, 0))
