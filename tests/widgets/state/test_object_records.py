"""Summaries of objects match their records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.labels import FrameRecord
from napari_sam2.prompts import FramePrompt
from napari_sam2.widgets.state.object_records import (
    ObjectRecords,
    ObjectRow,
    RecordSummary,
    object_rows,
)
from napari_sam2.widgets.state.session_spec import Annotations, PlacedPrompt

PLACE = ((0, 2),)
records = st.lists(
    st.builds(
        FrameRecord,
        st.integers(1, 2),
        st.integers(0, 4),
        st.integers(0, 3),
        score=st.none() | st.sampled_from([0.2, 0.5, 0.9]),
    )
)


@given(records)
def test_summaries_match_the_latest_records(stream):
    objects, last = ObjectRecords(), {}
    for record in stream:
        objects.put(PLACE, [record])
        last[record.object_id, record.frame] = record
        objects.summaries(PLACE)
    for number in (1, 2):
        present = [r for (owner, _), r in last.items() if owner == number and r.area]
        scores = [r.score for r in present if r.score is not None]
        expected = RecordSummary(len(present), min(scores, default=None))
        assert objects.summaries(PLACE).get(number, RecordSummary()) == expected
        frames = objects.frames(PLACE, number)
        assert frames == tuple(sorted(r.frame for r in present))
        assert frames == tuple(f for f in range(5) if objects.has(PLACE, number, f))


def test_stacks_have_separate_records():
    objects = ObjectRecords()
    objects.put(PLACE, [FrameRecord(1, 0, 5)])
    assert objects.objects(PLACE) == (1,)
    assert objects.objects(((0, 3),)) == ()
    objects.put(PLACE, [FrameRecord(1, 0)])
    assert objects.objects(PLACE) == ()


def test_objects_are_followed_if_all_are_in_more_frames_than_they_have_prompts_in():
    objects = ObjectRecords()
    objects.put(PLACE, [FrameRecord(1, 0, 5), FrameRecord(1, 1, 5), FrameRecord(2, 0, 5)])
    assert objects.follows(PLACE, {1: 1})
    assert not objects.follows(PLACE, {1: 2})
    assert not objects.follows(PLACE, {1: 1, 2: 1})
    assert not objects.follows(PLACE, {3: 1})
    objects.put(PLACE, [FrameRecord(1, 1, 0)])  # it is not there
    assert not objects.follows(PLACE, {1: 1})


def test_rows_list_objects_that_are_prompted_accepted_or_in_the_labels():
    prompt = FramePrompt(points=((1, 1), (2, 2)), box=(0, 0, 5, 5))
    wanted = Annotations((PlacedPrompt(3, 0, prompt),), frozenset({(5, 1), (5, 2)}))
    rows = object_rows(wanted, {4: RecordSummary(7, 0.25)}, {4: "axon"}, {3})
    assert rows == (
        ObjectRow(3, prompts=3, hidden=True),
        ObjectRow(4, name="axon", frames=7, lowest=0.25),
        ObjectRow(5, accepted=2),
    )
