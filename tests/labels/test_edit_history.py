"""Edits of label planes: exact, reversible, in groups, within a bound."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.labels import Edit, History, PlaneChange

planes = hnp.arrays(np.uint16, (5, 7), elements=st.integers(0, 3))


@given(planes, planes)
def test_change_goes_both_ways(old, new):
    change = PlaneChange.between(4, old, new)
    if change is None:
        np.testing.assert_array_equal(old, new)
        return
    plane = old.copy()
    change.redo(plane)
    np.testing.assert_array_equal(plane, new)
    change.undo(plane)
    np.testing.assert_array_equal(plane, old)
    assert change.frame == 4


@given(planes, planes, planes)
def test_pixels_that_did_not_change_are_left_alone(old, new, other):
    change = PlaneChange.between(0, old, new)
    if change is not None:
        plane = other.copy()
        change.undo(plane)
        np.testing.assert_array_equal(plane[old == new], other[old == new])
        np.testing.assert_array_equal(plane[old != new], old[old != new])


@settings(max_examples=50)
@given(st.lists(st.lists(st.tuples(st.integers(0, 1), planes), max_size=3), max_size=4))
def test_any_edits_undone_in_reverse_and_done_again(groups):
    labels = np.zeros((2, 5, 7), np.uint16)
    stages, edits = [labels.copy()], []
    for number, group in enumerate(groups):
        changes = []
        for frame, plane in group:
            change = PlaneChange.between(frame, labels[frame], plane)
            labels[frame] = plane
            changes += [] if change is None else [change]
        edits.append(Edit(number, changes=tuple(changes)))
        stages.append(labels.copy())
    for edit, stage in zip(reversed(edits), reversed(stages[:-1]), strict=True):
        edit.undo(labels)
        np.testing.assert_array_equal(labels, stage)
    for edit, stage in zip(edits, stages[1:], strict=True):
        edit.redo(labels)
        np.testing.assert_array_equal(labels, stage)


def test_change_keeps_no_more_than_the_box_that_changed():
    old = np.zeros((1000, 1000), np.uint16)
    new = old.copy()
    new[500:520, 600:630] = 3
    change = PlaneChange.between(0, old, new)
    assert (change.rows, change.columns) == ((500, 520), (600, 630))
    assert change.nbytes < 200


def edit(number: int, seed: int = 0) -> Edit:
    noise = np.random.default_rng(seed).integers(0, 200, (40, 40), dtype=np.uint16)
    return Edit(number, changes=(PlaneChange.between(0, np.zeros_like(noise), noise),))


def test_history_forgets_the_oldest_edits_first():
    history = History(max_edits=3, max_bytes=10**9)
    gone = [history.add(edit(number)) for number in range(5)]
    assert gone == [(), (), (), (0,), (1,)]
    assert [history.get(n) is not None for n in range(5)] == [False, False, True, True, True]


def test_history_is_bounded_in_memory_but_keeps_the_last_edit():
    size = edit(0).nbytes
    history = History(max_edits=100, max_bytes=int(2.5 * size))
    for number in range(10):
        history.add(edit(number))
        assert history.nbytes <= 2.5 * size
    assert len(history) == 2
    small = History(max_edits=100, max_bytes=10)
    small.add(edit(1))
    assert small.get(1) is not None
    assert small.add(edit(2)) == (1,)


def test_history_replaces_and_drops():
    history = History(max_edits=3, max_bytes=10**9)
    history.add(Edit(1, before="a"))
    history.add(Edit(1, before="b"))
    assert len(history) == 1
    assert history.get(1).before == "b"
    history.drop([1, 7])
    assert len(history) == 0


def test_edit_of_a_zarr_array(tmp_path):
    import zarr

    store = zarr.create_array(tmp_path / "labels.zarr", shape=(3, 4, 5), dtype="uint16")
    new = np.arange(20, dtype=np.uint16).reshape(4, 5)
    step = Edit(1, changes=(PlaneChange.between(2, np.zeros((4, 5), np.uint16), new),))
    step.redo(store)
    np.testing.assert_array_equal(store[2], new)
    step.undo(store)
    assert not np.asarray(store[:]).any()
    assert step.frames() == (2,)
