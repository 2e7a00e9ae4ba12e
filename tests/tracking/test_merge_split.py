"""Merging and splitting: all of it or nothing, whatever fails and wherever it fails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from engine_internals import volume_of

from napari_sam2.errors import LabelsError, Sam2Error
from napari_sam2.labels import PackedMask
from napari_sam2.prompts import PromptBook
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import TrackingSession, TrackingSettings, tracker
from napari_sam2.tracking.label_writer import LabelWriter


class Disk:
    """Labels on a disk that may fail in chosen calls."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.data = np.zeros(shape, np.uint16)
        self.shape, self.dtype = self.data.shape, self.data.dtype
        self.fails: Callable[[str], bool] = lambda _: False

    def __getitem__(self, index):
        if self.fails("read"):
            raise OSError("the share is gone")
        return self.data[index]

    def __setitem__(self, index, value) -> None:
        if self.fails("write"):
            raise OSError("no space left on the device")
        self.data[index] = value


class Fault:
    """Lets one kind of step fail in its n-th call; for good where memory has run out."""

    def __init__(self, step: str, at: int) -> None:
        self._step, self._left = step, at

    def __call__(self, step: str) -> bool:
        if step != self._step:
            return False
        self._left -= 1
        return self._left == 0 or (step in STEPS and self._left < 0)


MERGE = ("merge", 1, 2)
SPLIT = ("split", 1, 6, 7)
EARLY_SPLIT = ("split", 1, 2, 7)


@pytest.fixture
def disk(noise) -> Disk:
    return Disk(noise.shape)


@pytest.fixture
def session(model, noise, disk) -> TrackingSession:
    """Two objects that were clicked, corrected, drawn, accepted and followed."""
    settings = TrackingSettings(exclusive=False)
    session = TrackingSession(model, noise, labels=disk, settings=settings)
    session.add_points(1, 3, [(10, 10)])
    session.add_points(2, 5, [(30, 35)])
    list(session.propagate())
    session.add_mask(2, 9, np.pad(np.ones((8, 8), bool), ((4, 28), (4, 36))))
    session.accept_all(8)
    session.accept(1, 4)
    list(session.propagate())
    disk.data[6, 20:24, 20:24] = 1  # something to begin from, whatever the noise gave
    disk.data[2, 20:24, 20:24] = disk.data[1, 20:24, 20:24] = 1
    return session


def all_that_is_known(session: TrackingSession, disk: Disk) -> tuple:
    state = session.snapshot()
    return (
        disk.data.tobytes(),
        [(*key, repr(prompt)) for *key, prompt in state.prompts],
        sorted(state.accepted),
        [
            (t.object_id, t.done.tobytes(), t.written.tobytes(), t.conditioning)
            for t in state.tracks
        ],
        [volume_of(session).is_protected(i, f) for f in range(12) for i in (1, 2, 7)],
    )


def run_out(fault: Fault, step: str, real: Callable) -> Callable:
    def call(*args, **kwargs):
        if fault(step):
            raise MemoryError("Unable to allocate 4.00 MiB")
        return real(*args, **kwargs)

    return call


STEPS = {
    "pack": (PackedMask, "of"),
    "decide": (tracker, "drawn_conditioning"),
    "book": (PromptBook, "add_mask"),
    "pixels": (LabelWriter, "pixels"),
    "stack": (FrameStack, "read"),
}


@pytest.mark.parametrize("change", [MERGE, SPLIT, EARLY_SPLIT], ids=["merge", "split", "early"])
@pytest.mark.parametrize("step", ["read", "write", *STEPS])
def test_what_fails_at_any_step_leaves_everything_as_it_was(
    session, disk, monkeypatch, step, change
):
    name, *values = change
    before = all_that_is_known(session, disk)
    failures = 0
    for at in range(1, 200):
        fault = Fault(step, at)
        disk.fails = fault
        with monkeypatch.context() as patch:
            if step in STEPS:
                owner, method = STEPS[step]
                patch.setattr(owner, method, run_out(fault, step, getattr(owner, method)))
            try:
                getattr(session, name)(*values)
            except Sam2Error:
                failures += 1
            else:
                break
        disk.fails = lambda _: False
        assert all_that_is_known(session, disk) == before, f"{step}, call {at}"
    disk.fails = lambda _: False
    assert all_that_is_known(session, disk) != before, "in the end it is done"
    if step == "stack":
        assert failures == 0, "no pixel of the stack is needed"
    else:
        assert failures > (3 if step in ("read", "write") else 0)


def test_a_disk_that_fails_for_good_half_way_says_which_frames_are_mixed_up(session, disk):
    writes: list[None] = []

    def full(step: str) -> bool:
        if step == "write":
            writes.append(None)
        return step == "write" and len(writes) > 3

    disk.fails = full
    before = all_that_is_known(session, disk)
    with pytest.raises(LabelsError, match="not be put back") as caught:
        session.merge(1, 2)
    disk.fails = lambda _: False
    after = all_that_is_known(session, disk)
    assert after[1:] == before[1:], "prompts, acceptance and tracks are whole"
    assert "label 1" in caught.value.remedy
    session.merge(1, 2)
    assert not (disk.data == 2).any()
