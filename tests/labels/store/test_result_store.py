"""A store that another session supersedes stays whole until that session's first commit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_sam2.errors import StoreError
from napari_sam2.labels import FrameRecord
from napari_sam2.labels.store.result_store import ChangedFrame, ResultStore

SHAPE = (5, 20, 30)


def plane(value: int) -> np.ndarray:
    return np.full(SHAPE[1:], value, np.uint16)


def opened(path: Path, **options) -> ResultStore:
    return ResultStore(path, SHAPE, np.dtype(np.uint16), {"fingerprint": ["a"]}, **options)


def commit(store: ResultStore, state: str, **labels: int) -> None:
    frames = [ChangedFrame(int(name[1:]), plane(value)) for name, value in labels.items()]
    records = [FrameRecord(1, each.frame, 600, (9.5, 14.5), 0.5, 3.0) for each in frames]
    store.commit(lambda: {"name": state}, [], frames, records)


def content(store: ResultStore) -> dict[int, int]:
    return {frame: int(labels[0, 0]) for frame, labels in store.frames() if labels is not None}


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "a.sam2.zarr"
    store = opened(path)
    commit(store, "first", f1=1, f2=2)
    commit(store, "first", f3=3)
    store.close()
    return path


def test_it_stays_until_the_first_commit(path):
    store = opened(path, anew=True)
    assert store.state is None
    assert content(store) == {}
    assert list(store.records()) == []
    store.close()  # a kill before the first commit leaves just that
    again = opened(path)
    assert again.state == {"name": "first"}
    assert content(again) == {1: 1, 2: 2, 3: 3}
    assert [record.frame for record in again.records()] == [1, 2, 3]
    again.close()


def test_the_first_commit_takes_its_place_whole(path):
    store = opened(path, anew=True)
    commit(store, "second", f2=7, f4=8)
    assert content(store) == {2: 7, 4: 8}
    store.close()
    again = opened(path)
    assert content(again) == {2: 7, 4: 8}
    assert [record.frame for record in again.records()] == [2, 4]
    assert again.state == {"name": "second"}
    again.close()
    found = np.asarray(zarr.open_group(path, mode="r")["labels"][:])
    assert found[:, 0, 0].tolist() == [0, 0, 7, 0, 8], "other readers see nothing of the former"
    assert len(list(path.rglob("*.pack"))) <= 3


def test_a_first_commit_that_fails_leaves_the_former(path, monkeypatch):
    store = opened(path, anew=True)
    with monkeypatch.context() as patch:

        def full(self, data):
            raise OSError(28, "No space left on device")

        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(StoreError, match="No space left"):
            commit(store, "second", f2=7)
    store.close()
    again = opened(path)
    assert content(again) == {1: 1, 2: 2, 3: 3}
    again.close()


def test_results_of_another_shape_are_cleared(path):
    other = ResultStore(path, (2, 8, 9), np.dtype(np.uint8), {}, anew=True)
    assert list(other.frames()) == []
    other.commit(dict, [], [ChangedFrame(1, np.ones((8, 9), np.uint8))])
    other.close()
    assert zarr.open_group(path, mode="r")["labels"].shape == (2, 8, 9)


def test_clearing_that_is_interrupted_leaves_no_commit_of_deleted_chunks(path, monkeypatch):
    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ResultStore(path, (5, 8, 9), np.dtype(np.uint8), {"fingerprint": ["a"]}, anew=True)
    monkeypatch.undo()
    again = opened(path)
    assert again.state is None
    assert content(again) == {}
    again.close()


def test_records_come_back_with_all_that_they_say(tmp_path):
    records = [
        FrameRecord(1, 2, 600, (9.5, 14.5), 0.5, 0.75, 0.25, True),
        FrameRecord(4, 2, 30, (1.0, 2.0), None, None, None, False),
        FrameRecord(4, 3, 0, (0.0, 0.0), 0.125, 0.25),
    ]
    store = opened(tmp_path / "a.sam2.zarr")
    store.commit(lambda: {}, [], [], records)
    store.close()
    again = opened(tmp_path / "a.sam2.zarr")
    assert sorted(again.records(), key=lambda each: each.key) == sorted(
        records, key=lambda each: each.key
    )
    again.close()
