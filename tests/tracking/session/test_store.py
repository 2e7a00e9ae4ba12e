"""Sessions with a store: dropped at any point and opened again, they end as unbroken ones do."""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import zarr
from known_masks import known_masks

from napari_sam2 import TrackingSession, TrackingSettings, load_model
from napari_sam2.errors import StoreError, StoreInUseError
from napari_sam2.labels.store.result_store import ResultStore
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import Model
from napari_sam2.tracking.state import result_keeper
from napari_sam2.tracking.state.result_keeper import ResultKeeper, SessionParts
from napari_sam2.types import ObjectFrame

DRAWN = np.pad(np.ones((10, 10), bool), ((24, 6), (30, 8)))


def opened(model, stack, store, **options) -> TrackingSession:
    return TrackingSession(model, stack, store=store, **options)


def reopened(session: TrackingSession, model, stack, **options) -> TrackingSession:
    """Drop a session as a kill does, and open its store again."""
    path = session.kept_in
    assert path is not None
    session.keep()
    session._keeper.store.close()  # what a kill leaves: the lock is free, nothing more is written
    session._keeper = None
    return opened(model, stack, path, **options)


def prompted(session: TrackingSession) -> TrackingSession:
    session.add_points(1, 2, [(12, 12)])
    session.add_box(2, 6, (20, 26, 34, 42))
    session.add_mask(3, 9, DRAWN)
    return session


def state_of(session: TrackingSession) -> tuple:
    """All that can be seen of a session, with the memories of its objects to the bit."""
    tracks = session._tracker.tracks
    memories = [
        (number, step, each.frame, each.tokens is None, each.pointer.numpy().tobytes())
        for number, track in sorted(tracks.items())
        for step, recent in sorted(track.remembered().items())
        for each in recent
    ]
    return (
        session.labels.tobytes(),
        list(session.prompts),
        session.accepted,
        (session.divisions, session.found_objects, sorted(session.handed_over)),
        [(n, t.done.tobytes(), t.written.tobytes(), t.absent_run) for n, t in tracks.items()],
        [(n, [c.frame for c in t.conditioning.values()]) for n, t in tracks.items()],
        [(n, [c.mask.tobytes() for c in t.conditioning.values()]) for n, t in tracks.items()],
        memories,
    )


def test_labels_and_state_come_back(model, stack, tmp_path):
    session = prompted(opened(model, stack, tmp_path / "a.sam2.zarr"))
    list(session.propagate())
    session.accept(2, 3)
    before = state_of(session)
    again = reopened(session, model, stack)
    assert state_of(again) == before
    assert again.planned_frames() == len({2, 6, 9, 3})  # the decided frames are shown


def test_how_the_light_of_an_object_changed_comes_back(tmp_path):
    model, height = load_model("bundled", "cpu"), [1.0, 0.9, 0.7, 0.5, 0.42, 0.8, 1.0, 1.0]
    disc = np.hypot(*np.mgrid[-48:48, -48:48]) < 20
    noise = np.random.default_rng(0).normal(20, 2, (len(height), 96, 96))
    frames = (noise + 150 * disc * np.array(height)[:, None, None]).astype(np.uint8)

    def begun(store: Path) -> TrackingSession:
        session = opened(model, frames, store)
        session.add_box(1, 0, (28, 28, 68, 68))
        list(session.propagate("forward", stop=5))
        return session

    unbroken = begun(tmp_path / "a.sam2.zarr")
    broken = reopened(begun(tmp_path / "b.sam2.zarr"), model, frames)
    for session in (unbroken, broken):
        list(session.propagate("forward"))
    assert broken.labels.tobytes() == unbroken.labels.tobytes()
    shown = (unbroken.labels == 1).any(axis=(1, 2))
    assert shown.tolist() == [True] * 5 + [False] * 3, "another object follows the valley"


def test_divisions_and_found_objects_come_back(model, stack, tmp_path):
    session = opened(model, stack, tmp_path / "a.sam2.zarr")
    session.add_points(1, 2, [(12, 12)])
    session.add_points(2, 8, [(30, 30)])
    session.add_division(1, [2], 7)
    session.find_objects(0, min_size=1)
    before = state_of(session)
    assert session.divisions
    again = reopened(session, model, stack)
    assert state_of(again) == before
    again.remove_division(1)
    again.discard_found()
    assert reopened(again, model, stack).divisions == ()
    assert again.found_objects == ()


def test_a_chosen_mask_comes_back(model, stack, tmp_path):
    session = opened(model, stack, tmp_path / "a.sam2.zarr")
    session.add_points(1, 2, [(12, 12)])
    session.choose(1, 2, 2)
    before = session.labels.copy()
    again = reopened(session, model, stack)
    assert list(again.corrected_masks()) == [(1, 2)]
    np.testing.assert_array_equal(again.labels, before)


