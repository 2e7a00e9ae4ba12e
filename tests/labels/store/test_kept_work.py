"""Kept work is found, measured and deleted; what is open or something else stays."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_sam2._atomic import write_text
from napari_sam2.errors import StoreError, StoreInUseError
from napari_sam2.labels.store.kept_work import delete_kept_work, find_kept_work
from napari_sam2.labels.store.result_store import ChangedFrame, ResultStore, part_of


def store_at(path: Path) -> ResultStore:
    store = ResultStore(path, (3, 20, 30), np.dtype(np.uint16), {"fingerprint": ["a"]})
    plane = np.random.default_rng(0).integers(0, 9, (20, 30)).astype(np.uint16)
    store.commit(dict, [], [ChangedFrame(1, plane)])
    return store


def test_stores_of_whole_images_and_of_their_stacks_are_listed(tmp_path):
    store_at(tmp_path / "a.sam2.zarr").close()
    for time in (0, 1):
        store_at(part_of(tmp_path / "b.sam2.zarr", {0: time})).close()
    (tmp_path / "b.sam2.json").write_text("{}", encoding="utf-8")
    (tmp_path / "empty.sam2.zarr").mkdir()
    found = {work.name: work for work in find_kept_work([tmp_path, tmp_path / "none"])}
    assert found.keys() == {"a", "b"}
    assert found["b"].size > found["a"].size > 500
    assert found["b"].session == tmp_path / "b.sam2.json"
    assert found["a"].session is None


def test_deleting_takes_the_whole_folder(tmp_path):
    store_at(tmp_path / "a.sam2.zarr").close()
    delete_kept_work(tmp_path / "a.sam2.zarr")
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_leaves_of_deleted_work_is_cleared(tmp_path, monkeypatch):
    store_at(tmp_path / "a.sam2.zarr").close()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *args, **options: None)
        delete_kept_work(tmp_path / "a.sam2.zarr")
    assert find_kept_work([tmp_path]) == ()
    assert [path.name[0] for path in tmp_path.iterdir()] == ["."]
    write_text(tmp_path / "b.txt", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_work_that_is_open_is_not_deleted(tmp_path):
    store = store_at(part_of(tmp_path / "a.sam2.zarr", {0: 1}))
    with pytest.raises(StoreInUseError):
        delete_kept_work(tmp_path / "a.sam2.zarr")
    store.close()
    delete_kept_work(tmp_path / "a.sam2.zarr")


def test_other_folders_are_not_deleted(tmp_path):
    (tmp_path / "x.sam2.zarr").mkdir()
    (tmp_path / "x.sam2.zarr" / "mine.txt").touch()
    with pytest.raises(StoreError):
        delete_kept_work(tmp_path / "x.sam2.zarr")
    assert (tmp_path / "x.sam2.zarr" / "mine.txt").exists()
