"""Memory banks: bounded, direction aware, the nearest frames first."""

from __future__ import annotations

import weakref

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.tracking.memory.memory_bank import (
    FrameMemory,
    RecentMemory,
    nearest_conditioning,
    recall,
)


def memory(frame: int) -> FrameMemory:
    return FrameMemory(frame, torch.full((4, 2), float(frame)), torch.full((8,), float(frame)))


@given(st.sets(st.integers(0, 60)), st.integers(0, 60), st.integers(2, 9))
@settings(max_examples=60, deadline=None)
def test_nearest_conditioning_frames(frames, frame, limit):
    chosen = nearest_conditioning(sorted(frames), frame, limit)
    assert set(chosen) <= frames
    assert list(chosen) == sorted(chosen)
    assert len(chosen) == min(limit, len(frames))
    before = [f for f in frames if f < frame]
    after = [f for f in frames if f >= frame]
    assert not before or max(before) in chosen
    assert not after or min(after) in chosen
    assert nearest_conditioning(sorted(frames), frame, None) == tuple(sorted(frames))
    for left_out in frames:
        others = sorted(frames - {left_out})
        without = nearest_conditioning(sorted(frames), frame, limit, left_out)
        assert without == nearest_conditioning(others, frame, limit)


@given(st.sampled_from([1, -1]), st.integers(1, 80))
@settings(max_examples=40, deadline=None)
def test_recent_memory_is_bounded(step, length):
    recent = RecentMemory(step, spatial=6, pointers=15)
    frames = list(range(100, 100 + step * length, step))
    for frame in frames:
        recent.append(memory(frame))
    following = frames[-1] + step
    passed = recent.before(following)
    assert [age for age, _ in passed] == list(range(min(15, length), 0, -1))
    assert [m.frame for _, m in passed] == frames[-15:]
    assert sum(m.tokens is not None for _, m in passed) == min(6, length)


def test_what_is_out_of_reach_is_let_go():
    recent = RecentMemory(1, spatial=2, pointers=3)
    first = memory(0)
    gone = weakref.ref(first.pointer)
    recent.append(first)
    del first
    for frame in range(1, 5):
        recent.append(memory(frame))
    assert gone() is None


def test_recent_memory_leads_only_onwards():
    recent = RecentMemory(-1, spatial=6, pointers=15)
    recent.append(memory(10))
    assert recent.leads_to(9)
    assert recent.leads_to(0)
    assert not recent.leads_to(10)
    assert not recent.leads_to(11)


def test_fewer_recent_frames_are_the_nearest_ones_in_their_own_slots():
    recent = RecentMemory(1, spatial=6, pointers=15)
    for frame in range(1, 9):
        recent.append(memory(frame))
    everything = recall(9, {0: memory(0)}, recent, 7, 16)
    fewer = recall(9, {0: memory(0)}, recent, 7, 16, recent_frames=2)
    assert fewer.layout.slots == (6, 1, 0)
    assert [int(t[0, 0]) for t in fewer.spatial] == [0, 7, 8]
    assert fewer.distances == everything.distances


def test_recall_places_slots_and_pointers():
    recent = RecentMemory(1, spatial=6, pointers=15)
    for frame in range(1, 9):
        recent.append(memory(frame))
    recalled = recall(9, {0: memory(0), 20: memory(20)}, recent, memory_frames=7, max_pointers=16)
    assert recalled.layout.slots == (6, 6, 5, 4, 3, 2, 1, 0)
    assert [int(t[0, 0]) for t in recalled.spatial] == [0, 20, 3, 4, 5, 6, 7, 8]
    assert recalled.distances == (9, 1, 2, 3, 4, 5, 6, 7, 8)
    assert [int(p[0]) for p in recalled.pointers] == [0, 8, 7, 6, 5, 4, 3, 2, 1]


def test_recall_going_backward_leaves_out_pointers_of_lower_frames():
    recent = RecentMemory(-1, spatial=6, pointers=15)
    recent.append(memory(9))
    recalled = recall(8, {0: memory(0), 10: memory(10)}, recent, memory_frames=7, max_pointers=16)
    assert recalled.distances == (2, 1)
    assert recalled.layout.slots == (6, 6, 0)


def test_a_frame_where_the_object_was_corrected_away_is_recalled_like_one_passed():
    recent = RecentMemory(1, spatial=3, pointers=5)
    recent.append(memory(7))
    recent.append(memory(9))
    recalled = recall(
        10, {0: memory(0)}, recent, memory_frames=4, max_pointers=6, dismissed=[memory(8)]
    )
    assert recalled.layout.slots == (3, 2, 1, 0)
    assert [int(t[0, 0]) for t in recalled.spatial] == [0, 7, 8, 9]
    assert recalled.distances == (10, 1, 2, 3)
    assert recent.reaches(8, 10)
    assert not recent.reaches(10, 10)
    assert not recent.reaches(11, 10)
    assert not recent.reaches(4, 10)