def test_stores_without_divisions_are_read(model, stack, tmp_path, monkeypatch):
    """As they were written at first."""
    real = SessionParts.describe

    def before(parts):
        return {k: v for k, v in real(parts).items() if k not in ("found", "divisions")}

    monkeypatch.setattr(SessionParts, "describe", before)
    session = prompted(opened(model, stack, tmp_path / "a.sam2.zarr"))
    again = reopened(session, model, stack)
    assert (again.object_ids, again.divisions, again.found_objects) == ((1, 2, 3), (), ())


@pytest.fixture(scope="module", params=["frame", "object"])
def unbroken(request, model, noise):
    """A session in one of the views that was never dropped."""
    settings = TrackingSettings(view=request.param)
    session = prompted(TrackingSession(model, noise, settings=settings))
    list(session.propagate())
    return session


@pytest.mark.parametrize("seed", range(4))
def test_a_propagation_dropped_at_any_frame_ends_as_an_unbroken_one(
    model, stack, tmp_path, unbroken, seed
):
    settings = unbroken.settings
    chance = random.Random(seed)
    session = prompted(opened(model, stack, tmp_path / "a.sam2.zarr", settings=settings))
    for _ in range(chance.randrange(1, 4)):
        frames = session.propagate()
        for _ in range(chance.randrange(1, 8)):
            next(frames, None)
        session.keep()
        session = reopened(session, model, stack)
    list(session.propagate())
    np.testing.assert_array_equal(session.labels, unbroken.labels)
    assert state_of(session)[:-1] == state_of(unbroken)[:-1]


OPERATIONS: list[Callable[[TrackingSession, random.Random], object]] = [
    lambda s, r: s.add_points(r.randrange(1, 4), r.randrange(12), [(r.randrange(40), 20)]),
    lambda s, r: s.add_box(r.randrange(1, 4), r.randrange(12), (4, 5, 18, 20 + r.randrange(9))),
    lambda s, r: s.add_mask(r.randrange(1, 4), r.randrange(12), np.roll(DRAWN, r.randrange(9))),
    lambda s, r: s.accept_all(r.randrange(12)),
    lambda s, r: s.object_ids and s.remove_prompts(r.choice(s.object_ids)),
    lambda s, r: s.accepted and s.unaccept(*r.choice(s.accepted)),
    lambda s, r: s.object_ids and [f for f, _ in zip(s.propagate(), range(5), strict=False)],
    lambda s, r: s.object_ids and list(s.propagate("forward")),
    lambda s, r: len(s.object_ids) > 1 and s.merge(*s.object_ids[:2]),
]


@pytest.mark.parametrize("seed", range(6))
def test_random_operations_with_drops_equal_those_without(model, stack, tmp_path, seed):
    plain = TrackingSession(model, stack)
    session = opened(model, stack, tmp_path / "a.sam2.zarr")
    drops = random.Random(seed)
    plan = random.Random(100 + seed)
    for step in range(12):
        operation = plan.choice(OPERATIONS)
        chances = plan.randrange(10**6)
        for each in (plain, session):
            operation(each, random.Random(chances))
        assert state_of(session)[:-1] == state_of(plain)[:-1], step
        if drops.random() < 0.4:
            session = reopened(session, model, stack)
            assert state_of(session)[:-1] == state_of(plain)[:-1], step


def test_a_frame_that_cannot_be_read_is_not_tried_again_before_the_end(
    model, stack, tmp_path, unreadable
):
    broken = FrameStack(unreadable(stack, {4}), contrast=(-1, 1))
    unbroken = TrackingSession(model, broken)
    unbroken.add_points(1, 0, [(12, 12)])
    list(unbroken.propagate())
    session = opened(model, broken, tmp_path / "a.sam2.zarr")
    session.add_points(1, 0, [(12, 12)])
    frames = session.propagate()
    for _ in range(8):
        next(frames)
    session = reopened(session, model, broken)
    list(session.propagate())
    np.testing.assert_array_equal(session.labels, unbroken.labels)
    assert [error.frame for error in session.skipped] == [4]


@pytest.fixture
def unreadable():
    class Broken:
        def __init__(self, data, frames):
            self._data, self._frames = data, frames
            self.shape, self.dtype, self.ndim = data.shape, data.dtype, data.ndim

        def __getitem__(self, index):
            if index[0] in self._frames:
                raise OSError("bad sector")
            return self._data[index]

    return Broken


