"""Objects that are found by themselves are ordinary objects with one point each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from engine_internals import predictor_of
from scipy import ndimage
from skimage import data
from skimage.filters import threshold_otsu

from napari_sam2 import TrackingSession, load_model
from napari_sam2.detection import DetectionSettings
from napari_sam2.errors import DetectionError, DeviceError, FrameError, LabelsError, SessionError
from napari_sam2.samples import nuclei_stack
from napari_sam2.tracking.automatic import find_and_follow
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


def test_specks_are_left_out_unless_a_size_is_given(model):
    y, x = np.mgrid[:160, :160]

    def disc(row: float, column: float, radius: float) -> np.ndarray:
        return (y - row) ** 2 + (x - column) ** 2 <= radius**2

    nuclei = [disc(row, column, 15) for row in (25, 75, 125) for column in (25, 75, 125)]
    specks = [disc(row, 150, 3) for row in (20, 50, 80, 110)]
    image = np.random.default_rng(0).normal(20, 3, (160, 160))
    image[np.any(nuclei + specks, axis=0)] += 100
    session = TrackingSession(model, image[None].astype(np.float32))
    small = session.find_objects(0, min_size=20)
    assert matched(session.labels[0], sum(n * mask for n, mask in enumerate(specks, 1))) >= 3
    session.discard_found()
    tiny = [each.unlikely for each in session.propose_objects(0)]
    assert 3 <= sum(tiny) <= 4
    assert tiny == sorted(tiny), "they come last"
    found = session.find_objects(0)
    assert len(found) == tiny.count(False)
    assert len(found) < len(small)
    assert matched(session.labels[0], sum(n * mask for n, mask in enumerate(nuclei, 1))) == 9
    assert not session.labels[0][np.any(specks, axis=0)].any()


def test_a_frame_of_small_spots_is_searched_without_asking_for_a_size(model):
    y, x = np.mgrid[:96, :96]
    image = np.random.default_rng(0).normal(20, 3, (96, 96))
    places = [(row + row % 7 / 2, column) for row in range(12, 96, 18) for column in (14, 41, 77)]
    for row, column in places:
        image += 150 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2)
    session = TrackingSession(model, image[None].astype(np.float32))
    found = session.find_objects(0)
    areas = np.bincount(session.labels[0].ravel())[1:]
    assert np.median(areas) < 20
    hit = {int(session.labels[0, round(row), column]) for row, column in places} - {0}
    assert len(hit) >= 0.8 * len(places)
    assert len(found) <= len(hit) + 1


def test_one_bright_cell_on_an_even_ground_is_found_without_the_noise(model):
    image = data.cell()[300:600, 230:550]
    proposed = TrackingSession(model, image[None]).propose_objects(0)
    assert sum(each.unlikely for each in proposed) > 5
    kept = [each.mask.unpack() for each in proposed if not each.unlikely]
    assert len(kept) <= 2
    bright = ndimage.binary_fill_holes(image > threshold_otsu(image))
    assert max((mask & bright).sum() / (mask | bright).sum() for mask in kept) > 0.7


@pytest.mark.parametrize(("depth", "kept"), [(10, False), (45, True)])
def test_dark_among_bright_objects_only_what_is_clear_is_found(model, depth, kept):
    y, x = np.mgrid[:170, :170]

    def disc(row: float, column: float) -> np.ndarray:
        return (y - row) ** 2 + (x - column) ** 2 <= 13**2

    places = [(row, column) for row in (25, 65, 105, 145) for column in (25, 65, 105, 145)]
    nuclei = [disc(*place) for place in places if place != (65, 105)]
    image = np.random.default_rng(0).normal(60, 3, (170, 170))
    image[np.any(nuclei, axis=0)] += 100
    gap = disc(65, 105)
    image[gap] -= depth
    session = TrackingSession(model, image[None].astype(np.float32))
    session.find_objects(0, min_size=20)
    assert matched(session.labels[0], gap.astype(int)) == 1, "it looks like an object"
    session.discard_found()
    assert len(session.find_objects(0)) == len(nuclei) + kept
    assert matched(session.labels[0], gap.astype(int)) == kept


def test_objects_that_the_frame_cuts_off_reach_its_edge(model):
    y, x = np.mgrid[:250, :250]
    discs = [
        (y - row) ** 2 + (x - column) ** 2 <= 24**2
        for along in (30, 90, 150)
        for row, column in ((along, 238), (238, along))
    ]
    image = np.random.default_rng(0).normal(20, 3, y.shape)
    image[np.any(discs, axis=0)] += 100
    session = TrackingSession(model, np.stack([image, image]).astype(np.float32))
    session.find_objects(0)
    list(session.propagate())
    for frame in (0, 1):
        seen = [disc for disc in discs if (session.labels[frame][disc] > 0).mean() > 0.7]
        assert len(seen) >= 5
        for disc in seen:
            edge = disc & ((y == 249) | (x == 249))
            assert (session.labels[frame][edge] > 0).mean() > 0.7


def test_a_region_bounds_the_search(session, sample):
    region = Region(0, 0, 36, 96)
    for object_id in session.find_objects(1, region=region):
        assert session.prompts.get(object_id, 1).points[0][0] < 36
    assert not session.labels[1, 36:].any()


def test_found_objects_are_propagated_like_any_other(session):
    ids = session.find_objects(1, min_size=60)
    list(session.propagate())
    assert set(np.unique(session.labels[2])) & set(ids)


def test_choosing_another_of_its_masks_takes_the_mark_off(session):
    first, *rest = session.find_objects(1)
    session.choose(first, 1, 1)
    assert session.found_objects == tuple(rest)


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
    assert np.array_equal(again.labels[1], session.labels[1]), "their masks were cut by each other"


def test_a_store_keeps_points_masks_and_marks(model, sample, tmp_path):
    session = TrackingSession(model, sample.image, store=tmp_path / "found.sam2.zarr")
    ids = session.find_objects(1)
    session.review(ids[:1])
    session.close()
    again = TrackingSession(model, sample.image, store=tmp_path / "found.sam2.zarr")
    again.close()
    assert (again.object_ids, again.found_objects) == (ids, ids[1:])
    assert np.array_equal(again.labels, session.labels)
    assert again.corrected_masks().keys() == session.corrected_masks().keys()


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


@pytest.mark.parametrize("calls", [0, 1, 4, 6])
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


def test_objects_at_the_edge_of_the_frame_are_found(searched, sample):
    labels, truth = searched[0].labels[1], sample.labels[1]
    cut = (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1])
    there = {int(i) for rim in cut for i in np.unique(truth[rim])} - {0}
    large = {i for i in there if (truth == i).sum() >= 100}
    assert matched(labels, np.where(np.isin(truth, sorted(large)), truth, 0)) >= 0.5 * len(large)


def test_nothing_is_clicked_where_objects_are_everywhere(model, sample, monkeypatch):
    full = np.ones_like(sample.labels, dtype=np.uint16)
    session = TrackingSession(model, sample.image, labels=full)
    clicks: list[object] = []
    monkeypatch.setattr(predictor_of(session), "from_clicks", lambda *each: clicks.append(each))
    assert session.find_objects(1) == ()
    assert (clicks, session.object_ids) == ([], ())
    assert (full == 1).all()


class Damaged:
    """A stack of which one frame cannot be read."""

    def __init__(self, data: np.ndarray, frame: int) -> None:
        self._data, self._frame = data, frame
        self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim

    def __getitem__(self, key):
        if (key[0] if isinstance(key, tuple) else key) == self._frame:
            raise OSError("a damaged chunk")
        return self._data[key]


def test_a_frame_that_cannot_be_read_is_an_error_that_adds_nothing(model, sample):
    session = TrackingSession(model, Damaged(sample.image, 1), contrast=(0, 4000))
    with pytest.raises(FrameError, match="damaged chunk"):
        session.find_objects(1)
    assert (session.object_ids, session.labels.any()) == ((), False)


def test_along_a_stack_such_a_frame_is_named_and_the_search_goes_on(model, sample):
    image = sample.image[:, :64, :64]
    session = TrackingSession(model, Damaged(image, 1), contrast=(0, int(image.max())))
    results = list(find_and_follow(session, 0, every=1))
    assert [each.frame for each in results if each.skipped is not None]
    assert {f for i in session.object_ids for f in session.prompts.frames(i)} <= {0, 2}
    assert session.labels[0].any()
    assert session.labels[2].any()
    assert not session.labels[1].any()
    again = list(find_and_follow(session, 0, every=1))
    assert all(each.skipped is None or each.frame == 1 for each in again)


def test_along_a_stack_of_nothing_there_is_an_error(model):
    session = TrackingSession(model, np.full((3, 48, 48), 7, np.uint8))
    with pytest.raises(DetectionError, match="No object was found"):
        list(find_and_follow(session, 1, every=1, settings=DetectionSettings(min_score=1.0)))
    assert not session.labels.any()


def test_an_empty_frame_has_no_objects(model):
    session = TrackingSession(model, np.zeros((2, 48, 48), np.uint8) + 7)
    assert len(session.find_objects(0)) <= 1


def test_ids_can_be_chosen_above_all_that_there_are(session):
    proposals = session.propose_objects(1)
    (first,) = session.add_proposals(proposals[:1])
    wanted = range(40, 40 + len(proposals) - 1)
    for wrong in ([first, *wanted[1:]], [40] * len(wanted)):
        with pytest.raises(SessionError, match="is taken"):
            session.add_proposals(proposals[1:], wrong)
    assert session.object_ids == (first,)
    assert session.add_proposals(proposals[1:], wanted) == tuple(wanted)
    assert session.found_objects == (1, *wanted)


def test_all_found_objects_are_one_write_and_leave_other_labels_alone(session):
    writes: list[int] = []
    proposals = session.propose_objects(1)
    row, column = np.argwhere(proposals[0].mask.unpack())[0]
    session.labels[1, row, column] = 500
    session.watch_labels(lambda frame, old, new: writes.append(frame))
    ids = session.add_proposals(proposals)
    assert writes == [1]
    assert ids[0] == 501
    assert session.labels[1, row, column] == 500
    assert set(np.unique(session.labels[1])) == {0, 500, *ids}


def test_too_little_memory_for_many_candidates_at_once_takes_fewer(session, monkeypatch):
    decider = predictor_of(session)
    decide, sizes = decider.from_clicks, []

    def short_of_memory(frame, clicks, extents):
        sizes.append(len(clicks))
        if len(clicks) > 2:
            raise MemoryError("out of memory")
        return decide(frame, clicks, extents)

    whole = session.propose_objects(1)
    monkeypatch.setattr(decider, "from_clicks", short_of_memory)
    again = session.propose_objects(1)
    assert max(sizes) > 2 >= sizes[-1]
    assert len(again) == len(whole)


def test_no_memory_for_a_single_candidate_is_an_error_and_adds_nothing(session, monkeypatch):
    def no_memory(*_):
        raise MemoryError("out of memory")

    monkeypatch.setattr(predictor_of(session), "from_clicks", no_memory)
    with pytest.raises(DeviceError) as raised:
        session.find_objects(1)
    assert raised.value.remedy
    assert (session.object_ids, session.labels.any()) == ((), False)


class TestObjectsThatNobodyHasLookedAt:
    """Found objects end where nothing is seen, and go on where they were lost."""

    @pytest.fixture
    def vanishing(self, model, sample):
        """Three frames with nuclei, then three without."""
        empty = np.full_like(sample.image[:1], int(np.percentile(sample.image, 2)))
        return TrackingSession(
            model, np.concatenate([sample.image[[1, 1, 1]], empty, empty, empty])
        )

    def test_they_end_where_nothing_is_seen(self, vanishing):
        ids = vanishing.find_objects(0, min_size=100)
        list(vanishing.propagate("forward"))
        assert set(np.unique(vanishing.labels[2])) - {0} == set(ids)
        assert not vanishing.labels[3:].any()

    def test_one_that_was_lost_goes_on_under_its_id(self, session):
        first, *_ = session.find_objects(0, min_size=100)
        before = session.labels[0].copy()
        found = session.propose_objects(1, min_size=100)
        inside = [p for p in found if (before[p.mask.unpack()] == first).mean() > 0.5]
        assert [p.continues for p in inside] == [first]
        ids = session.add_proposals(found)
        assert first in ids
        assert session.prompts.frames(first) == (0, 1)
        assert first in session.found_objects
        assert len(set(ids)) == len(ids)

    def test_what_somebody_has_looked_at_stays_as_it_is(self, session):
        ids = session.find_objects(0, min_size=100)
        session.review()
        found = session.propose_objects(1, min_size=100)
        assert found
        assert not {p.continues for p in found} & set(ids)

    def test_the_haze_of_one_that_has_ended_is_no_object(self, model, sample):
        frame = sample.image[1].astype(float)
        floor = float(np.percentile(frame, 2))
        haze = floor + 0.04 * (frame - floor)
        session = TrackingSession(model, np.stack([frame, frame, haze, haze, frame]))
        ids = session.find_objects(0, min_size=100)
        list(session.propagate("forward"))
        clear = [i for i in ids if i in session.labels[1] and i not in session.labels[2]]
        assert len(clear) > len(ids) / 2
        found = session.propose_objects(3, min_size=100)
        shadows = [np.bincount(session.labels[1][p.mask.unpack()]).argmax() for p in found]
        assert not set(clear) & set(shadows)
        new = session.propose_objects(4, min_size=100)
        assert len(new) >= len(clear), "what comes in the place of the haze is an object again"


class TestNucleiOneAboveAnother:
    """Haze of nuclei in the frames before and behind it, in the middle of a stack."""

    @pytest.fixture
    def session(self, model, sample):
        frame = sample.image[1].astype(float)
        floor = float(np.percentile(frame, 2))
        hazy = floor + 0.3 * (frame - floor)
        return TrackingSession(model, np.stack([frame, hazy, frame, hazy, frame]))

    @staticmethod
    def proposed(session, frame, also_searched=()):
        found = session.propose_objects(frame, min_size=100, also_searched=also_searched)
        return [each.prompt for each in found]

    def test_they_are_left_to_the_searches_where_they_are_clear(self, session):
        there = self.proposed(session, 1)
        assert len(there) >= 3
        assert self.proposed(session, 1, [3]) == there
        assert len(self.proposed(session, 1, [3, 2])) <= 1, "one at the edge hardly stands out"
        clear = self.proposed(session, 2)
        assert len(clear) >= 3
        assert self.proposed(session, 2, [1, 3]) == clear

    def test_a_search_through_the_stack_prompts_them_there(self, session):
        list(find_and_follow(session, 1, every=1, settings=DetectionSettings(min_size=100)))
        frames = [session.prompts.frames(each) for each in session.found_objects]
        clear = [each for each in frames if not {1, 3} & set(each)]
        assert len(clear) >= 3
        assert len(frames) - len(clear) <= 1

    def test_a_frame_that_cannot_be_read_shows_nothing_clearer(self, session, monkeypatch):
        there = self.proposed(session, 1)
        read = session.stack.read

        def broken(frame):
            if frame == 2:
                raise FrameError("Frame 2 cannot be read.", frame=2)
            return read(frame)

        monkeypatch.setattr(session.stack, "read", broken)
        assert self.proposed(session, 1, [2]) == there
