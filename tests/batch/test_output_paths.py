"""A batch writes over nothing but what a batch has written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from napari_sam2.batch.plan import BatchInputs, BatchPlan, plan_batch
from napari_sam2.batch.run import prepare
from napari_sam2.batch.status import StackState, StackStatus, read_status, write_status
from napari_sam2.errors import BatchError
from napari_sam2.segmentation.stack_job import SegmentOptions

ROWS = "frame,object,kind,y,x\n1,1,point,20,21\n"
AUTO = SegmentOptions(auto=True)


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ROWS, encoding="utf-8")
    return folder


def begin(inputs: BatchInputs, *, resume: bool = False, overwrite: bool = False) -> BatchPlan:
    return prepare(plan_batch(inputs), resume=resume, overwrite=overwrite, part=False)


def state_of(folder: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


@pytest.fixture
def movies(tmp_path: Path) -> Path:
    return files(tmp_path / "movies", "a.tif", "b.tif")


def test_prompts_are_never_written_over(tmp_path, movies):
    out = files(tmp_path / "out", "a.csv", "b.csv")
    before = state_of(tmp_path)
    inputs = BatchInputs(movies, out, sessions=out)
    plan_batch(inputs)
    with pytest.raises(BatchError, match=r"a\.csv, which this batch reads"):
        plan_batch(replace(inputs, options=SegmentOptions(measure=True)))
    assert state_of(tmp_path) == before


def test_the_labels_of_a_session_are_never_written_over(tmp_path, movies):
    out = files(tmp_path / "out", "a.tif.sam2.json", "a.tif.sam2.zarr/x")
    with pytest.raises(BatchError, match=r"a\.tif\.sam2\.zarr, which this batch reads"):
        plan_batch(BatchInputs(movies, out, prompts=out / "a.tif.sam2.json"))


def test_stacks_are_never_written_over(tmp_path, movies):
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.tif").symlink_to(movies / "a.tif")
    with pytest.raises(BatchError, match="stack a would be written"):
        plan_batch(BatchInputs(movies, out, options=AUTO))
    inside = files(tmp_path / "plates", "a.zarr/zarr.json")
    with pytest.raises(BatchError, match="which this batch reads"):
        plan_batch(BatchInputs(inside, inside / "a.zarr" / "out", "*.zarr", options=AUTO))


def test_a_table_of_many_stacks_is_never_written_over(tmp_path, movies):
    table = tmp_path / "out" / "a.prompts.csv"
    table.parent.mkdir()
    table.write_text("stack,frame,object,kind,y,x\na,1,1,point,20,21\n", encoding="utf-8")
    with pytest.raises(BatchError, match=r"a\.prompts\.csv, which this batch reads"):
        plan_batch(BatchInputs(movies, table.parent, prompts=table))


def test_two_stacks_with_one_output_are_refused(tmp_path):
    folder = files(tmp_path / "in", "a.csv.tif", "a.prompts.tif", "a.tif")
    table = files(tmp_path, "all.csv") / "all.csv"
    table.write_text("stack,frame,object,kind,y,x\na,1,1,point,20,21\n", encoding="utf-8")
    inputs = BatchInputs(folder, tmp_path / "out", prompts=table)
    plan_batch(inputs)
    with pytest.raises(BatchError, match="would both write"):
        plan_batch(replace(inputs, options=SegmentOptions(measure=True)))


@pytest.mark.parametrize("choice", [{}, {"resume": True}, {"overwrite": True}])
@pytest.mark.parametrize("name", ["a.tif", "a.csv", "a.tif.sam2.zarr/x"])
def test_files_of_others_are_refused(tmp_path, movies, name, choice):
    out = files(tmp_path / "out", name)
    before = state_of(tmp_path)
    options = SegmentOptions(auto=True, measure=True)
    with pytest.raises(BatchError, match="no status file says") as raised:
        begin(BatchInputs(movies, out, options=options), **choice)
    assert "--resume" not in str(raised.value)
    assert state_of(tmp_path) == before


def test_a_status_that_does_not_name_a_file_does_not_make_it_ours(tmp_path, movies):
    out = files(tmp_path / "out", "a.tif", "a.csv")
    done = StackStatus("a", StackState.DONE, outputs=("a.tif",))
    write_status(out / "a.status.json", done)
    inputs = BatchInputs(movies, out, options=AUTO)
    begin(inputs, resume=True)
    with pytest.raises(BatchError, match=r"a\.csv is there already"):
        begin(replace(inputs, options=SegmentOptions(auto=True, measure=True)), resume=True)


def test_a_folder_of_others_gets_no_advice_to_resume(tmp_path, movies):
    out = files(tmp_path / "out", "notes.txt")
    inputs = BatchInputs(movies, out, options=AUTO)
    with pytest.raises(BatchError, match="not from a batch") as raised:
        begin(inputs)
    assert "--resume" not in str(raised.value)
    write_status(out / "a.status.json", StackStatus("a"))
    with pytest.raises(BatchError, match="--resume"):
        begin(inputs)


def test_what_is_to_be_replaced_stays_known_as_ours(tmp_path, movies):
    out = files(tmp_path / "out", "a.tif")
    write_status(out / "a.status.json", StackStatus("a", StackState.DONE, outputs=("a.tif",)))
    inputs = BatchInputs(movies, out, options=AUTO)
    begin(inputs, overwrite=True)  # and the process ends before it has begun the stack
    begin(inputs, resume=True)
    forgotten = read_status(out / "a.status.json")
    assert forgotten == StackStatus("a", written=("a.tif",))


def test_a_status_of_an_earlier_version_is_read(tmp_path):
    path = tmp_path / "a.status.json"
    write_status(path, StackStatus("a", StackState.DONE, outputs=("a.tif",)))
    content = json.loads(path.read_text(encoding="utf-8"))
    del content["written"]
    path.write_text(json.dumps(content), encoding="utf-8")
    assert read_status(path) == StackStatus("a", StackState.DONE, outputs=("a.tif",))


def test_the_folder_of_results_may_hold_that_of_the_stacks(tmp_path):
    folder = files(tmp_path / "proj" / "day1", "a.tif")
    (task,) = plan_batch(BatchInputs(folder, tmp_path / "proj", options=AUTO)).tasks
    assert (task.stack, task.labels) == (folder / "a.tif", tmp_path / "proj" / "a.tif")