def test_other_readers_find_labels_and_records(model, stack, tmp_path):
    session = prompted(opened(model, stack, tmp_path / "a.sam2.zarr"))
    list(session.propagate())
    records = {record.key: record for record in session.kept_records()}
    group = zarr.open_group(tmp_path / "a.sam2.zarr", mode="r")
    np.testing.assert_array_equal(group["labels"][:], session.labels)
    for (number, frame), record in records.items():
        mask = session.labels[frame] == number
        assert record.area == np.count_nonzero(mask)
        if record.area:
            np.testing.assert_allclose(record.centre, np.argwhere(mask).mean(axis=0))
    assert {frame for _, frame in records} == set(range(12))


def test_masks_that_fill_what_the_model_sees_are_known_again(model, stack, tmp_path):
    session = opened(model, stack, tmp_path / "a.sam2.zarr")
    session.add_points(1, 5, [(20, 20)])
    assert session.add_box(2, 4, (0, 0, 39, 47)).filling == {2}
    again = reopened(session, model, stack)
    filling = {record.key: record.filling for record in again.kept_records()}
    assert filling == {(1, 5): False, (2, 4): True}


def test_another_image_is_not_given_the_work(model, stack, tmp_path):
    path = tmp_path / "a.sam2.zarr"
    session = prompted(opened(model, stack, path))
    session.close()
    other = stack.copy()
    other[0] += 1
    with pytest.raises(StoreError, match="another image"):
        opened(model, other, path)
    with pytest.raises(StoreError, match="shape"):
        opened(model, stack[:5], path)
    assert opened(model, stack, path).object_ids == (1, 2, 3)


def test_two_sessions_never_write_to_one_store(model, stack, tmp_path):
    path = tmp_path / "a.sam2.zarr"
    first = opened(model, stack, path)
    with pytest.raises(StoreInUseError):
        opened(model, stack, path)
    first.close()
    opened(model, stack, path).close()


def no_memory(*_):
    raise MemoryError("out of memory")


def test_a_session_that_cannot_begin_in_a_store_leaves_it_free(model, stack, tmp_path, monkeypatch):
    path = tmp_path / "a.sam2.zarr"
    with monkeypatch.context() as broken:
        broken.setattr(ResultKeeper, "commit", no_memory)
        with pytest.raises(MemoryError) as held:
            opened(model, stack, path)
    opened(model, stack, path).close()
    assert held.value.__traceback__ is not None, "the error still holds the session"


def test_a_session_that_cannot_write_its_last_results_leaves_its_store_free(
    model, stack, tmp_path, monkeypatch
):
    path = tmp_path / "a.sam2.zarr"
    session = opened(model, stack, path)
    with monkeypatch.context() as broken:
        broken.setattr(ResultKeeper, "commit", no_memory)
        with pytest.raises(MemoryError):
            session.close()
    opened(model, stack, path).close()


