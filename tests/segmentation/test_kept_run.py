"""The results that a run of the command keeps until its end."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from napari_sam2.errors import StoreError, StoreInUseError
from napari_sam2.labels.store.result_store import UNFINISHED, ChangedFrame, ResultStore
from napari_sam2.segmentation.kept_run import KeptRun
from napari_sam2.segmentation.result_files import ResultFiles
from napari_sam2.types import TrackFormat
from napari_sam2.widgets.autosave.locations import beside


def work_in(folder: Path) -> Path:
    """Keep one frame, as the window and scripts do."""
    store = ResultStore(folder, (2, 8, 9), np.dtype(np.uint16), {"fingerprint": ["a"]})
    store.commit(dict, [], [ChangedFrame(0, np.ones((8, 9), np.uint16))])
    store.close()
    return folder


def kept(folder: Path, session: Path | None = None) -> KeptRun:
    """Return a run that has kept one frame."""
    work_in(folder)
    (folder / UNFINISHED).touch()
    return KeptRun(folder, through=False, session=session)


def begin(run: KeptRun, resume: bool | None = None) -> None:
    """Begin a run; model, stack and settings are looked at only where one goes on."""
    run.begin(resume, None, None, None, "0")  # type: ignore[arg-type]


def files_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_finished_run_deletes_its_folder(tmp_path):
    run = kept(tmp_path / "labels.sam2.zarr")
    run.finish()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("resume", [None, False, True])
@pytest.mark.parametrize("session", [None, "cells.sam2.json", "cells.json"])
def test_work_of_the_window_is_never_deleted(tmp_path, session, resume):
    folder = work_in(tmp_path / "cells.sam2.zarr")
    (tmp_path / "cells.sam2.json").write_text("{}")
    before = files_in(tmp_path)
    with pytest.raises(StoreError, match="has not done"):
        begin(KeptRun(folder, False, None if session is None else tmp_path / session), resume)
    assert files_in(tmp_path) == before


def test_labels_beside_the_image_keep_nothing_where_the_window_does(tmp_path):
    work = beside(str(tmp_path / "cells.tif")).results(())
    for name in ("cells.tif", "cells.ome.tif", "cells.zarr", "cells.nii.gz"):
        assert KeptRun.of(tmp_path / name, None, through=False).folder != work


def test_a_session_is_written_again_unless_someone_has_gone_on_with_it(tmp_path):
    session = tmp_path / "cells.sam2.json"
    run = KeptRun.of(tmp_path / "cells.tif", session, through=False)
    kept(run.folder)
    session.write_text("{}")
    run.finish()
    begin(run)
    assert list(run.folder.iterdir()) == [run.folder / UNFINISHED]
    work_in(run.folder)
    run.finish()
    session.write_text("{ }")
    with pytest.raises(StoreError, match="has not done"):
        begin(run, resume=False)
    with pytest.raises(StoreError, match="has not done"):
        begin(KeptRun(run.folder, through=False))


def test_what_a_running_command_keeps_is_not_deleted_by_another(tmp_path):
    run = kept(tmp_path / "labels.tif.sam2.zarr")
    store = ResultStore(run.folder, (2, 8, 9), np.dtype(np.uint16), {})
    with pytest.raises(StoreInUseError):
        begin(run, resume=False)
    store.close()
    begin(run, resume=False)


def test_the_end_of_a_run_that_is_interrupted_leaves_nothing_to_go_on_with(tmp_path, monkeypatch):
    """Else a run with --resume would take chunks that are deleted for empty frames."""
    run = kept(tmp_path / "labels.sam2.zarr")

    def interrupted(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.finish()
    monkeypatch.undo()
    assert not run.folder.exists()


@pytest.mark.parametrize("resume", [None, False, True])
def test_a_folder_with_something_else_stays(tmp_path, resume):
    folder = KeptRun.of(tmp_path / "labels.tif", None, through=False).folder
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(StoreError, match="something else"):
        begin(KeptRun(folder, through=False), resume)
    assert (folder / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("name", ["a.ome.tif", "a.OME.TIF", "a.nii.gz", "a.zarr"])
def test_all_files_beside_labels_have_their_name_without_suffix(tmp_path, name):
    files = ResultFiles.beside(tmp_path / name, [TrackFormat.GEFF], measure=True)
    written = (files.table, *(path for _, path in files.tracks))
    assert [path.name.removeprefix("a") for path in written] == [".csv", ".geff.zarr"]
