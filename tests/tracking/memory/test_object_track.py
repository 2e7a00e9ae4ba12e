"""Which frames a pass tracks, and from where."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.labels import PackedMask
from napari_sam2.network import BUNDLED_CONFIG
from napari_sam2.tracking.decoding.prediction import Conditioning, ObjectPrediction
from napari_sam2.tracking.images.object_window import Window
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.tracking.schedule import Schedule, Scope
from napari_sam2.types import Direction

LENGTH = 30


def decision(frame: int, present: bool = True, corrects: bool = True) -> Conditioning:
    window = Window.whole((8, 8))
    prediction = ObjectPrediction(torch.zeros(2, 2), 1.0, float(present), torch.zeros(4), window)
    nothing = PackedMask.of(np.zeros((8, 8), bool))
    return Conditioning(frame, nothing, window, None, corrects, prediction)


def track(*decisions: Conditioning) -> ObjectTrack:
    result = ObjectTrack(1, LENGTH, BUNDLED_CONFIG)
    for each in decisions:
        result.condition(each)
    return result


def test_where_an_object_was_corrected_away_is_no_source():
    assert track(decision(3), decision(9, present=False)).sources() == [3]
    assert track(decision(9, present=False)).sources() == [9]
    missed = decision(9, present=False, corrects=False)  # a first prompt that found nothing
    assert track(decision(3), missed).sources() == [3, 9]


def test_a_removal_holds_up_to_the_next_frame_that_shows_the_object():
    followed = track(decision(3), decision(5, present=False), decision(8), decision(12, False))
    assert followed.dismissals(6, 1) == followed.dismissals(7, 1) == [5]
    assert followed.dismissals(4, -1) == [5]
    assert followed.dismissals(9, 1) == [], "frame 8 shows that it is back"
    assert followed.dismissals(2, -1) == []
    assert followed.dismissals(14, 1) == [12]
    assert track(decision(4, present=False)).dismissals(6, 1) == [], "nothing else is known"


@given(st.dictionaries(st.integers(0, LENGTH - 1), st.booleans(), min_size=1, max_size=6))
@settings(max_examples=80, deadline=None)
def test_both_passes_reach_every_frame_from_its_nearest_source(decided):
    followed = track(*(decision(f, present) for f, present in decided.items()))
    forward = followed.needed(Direction.FORWARD, 0, LENGTH, nearest=True)
    backward = followed.needed(Direction.BACKWARD, 0, LENGTH) & ~forward
    frames = np.flatnonzero(forward | backward)
    outside = {f for f in range(LENGTH) if f not in decided} - set(frames.tolist())
    assert not outside
    sources = followed.sources()
    for frame in np.flatnonzero(forward):
        below = [frame - s for s in sources if s < frame]
        above = [s - frame for s in sources if s > frame]
        assert not above or min(below) <= min(above)
    for frame in np.flatnonzero(backward):
        below = [frame - s for s in sources if s < frame]
        above = [s - frame for s in sources if s > frame]
        assert not below or min(above) < min(below)


frames = st.integers(0, LENGTH - 1)
decisions = st.dictionaries(frames, st.booleans(), min_size=1, max_size=6)
DIRECTIONS = (Direction.FORWARD, Direction.BACKWARD)


@given(decisions, st.sets(frames), frames, frames, st.sampled_from(DIRECTIONS), st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_is_needed_in_a_part_is_that_part_of_what_is_needed(
    decided, done, start, stop, direction, nearest
):
    followed = track(*(decision(f, present) for f, present in decided.items()))
    followed.done[list(done)] = True
    whole = followed.needed(direction, 0, LENGTH, nearest)
    stop = max(start, stop)
    assert np.array_equal(followed.needed(direction, start, stop, nearest), whole[start:stop])


@given(st.lists(decisions, min_size=1, max_size=3), st.sets(st.integers(0, 300)), st.data())
@settings(max_examples=80, deadline=None)
def test_the_frames_ahead_are_all_that_any_object_needs_in_the_order_of_the_pass(each, done, data):
    length = 301
    tracks = {}
    for number, decided in enumerate(each, start=1):
        tracks[number] = ObjectTrack(number, length, BUNDLED_CONFIG)
        for frame, present in decided.items():
            tracks[number].condition(decision(10 * frame, present))
        tracks[number].done[list(done)] = True
    direction, nearest = data.draw(st.sampled_from(DIRECTIONS)), data.draw(st.booleans())
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    skipped = data.draw(st.sets(st.integers(0, 300), max_size=80))
    scope = Scope(start, stop, None)
    schedule = Schedule(direction, scope, set(), dict.fromkeys(skipped), {}, nearest)
    needed = set()
    for followed in tracks.values():
        found = np.flatnonzero(followed.needed(direction, 0, length, nearest)).tolist()
        needed |= (set(found) - skipped) | set(followed.conditioning)
    expected = sorted((f for f in needed if start <= f < stop), reverse=schedule.step < 0)
    assert schedule.ahead(tracks, length) == expected
    assert schedule.ahead(tracks, 2) == expected[:2]
    assert schedule.next_frame(tracks) == (expected[0] if expected else None)
    assert schedule.ahead(tracks, length) == expected[1:]


def test_forward_alone_goes_all_the_way():
    followed = track(decision(2), decision(20))
    assert followed.needed(Direction.FORWARD, 0, LENGTH)[3:20].all()
    assert followed.needed(Direction.FORWARD, 0, LENGTH, nearest=True)[3:20].sum() == 9