def test_a_foreign_folder_is_left_alone(model, stack, tmp_path):
    zarr.create_group(tmp_path / "image.zarr").create_array("0", shape=(2, 2), dtype="u2")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(StoreError, match="something else"):
        opened(model, stack, tmp_path / "image.zarr")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_full_disk_stops_no_propagation_and_the_next_write_mends_it(
    model, stack, tmp_path, monkeypatch
):
    session = prompted(opened(model, stack, tmp_path / "a.sam2.zarr"))
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        real(path, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.warns(UserWarning, match="No space left"):
        list(session.propagate())
    assert session.store_trouble is not None
    monkeypatch.setattr(Path, "write_bytes", real)
    session.keep()
    assert session.store_trouble is None
    before = state_of(session)
    assert state_of(reopened(session, model, stack)) == before


def test_every_failing_write_leaves_what_was_kept_before(model, stack, tmp_path, monkeypatch):
    path = tmp_path / "a.sam2.zarr"
    session = prompted(opened(model, stack, path))
    session.keep()
    prompts = list(session.prompts)
    real = Path.write_bytes
    failures: list[bool] = []
    for failing in range(6):
        left = [failing]

        def full(target: Path, data: bytes, left=left) -> int:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            return real(target, data)

        frames = session.propagate(recompute=True)
        monkeypatch.setattr(Path, "write_bytes", full)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            next(frames)
            session.keep()
        failures.append(session.store_trouble is not None)
        monkeypatch.setattr(Path, "write_bytes", real)
        copied = shutil.copytree(path, tmp_path / f"{failing}.sam2.zarr")
        again = opened(model, stack, copied)
        assert list(again.prompts) == prompts
        again.close()
        frames.close()
        session.keep()
    assert session.store_trouble is None
    assert failures[:2] == [True, True]


@pytest.mark.parametrize("seed", range(40))
def test_a_store_damaged_at_a_random_byte_shows_nothing_wrong(model, kept, stack, tmp_path, seed):
    truth, path = kept
    copied = shutil.copytree(path, tmp_path / "b.sam2.zarr")
    chance = random.Random(seed)
    files = sorted(each for each in copied.rglob("*") if each.is_file() and each.stat().st_size)
    target = chance.choice(files)
    data = bytearray(target.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    target.write_bytes(bytes(data))
    session = opened(model, stack, copied)
    for frame in range(len(stack)):
        plane = session.labels[frame]
        assert not plane.any() or np.array_equal(plane, truth[frame]) or _decided(session, frame)
    list(session.propagate())
    assert session.object_ids == (1, 2, 3)
    assert all(session.labels[frame].any() == truth[frame].any() for frame in range(len(stack)))
    session.close()


def _decided(session: TrackingSession, frame: int) -> bool:
    return any(frame in track.conditioning for track in session._tracker.tracks.values())


@pytest.fixture(scope="module")
def kept(model, noise, tmp_path_factory):
    """A finished session in a store, and its labels."""
    path = tmp_path_factory.mktemp("kept") / "a.sam2.zarr"
    session = prompted(opened(model, noise, path))
    list(session.propagate())
    labels = session.labels.copy()
    session.close()
    return labels, path


def test_results_of_another_model_stay(model, kept, stack, tmp_path):
    truth, path = kept
    copied = shutil.copytree(path, tmp_path / "b.sam2.zarr")
    torch.manual_seed(5)
    other = Model(known_masks(object_score=-4.0), "tiny absent", torch.device("cpu"), 64)
    with torch.no_grad():
        for parameter in other.network.parameters():
            parameter.add_(0.01)
    session = opened(other, stack, copied)
    np.testing.assert_array_equal(session.labels, truth)
    assert list(session.prompts)
    assert session.planned_frames() == 3
    session.close()


def test_loading_a_session_file_finds_the_store_beside_it(model, stack, tmp_path):
    file = tmp_path / "cells.sam2.json"
    session = prompted(opened(model, stack, tmp_path / "cells.sam2.zarr"))
    list(session.propagate())
    session.save(file)
    labels = session.labels.copy()
    session.close()
    again = TrackingSession.load(file, model, stack)
    np.testing.assert_array_equal(again.labels, labels)
    assert again.kept_in == tmp_path / "cells.sam2.zarr"
    again.close()
    alone = TrackingSession.load(file, model, stack, store=None)
    assert alone.kept_in is None


def test_a_session_file_that_was_changed_wins_over_the_store(model, stack, tmp_path):
    file = tmp_path / "cells.sam2.json"
    session = prompted(opened(model, stack, tmp_path / "cells.sam2.zarr"))
    session.close()
    other = TrackingSession(model, stack)
    other.add_points(2, 4, [(20, 20)])
    other.save(file)
    again = TrackingSession.load(file, model, stack)
    assert list(again.prompts) == list(other.prompts)
    np.testing.assert_array_equal(again.labels, other.labels)
    again.close()


def test_keeping_can_begin_later(model, stack, tmp_path):
    session = prompted(TrackingSession(model, stack))
    list(session.propagate())
    session.keep_in(tmp_path / "a.sam2.zarr")
    before = state_of(session)
    assert state_of(reopened(session, model, stack)) == before


def test_the_store_stays_bounded(model, stack, tmp_path):
    session = prompted(opened(model, stack, tmp_path / "a.sam2.zarr"))
    list(session.propagate())
    size = _size(tmp_path)
    for _ in range(4):
        for _ in session.propagate(recompute=True):
            session.keep()
    assert _size(tmp_path) < 3 * size


def _size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())


def test_records_follow_masks_that_lose_pixels_to_a_later_prompt(model, stack, tmp_path):
    path = tmp_path / "a.sam2.zarr"
    session = prompted(opened(model, stack, path))
    list(session.propagate())
    session.keep()  # so that the records are on disk already
    where = np.argwhere(session.labels[5] == 1)[0]
    session.add_points(9, 5, [tuple(where)])
    areas = {record.key: record.area for record in session.kept_records()}
    changed = {number for number, frame in areas if frame == 5}
    assert 9 in changed
    for number in changed:
        assert areas[ObjectFrame(number, 5)] == np.count_nonzero(session.labels[5] == number)


def test_a_commit_that_takes_long_is_followed_by_a_rest(model, stack, tmp_path, monkeypatch):
    """With very many accepted masks commits are slow: they must not be all that is done."""
    now, ends, real = [0.0], [], ResultStore.commit

    def commit(store, *parts):
        now[0] += 5
        ends.append(now[0])
        real(store, *parts)

    session = prompted(opened(model, stack, tmp_path / "s.sam2.zarr"))
    monkeypatch.setattr(result_keeper, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(ResultStore, "commit", commit)
    session.keep()
    for _ in session.propagate():
        now[0] += 4
    assert len(ends) > 2
    assert min(np.diff(ends[:-1])) >= 3 * 5
    assert not session._keeper._records, "at the end everything is written"
    session.close()
