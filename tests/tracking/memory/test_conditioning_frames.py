"""Decided frames: a mapping that finds the nearest ones."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.labels import PackedMask
from napari_sam2.tracking.decoding.prediction import Conditioning
from napari_sam2.tracking.images.object_window import Place, Window, WindowedObject
from napari_sam2.tracking.memory.object_track import ConditioningFrames

LENGTH = 12
NOTHING = PackedMask.of(np.zeros((4, 4), bool))


def decision(frame: int, seen: bool, corrects: bool) -> Conditioning:
    """A drawn mask: seen or not; not seen where it corrects, the object was dismissed."""
    window = Window.whole((4, 4))
    sighting = WindowedObject(Place((1.0, 1.0), 2.0), window) if seen else None
    return Conditioning(frame, NOTHING, window, sighting, corrects)


frames = st.integers(0, LENGTH - 1)
steps = st.lists(st.tuples(frames, st.booleans(), st.booleans(), st.booleans()), max_size=20)


def after(taken: list) -> tuple[ConditioningFrames, dict[int, Conditioning]]:
    """Decide frames and release them again, in a mapping of ours and in a plain one."""
    decided, plain = ConditioningFrames(), {}
    for frame, seen, corrects, gone in taken:
        for each in (decided, plain):
            if gone:
                each.pop(frame, None)
        if not gone:
            decided[frame] = plain[frame] = decision(frame, seen, corrects)
    return decided, plain


@given(steps)
def test_it_behaves_as_the_mapping_that_it_was_given(taken):
    decided, plain = after(taken)
    assert list(decided.items()) == list(plain.items())
    assert list(decided.copy().items()) == list(plain.items())
    assert list(decided.frames) == sorted(plain)
    showing = [frame for frame, each in sorted(plain.items()) if not each.dismissed]
    assert list(decided.sources) == (showing or sorted(plain))
    for frame in range(LENGTH):
        assert (frame in decided) == (frame in plain)


@given(steps, frames, frames)
def test_parts_hold_what_lies_in_them(taken, start, stop):
    decided, plain = after(taken)
    assert list(decided.between(start, stop)) == sorted(f for f in plain if start <= f < stop)


@given(steps, frames, st.none() | frames)
@settings(max_examples=300)
def test_the_nearest_is_found_and_of_two_the_one_decided_first(taken, frame, without):
    decided, plain = after(taken)
    assert decided.distance(frame) == min((abs(frame - f) for f in plain), default=None)
    seen = [f for f, each in plain.items() if each.sighting is not None and f != without]
    nearest = min(seen, key=lambda f: abs(f - frame), default=None)  # the first of several
    found = decided.nearest_sighted(frame, without)
    assert (None if found is None else found.frame) == nearest
