"""What makes a frame doubtful, and what does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.labels import Doubt, FrameRecord, Limits, doubts, measure


def steady(n: int = 12, area: int = 400) -> list[FrameRecord]:
    """An object that drifts slowly and of which the network is sure."""
    return [FrameRecord(1, f, area, (50.0 + f, 60.0), 0.9, 0.95) for f in range(n)]


def changed(at: int, **values) -> list[FrameRecord]:
    records = steady()
    records[at] = replace(records[at], **values)
    return records


def test_nothing_is_doubtful_of_a_steady_object():
    assert doubts(steady()) == {}
    assert doubts([]) == {}
    assert doubts(steady(1)) == {}


chances = st.none() | st.floats(0, 1)


@given(st.lists(st.tuples(st.integers(0, 1), chances, chances, chances), max_size=6))
def test_what_is_not_known_is_no_reason(values):
    records = [
        FrameRecord(1, frame, area, (5.0, 5.0), score, presence, agreement)
        for frame, (area, score, presence, agreement) in enumerate(values)
    ]
    limits, found = Limits(), doubts(records)
    for record in records:
        reasons, presence, iou = found.get(record.frame, ()), record.presence, record.iou
        low = presence is not None and presence < limits.presence
        high = presence is not None and presence > 1 - limits.presence
        assert (Doubt.PRESENCE in reasons) == (low if record.area else high)
        assert (Doubt.IOU in reasons) == (record.area > 0 and iou is not None and iou < limits.iou)
        agreement = record.agreement
        assert (Doubt.PASSES in reasons) == (agreement is not None and agreement < limits.agreement)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"presence": 0.4, "score": 0.36}, Doubt.PRESENCE),
        ({"score": 0.3}, Doubt.IOU),
        ({"agreement": 0.3}, Doubt.PASSES),
        ({"area": 0, "presence": 0.1, "score": 0.0}, Doubt.MISSING),
        ({"area": 1400}, Doubt.AREA),
        ({"area": 100}, Doubt.AREA),
        ({"centre": (90.0, 60.0)}, Doubt.POSITION),
    ],
)
def test_each_reason_is_found_in_its_frame(values, reason):
    assert reason in doubts(changed(6, **values))[6]


@pytest.mark.parametrize(
    "values",
    [{"presence": 0.4, "score": 0.3, "agreement": 0.1}, {"area": 0}, {"area": 5000}],
)
def test_frames_that_the_user_decided_are_never_doubtful(values):
    assert 6 not in doubts(changed(6, **values), decided=(6,))


def test_leap_from_a_decided_frame_is_doubtful_in_the_other_one():
    assert Doubt.AREA in doubts(changed(6, area=2000), decided=(6,))[7]


@pytest.mark.parametrize(
    ("values", "reason"),
    [({"area": 2000}, Doubt.AREA), ({"centre": (90.0, 60.0)}, Doubt.POSITION)],
)
def test_leap_to_a_decided_frame_is_doubtful_in_the_one_before(values, reason):
    """As of a backward pass that lost the object right away."""
    found = doubts(changed(6, **values), decided=(6,))
    assert reason in found[5]
    assert set(found) == {5, 7}


def test_leap_between_two_decided_frames_is_not_doubtful():
    assert doubts(changed(6, area=2000), decided=(5, 6, 7)) == {}


def test_drawn_masks_without_scores_are_judged_by_their_pixels_only():
    records = [replace(record, score=None, presence=None) for record in steady()]
    assert doubts(records) == {}
    records[4] = replace(records[4], area=2000)
    assert set(doubts(records)[4]) == {Doubt.AREA}


def test_end_of_an_object_is_not_doubtful():
    gone = [FrameRecord(1, f, 0, (0.0, 0.0), 0.0, 0.02) for f in range(12, 16)]
    assert doubts(steady() + gone) == {}


def test_absence_that_the_network_is_not_sure_of_is_doubtful():
    gone = [FrameRecord(1, 12, 0, (0.0, 0.0), 0.3, 0.45)]
    assert doubts(steady() + gone) == {12: (Doubt.PRESENCE,)}


@pytest.mark.parametrize("slices", [6, 9, 15, 40])
def test_slices_of_a_sphere_are_not_doubtful(slices):
    radius = slices / 2
    records = []
    for f in range(slices):
        height = f + 0.5 - radius
        area = round(math.pi * 100 * (1 - (height / radius) ** 2))
        records.append(FrameRecord(1, f, area, (50.0, 50.0), 0.9, 0.95))
    assert doubts(records) == {}


def test_fast_but_steady_motion_is_not_doubtful():
    records = [FrameRecord(1, f, 400, (30.0 * f, 0.0), 0.9, 0.95) for f in range(12)]
    assert doubts(records) == {}


def test_frames_that_are_not_neighbours_are_not_compared():
    apart = [FrameRecord(1, f, 400 if f < 8 else 4000, (float(9 * f), 0.0)) for f in (0, 1, 2, 9)]
    assert doubts(apart) == {}


def test_limits_decide():
    records = changed(6, score=0.6)
    assert doubts(records) == {}
    assert doubts(records, limits=Limits(iou=0.8)) == {6: (Doubt.IOU,)}


record_lists = st.lists(
    st.builds(
        FrameRecord,
        st.just(1),
        st.integers(0, 30),
        st.integers(0, 1000),
        st.tuples(st.floats(0, 100), st.floats(0, 100)),
        st.none() | st.floats(0, 1),
        st.none() | st.floats(0, 1),
        st.none() | st.floats(0, 1),
    ),
    unique_by=lambda record: record.frame,
)


@given(record_lists, st.sets(st.integers(0, 30)), st.randoms())
def test_any_records_in_any_order(records, decided, random):
    found = doubts(records, decided)
    assert set(found) <= {record.frame for record in records} - decided
    assert all(found.values())
    assert list(found) == sorted(found)
    shuffled = list(records)
    random.shuffle(shuffled)
    assert doubts(shuffled, decided) == found


@given(record_lists, st.floats(0, 1), st.floats(0, 1))
def test_stricter_limits_only_add_doubts(records, one, other):
    low, high = sorted((one, other))
    lenient = doubts(records, limits=Limits(iou=low, agreement=low))
    strict = doubts(records, limits=Limits(iou=high, agreement=high))
    assert all(set(reasons) <= set(strict[frame]) for frame, reasons in lenient.items())


def test_measure_finds_area_and_centre():
    labels = np.zeros((6, 8), np.uint16)
    labels[1:3, 2:6] = 4
    labels[5, 7] = 9
    found = measure(labels)
    assert list(found) == [4, 9]
    assert (found[4].area, found[4].centre) == (8, (1.5, 3.5))
    assert (found[9].area, found[9].centre) == (1, (5.0, 7.0))
    assert list(measure(labels, (9, 11))) == [9]
    assert measure(np.zeros((3, 3), np.uint16)) == {}


@given(hnp.arrays(np.int32, (5, 6), elements=st.sampled_from([0, 0, 1, 7, -3, 2**20])))
def test_measure_takes_any_ids(labels):
    found = measure(labels)
    assert list(found) == [int(number) for number in np.unique(labels) if number]
    for number, extent in found.items():
        at = np.argwhere(labels == number)
        assert extent.area == len(at)
        assert extent.centre == pytest.approx(tuple(at.mean(axis=0)))
    assert measure(labels, (1, 9)) == {n: extent for n, extent in found.items() if n == 1}


def test_predicted_iou_is_score_without_presence():
    assert FrameRecord(1, 0, 1, score=0.45, presence=0.5).iou == pytest.approx(0.9)
    assert FrameRecord(1, 0, 1, score=0.5, presence=0.4).iou == 1
    assert FrameRecord(1, 0, 0, score=0.0, presence=0.0).iou is None
    assert FrameRecord(1, 0, 9).iou is None
