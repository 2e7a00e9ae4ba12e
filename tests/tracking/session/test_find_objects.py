"""Objects that are found by themselves are ordinary objects with one point each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_sam2 import TrackingSession, load_model
from napari_sam2.errors import DetectionError, LabelsError, SessionError
from napari_sam2.samples import nuclei_stack
from napari_sam2.types import ObjectFrame, Region


@pytest.fixture(scope="module")
def model():
    return load_model("bundled", device="cpu")


@pytest.fixture(scope="module")
def sample():
    whole = nuclei_stack(3, (12, 128, 128))
    return replace(whole, image=whole.image[5:8, :96, :96], labels=whole.labels[5:8, :96, :96])


@pytest.fixture
def session(model, sample):
    return TrackingSession(model, sample.image)


@pytest.fixture(scope="module")
def searched(model, sample):
    """A session that found objects in frame 1 once; tests must not change it."""
    session = TrackingSession(model, sample.image)
    return session, session.find_objects(1)


def matched(labels: np.ndarray, truth: np.ndarray) -> int:
    """Count true objects that one label covers with an IoU above a half."""
    found = 0
    for number in np.unique(truth[truth > 0]):
        true = truth == number
        ids, shared = np.unique(labels[true], return_counts=True)
        for label, pixels in zip(ids, shared, strict=True):
            if label and pixels / (true.sum() + (labels == label).sum() - pixels) > 0.5:
                found += 1
    return found


def test_most_nuclei_are_found_and_little_else(searched, sample):
    session, ids = searched
    truth = sample.labels[1]
    there = len(np.unique(truth)) - 1
    hits = matched(session.labels[1], truth)
    assert hits >= 0.7 * there
    assert hits >= 0.7 * len(ids)


def test_each_is_an_object_with_one_point_inside_its_mask(searched):
    session, ids = searched
    assert ids == session.object_ids == session.found_objects
    assert not session.labels[[0, 2]].any()
    for object_id in ids:
        prompt = session.prompts.get(object_id, 1)
        assert prompt is not None
        assert (len(prompt.points), prompt.box, prompt.mask) == (1, None, None)
        y, x = prompt.points[0]
        assert session.labels[1, round(y), round(x)] == object_id


def test_a_second_search_finds_nothing_that_is_there(model, sample, searched):
    before = searched[0].labels.copy()
    session = TrackingSession(model, sample.image, labels=before.copy())
    again = session.find_objects(1)
    assert np.array_equal(session.labels[before > 0], before[before > 0])
    assert all(number > before.max() for number in again)
    assert len(again) < 0.3 * len(searched[1])


def test_a_region_bounds_the_search(session, sample):
    region = Region(0, 0, 36, 96)
    for object_id in session.find_objects(1, region=region):
        assert session.prompts.get(object_id, 1).points[0][0] < 36
    assert not session.labels[1, 36:].any()


def test_found_objects_are_propagated_like_any_other(session):
    ids = session.find_objects(1, min_size=60)
    list(session.propagate())
    assert set(np.unique(session.labels[2])) & set(ids)


def test_looking_at_an_object_takes_its_mark_off(session):
    first, second, third, *rest = session.find_objects(1)
    session.accept(first, 1)
    session.add_points(second, 1, [session.prompts.get(second, 1).points[0]])
    session.review([third])
    assert session.found_objects == tuple(rest)
    session.accept_found()
    assert session.found_objects == ()
    assert ObjectFrame(rest[0], 1) in session.accepted
    assert ObjectFrame(third, 1) not in session.accepted


def test_found_objects_can_be_thrown_away_at_once(session):
    kept, *_ = session.find_objects(1)
    session.review([kept])
    session.discard_found()
    assert session.object_ids == (kept,)
    assert set(np.unique(session.labels)) == {0, kept}


def test_a_snapshot_takes_all_of_it_back(session):
    before = session.snapshot()
    labels = session.labels.copy()
    assert session.find_objects(1)
    session.restore(before)
    session.labels[...] = labels
    assert (session.object_ids, session.found_objects) == ((), ())


def test_the_session_file_keeps_points_and_marks(model, sample, session, tmp_path):
    ids = session.find_objects(1)
    session.review(ids[:1])
    session.save(tmp_path / "found.sam2.json")
    again = TrackingSession.load(tmp_path / "found.sam2.json", model, sample.image)
    assert again.object_ids == ids
    assert again.found_objects == ids[1:]
    assert (again.labels[1] == session.labels[1]).mean() > 0.98


def test_more_like_these(session):
    (example, *_) = session.find_objects(1, max_objects=50)
    session.review()
    alike = session.propose_objects(0, like=[example])
    assert alike
    assert all(-1 <= each.similarity <= 1 for each in alike)
    strict = session.find_objects(0, like=[example], min_similarity=2.0)
    assert strict == ()
    best = max(alike, key=lambda each: each.similarity)
    assert len(session.add_proposals([best])) == 1
    with pytest.raises(SessionError):
        session.find_objects(0, like=[99_999])


@pytest.mark.parametrize("calls", [0, 4])
def test_a_cancelled_search_adds_nothing(session, calls):
    asked = iter(range(10_000))
    assert session.find_objects(1, cancelled=lambda: next(asked) >= calls) == ()
    assert (session.object_ids, session.labels.any()) == ((), False)


def test_progress_rises_to_one(session):
    seen: list[float] = []
    session.find_objects(1, region=Region(0, 0, 40, 40), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_too_many_are_refused_and_nothing_is_half_done(session):
    with pytest.raises(DetectionError, match="more than 1"):
        session.find_objects(1, max_objects=1)
    assert (session.object_ids, session.labels.any()) == ((), False)


def test_ids_that_do_not_fit_the_labels_add_nothing(model, sample):
    labels = np.zeros(sample.image.shape, np.uint8)
    labels[0, 0, 0] = 254
    session = TrackingSession(model, sample.image, labels=labels)
    with pytest.raises(LabelsError, match="does not fit"):
        session.find_objects(1)
    assert session.object_ids == ()
    assert labels.sum() == 254


def test_an_empty_frame_has_no_objects(model):
    session = TrackingSession(model, np.zeros((2, 48, 48), np.uint8) + 7)
    assert len(session.find_objects(0)) <= 1


def test_the_first_id_can_be_chosen_above_all_that_there_are(session):
    proposals = session.propose_objects(1)
    (first,) = session.add_proposals(proposals[:1])
    with pytest.raises(SessionError, match="is taken"):
        session.add_proposals(proposals, first_id=first)
    ids = session.add_proposals(proposals[1:], first_id=40)
    assert ids == tuple(range(40, 40 + len(proposals) - 1))
    assert session.found_objects == (1, *ids)
