"""Frames that cannot be read: tried again, skipped or the end, by setting; the rest goes on."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import tifffile
import zarr
from engine_internals import clear_features, track_of

from napari_sam2.errors import FrameError, SessionError, StackError
from napari_sam2.stack import FrameStack, open_stack
from napari_sam2.tracking import TrackingSession, TrackingSettings, Unreadable
from napari_sam2.tracking.images import frame_reader

CONTRAST = (-1.0, 1.0)


class Flaky:
    """An array some of whose frames cannot be read for so many attempts."""

    def __init__(self, data: np.ndarray, **failures: int) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype
        self.failures = {int(name[1:]): count for name, count in failures.items()}
        self.asked: list[int] = []

    def __getitem__(self, index):
        frame = index[0] if isinstance(index, tuple) else index
        self.asked.append(int(frame))
        if self.failures.get(int(frame), 0) > 0:
            self.failures[int(frame)] -= 1
            raise OSError("the share is gone")
        return self.data[index]


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """Pauses between attempts, noted instead of kept."""
    made: list[float] = []
    monkeypatch.setattr(frame_reader.time, "sleep", made.append)
    return made


def opened(model, data, **options) -> TrackingSession:
    session = TrackingSession(
        model, data, contrast=CONTRAST, settings=TrackingSettings(**options), keep_logits=True
    )
    session.add_points(1, 4, [(20, 20)])
    return session


def test_an_unreadable_frame_is_reported_and_the_rest_goes_on(model, stack):
    session = opened(model, Flaky(stack, f7=99))
    results = {result.frame: result for result in session.propagate("forward")}
    assert sorted(results) == [4, 5, 6, 7, 8, 9, 10, 11]
    skipped = results[7]
    assert (skipped.object_ids, skipped.masks.shape) == ((), (0, 40, 48))
    assert skipped.scores.shape == skipped.presence.shape == (0,)
    assert [error.frame for error in session.skipped] == [7]
    assert session.skipped[0].happened == skipped.skipped
    assert "the share is gone" in skipped.skipped
    assert all(result.skipped is None for frame, result in results.items() if frame != 7)
    assert not session.labels[7].any()
    assert all(session.labels[frame].any() for frame in (6, 8, 11))


def test_objects_reach_beyond_a_skipped_frame_by_their_memory(model, stack):
    """What comes after is as if the frame were not there, but for its place in time."""
    session = opened(model, Flaky(stack, f7=99))
    whole = opened(model, stack)
    before, after = ({r.frame: r for r in s.propagate("forward")} for s in (session, whole))
    for frame in (5, 6):
        np.testing.assert_array_equal(before[frame].logits, after[frame].logits)
    assert np.abs(before[8].logits - after[8].logits).max() > 0, "memory of frame 7 is missing"
    track = track_of(session, 1)
    assert [memory.frame for _, memory in track.recent(12, 1).before(12)] == [5, 6, 8, 9, 10, 11]


def test_a_skipped_frame_is_met_once_a_run_and_tried_again_in_the_next(model, stack):
    data = Flaky(stack, f7=99)
    session = opened(model, data, read_attempts=1)
    session.add_points(1, 10, [(20, 20)])
    frames = [result.frame for result in session.propagate("both")]
    assert frames.count(7) == 1, "the backward pass reaches it too"
    assert data.asked.count(7) == 1
    assert session.planned_frames() == 3, "the prompted frames, and frame 7"
    data.failures.clear()
    again = {result.frame: result for result in session.propagate("both")}
    assert again[7].object_ids == (1,)
    assert session.skipped == ()
    assert session.labels[7].any()


def test_labels_that_a_skipped_frame_has_are_kept(model, stack):
    data = Flaky(stack)
    session = opened(model, data)
    list(session.propagate())
    before = session.labels[7].copy()
    data.failures[7] = 99
    clear_features(session)
    list(session.propagate(recompute=True))
    assert [error.frame for error in session.skipped] == [7]
    np.testing.assert_array_equal(session.labels[7], before)


def test_storage_that_fails_for_a_moment_is_tried_again(model, stack, pauses):
    session = opened(model, Flaky(stack, f7=2), read_attempts=3)
    expected = opened(model, stack)
    for ours, theirs in zip(session.propagate(), expected.propagate(), strict=True):
        np.testing.assert_array_equal(ours.logits, theirs.logits)
    assert session.skipped == ()
    assert pauses == [0.1, 0.2]


def test_by_setting_the_first_unreadable_frame_is_the_end(model, stack):
    session = opened(model, Flaky(stack, f7=99), unreadable="stop")
    with pytest.raises(FrameError, match="Frame 7") as caught:
        list(session.propagate("forward"))
    assert caught.value.frame == 7
    assert session.labels[6].any()
    assert session.planned_frames("forward") == 6, "the clicked frame, and 7 to 11"
    assert len(list(session.propagate("backward"))) == 5, "the session goes on"


def test_frames_without_a_finite_pixel_are_skipped_others_are_not(model, stack, pauses):
    stack[7] = np.nan
    stack[9] = -np.inf
    stack[10, :5] = np.nan
    session = opened(model, stack)
    with pytest.warns(UserWarning, match="Frame 10 holds NaN"):
        list(session.propagate())
    assert [error.frame for error in session.skipped] == [7, 9]
    assert "no finite pixel" in session.skipped[0].happened
    assert [frame for frame in range(12) if not session.labels[frame].any()] == [7, 9]
    assert pauses == [], "another attempt would give the same pixels"


def test_a_prompt_on_an_unreadable_frame_leaves_no_trace(model, stack):
    session = TrackingSession(model, Flaky(stack, f7=99), contrast=CONTRAST)
    with pytest.raises(StackError, match="7"):
        session.add_points(1, 7, [(20, 20)])
    assert session.object_ids == ()
    assert len(session.prompts) == 0


def test_a_frame_can_be_prompted_as_soon_as_it_can_be_read(model, stack):
    data = Flaky(stack, f7=99)
    session = opened(model, data)
    list(session.propagate("forward"))
    data.failures.clear()
    session.add_points(1, 7, [(20, 20)])
    assert session.labels[7].any()


def forget_what_was_seen(session: TrackingSession) -> None:
    """Come back from a snapshot, with nothing encoded."""
    session.restore(session.snapshot())
    clear_features(session)


def test_an_object_goes_on_without_a_decided_frame_that_is_gone(model, stack):
    data = Flaky(stack)
    session = opened(model, data)
    session.add_points(1, 8, [(20, 20)])
    forget_what_was_seen(session)
    data.failures[8] = 99
    results = {result.frame: result for result in session.propagate("both")}
    assert [error.frame for error in session.skipped] == [8]
    assert results[6].object_ids == results[8].object_ids == (1,)
    assert data.asked.count(8) == 3, "once for the click; two attempts, not two a frame"


def test_an_object_whose_only_decided_frame_is_gone_says_so(model, stack):
    data = Flaky(stack)
    session = opened(model, data)
    forget_what_was_seen(session)
    data.failures[4] = 99
    with pytest.raises(FrameError, match="begins from") as caught:
        list(session.propagate("forward"))
    assert caught.value.frame == 4
    assert "other objects" in caught.value.remedy


def truncated_tiff(folder: Path, data: np.ndarray) -> object:
    """A file whose last frames were cut off after it was opened."""
    tifffile.imwrite(folder / "a.tif", data, photometric="minisblack", compression="zlib")
    pixels = open_stack(folder / "a.tif").data
    with tifffile.TiffFile(folder / "a.tif") as file:
        end = file.pages[10].dataoffsets[0]
    with (folder / "a.tif").open("rb+") as file:
        file.truncate(end)
    return pixels


def zarr_with_a_damaged_chunk(folder: Path, data: np.ndarray) -> object:
    path = folder / "a.zarr"
    array = zarr.create_array(path, shape=data.shape, chunks=(1, *data.shape[1:]), dtype="f4")
    array[:] = data
    (path / "c" / "10" / "0" / "0").write_bytes(b"not a chunk")
    return zarr.open_array(path, mode="r")


def dask_with_a_failing_task(folder: Path, data: np.ndarray) -> object:
    def load(block, block_info=None):
        if block_info[0]["chunk-location"][0] == 10:
            raise ValueError("the worker died")
        return block

    return da.from_array(data, chunks=(1, -1, -1)).map_blocks(load, dtype=data.dtype)


@pytest.mark.parametrize(
    "broken", [truncated_tiff, zarr_with_a_damaged_chunk, dask_with_a_failing_task]
)
def test_real_storage_that_fails_costs_only_its_own_frames(model, stack, tmp_path, broken):
    session = opened(model, broken(tmp_path, stack), unreadable=Unreadable.SKIP)
    frames = [result.frame for result in session.propagate("forward")]
    assert frames == [4, 5, 6, 7, 8, 9, 10, 11]
    assert 10 in [error.frame for error in session.skipped]
    assert session.labels[9].any()
    assert not session.labels[10].any()


def test_contrast_is_measured_on_the_frames_that_can_be_read(model, stack):
    frames = FrameStack(Flaky(stack, f7=99))
    with pytest.warns(UserWarning, match="Frame 7 cannot be read.*measured on 11 other frames"):
        (contrast,) = frames.contrast
    assert contrast == FrameStack(np.delete(stack, 7, axis=0)).contrast[0]
    gone = FrameStack(Flaky(stack, **{f"f{frame}": 99 for frame in range(12)}))
    with pytest.raises(FrameError, match="Frame 0"):
        gone.read(3)


@pytest.mark.parametrize("options", [{"unreadable": "retry"}, {"read_attempts": 0}])
def test_impossible_settings_say_what_is_possible(options):
    with pytest.raises(SessionError, match=next(iter(options))):
        TrackingSettings(**options)


def test_settings_come_back_from_a_session_file(model, stack, tmp_path):
    session = opened(model, stack, unreadable="stop", read_attempts=5)
    session.save(tmp_path / "s.sam2.json")
    settings = TrackingSession.load(tmp_path / "s.sam2.json", model, stack).settings
    assert settings.unreadable is Unreadable.STOP
    assert settings.read_attempts == 5


def test_a_session_file_replays_but_for_what_cannot_be_read(model, stack, tmp_path):
    session = opened(model, stack)
    session.add_points(2, 7, [(30, 30)])
    list(session.propagate())
    session.accept(1, 5)
    session.accept(2, 7)
    session.save(tmp_path / "s.sam2.json")
    data = Flaky(stack, f5=99, f7=99)
    again = TrackingSession.load(tmp_path / "s.sam2.json", model, data)
    assert again.skipped == (), "what was accepted there needs no pixels"
    assert [key[:2] for key in again.prompts] == [(1, 4), (2, 7)]
    assert again.accepted == ((1, 5), (2, 7))
    kept = {frame: again.labels[frame].copy() for frame in (5, 7)}
    np.testing.assert_array_equal(kept[7] == 2, session.labels[7] == 2)
    np.testing.assert_array_equal(kept[5] == 1, session.labels[5] == 1)
    data.failures.clear()
    list(again.propagate())
    np.testing.assert_array_equal(again.labels[5] == 1, kept[5] == 1)
    np.testing.assert_array_equal(again.labels[7] == 2, kept[7] == 2)
    stopping = TrackingSettings(unreadable="stop")
    with pytest.raises(FrameError):
        TrackingSession.load(
            tmp_path / "s.sam2.json", model, Flaky(stack, f4=99), settings=stopping
        )
