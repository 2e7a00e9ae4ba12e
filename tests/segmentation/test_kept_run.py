"""The results that a run of the command keeps until its end."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_sam2.errors import StoreError
from napari_sam2.labels.store.result_store import (
    STORE_SUFFIX,
    UNFINISHED,
    ChangedFrame,
    ResultStore,
)
from napari_sam2.segmentation.kept_run import KeptRun
from napari_sam2.segmentation.result_files import ResultFiles
from napari_sam2.types import TrackFormat


def kept(folder: Path) -> KeptRun:
    """Return a run that has kept one frame."""
    store = ResultStore(folder, (2, 8, 9), np.dtype(np.uint16), {"fingerprint": ["a"]})
    store.commit(dict, [], [ChangedFrame(0, np.ones((8, 9), np.uint16))])
    store.close()
    (folder / UNFINISHED).touch()
    return KeptRun(folder, through=False)


def test_a_finished_run_deletes_its_folder(tmp_path):
    run = kept(tmp_path / "labels.sam2.zarr")
    run.finish(keep=False)
    assert not list(tmp_path.iterdir())


def test_the_end_of_a_run_that_is_interrupted_leaves_nothing_to_go_on_with(tmp_path, monkeypatch):
    """Else a run with --resume would take chunks that are deleted for empty frames."""
    run = kept(tmp_path / "labels.sam2.zarr")

    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.finish(keep=False)
    monkeypatch.undo()
    assert not run.folder.exists()


def test_a_folder_with_something_else_stays(tmp_path):
    folder = tmp_path / "labels.sam2.zarr"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="something else"):
        KeptRun(folder, through=False).delete()
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["a.ome.tif", "a.OME.TIF", "a.nii.gz", "a.zarr"])
def test_all_files_beside_labels_have_their_name_without_suffix(tmp_path, name):
    labels = tmp_path / name
    files = ResultFiles.beside(labels, [TrackFormat.GEFF], measure=True)
    kept = KeptRun.of(labels, None, through=False).folder
    beside = (kept, files.table, *(path for _, path in files.tracks))
    assert [path.name.removeprefix("a") for path in beside] == [STORE_SUFFIX, ".csv", ".geff.zarr"]
