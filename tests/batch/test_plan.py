"""Which stacks there are, with which prompts, and what makes them be done again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.batch.plan import BatchInputs, BatchPlan, Part, plan_batch
from napari_sam2.batch.stack_task import StackTask
from napari_sam2.errors import BatchError, PromptError
from napari_sam2.segmentation.stack_job import SegmentOptions
from napari_sam2.types import Speed, TrackFormat

AUTO = SegmentOptions(auto=True)
CLICKS = "frame,object,kind,y,x\n1,1,point,20,21\n"


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def names(plan: BatchPlan) -> list[str]:
    return [task.name for task in plan.tasks]


def test_stacks_are_found_by_a_pattern_in_their_order(tmp_path):
    folder = files(tmp_path / "in", "b.tif", "a.tif", "c.ome.tif", "d.npy", "sub/e.tif", ".f.tif")
    inputs = BatchInputs(folder, tmp_path / "out", options=AUTO)
    assert names(plan_batch(inputs)) == ["a", "b", "c"]
    deep = plan_batch(replace(inputs, pattern="**/*.tif"))
    assert names(deep) == ["a", "b", "c", "sub/e"]
    assert deep.tasks[-1].labels == tmp_path / "out" / "sub" / "e.tif"
    assert deep.tasks[-1].status == tmp_path / "out" / "sub" / "e.status.json"


def test_a_zarr_is_one_stack_and_results_are_none(tmp_path):
    folder = files(
        tmp_path / "in",
        "a.zarr/0/c/0.tif",
        "out/a.tif",
        "x.sam2.zarr/labels/zarr.json",
        "b.zarr/zarr.json",
    )
    inputs = BatchInputs(folder, folder / "out", "**/*.zarr", options=AUTO)
    assert names(plan_batch(inputs)) == ["a", "b"]
    with pytest.raises(BatchError, match="No file"):
        plan_batch(replace(inputs, pattern="**/*.tif"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"folder": Path("nowhere")}, "no folder"),
        ({"pattern": "*.nd2"}, "No file"),
        ({"pattern": "/abs/*"}, "no pattern"),
        ({"suffix": ".png"}, "cannot be written"),
        ({"options": SegmentOptions()}, "Nothing says"),
        ({"prompts": Path("nowhere.csv")}, "no file"),
        ({"sessions": Path("nowhere")}, "no folder"),
    ],
)
def test_what_cannot_be_meant_is_said(tmp_path, change, message):
    folder = files(tmp_path / "in", "a.tif")
    inputs = BatchInputs(folder, tmp_path / "out", options=AUTO)
    with pytest.raises(BatchError, match=message):
        plan_batch(replace(inputs, **change))


def test_results_are_never_written_among_the_stacks(tmp_path):
    folder = files(tmp_path / "in", "a.tif")
    with pytest.raises(BatchError, match="where the stacks are"):
        plan_batch(BatchInputs(folder, folder / ".", options=AUTO))


def test_two_stacks_of_one_name_are_refused(tmp_path):
    folder = files(tmp_path / "in", "a.tif", "a.ome.tif")
    with pytest.raises(BatchError, match="both give a"):
        plan_batch(BatchInputs(folder, tmp_path / "out", options=AUTO))


def test_a_table_without_the_column_is_for_every_stack(tmp_path, clicks):
    folder = files(tmp_path / "in", "a.tif", "b.tif")
    plan = plan_batch(BatchInputs(folder, tmp_path / "out", prompts=clicks))
    assert [task.prompts for task in plan.tasks] == [clicks, clicks]
    assert [task.trouble() for task in plan.tasks] == [None, None]


def test_a_table_with_the_column_gives_each_stack_its_rows(tmp_path):
    folder = files(tmp_path / "in", "a.tif", "b.tif", "sub/c.tif", "d.tif")
    table = tmp_path / "all.csv"
    table.write_text(
        "object;Stack;frame;kind;y;x\n1;a.tif;0;point;1;2\n1;c;0;point;3;4\n2;a;1;point;5;6\n"
        "1;sub/c.tif;9;point;7;8\n1;b;0;point;1;1\n",
        encoding="utf-8",
    )
    plan = plan_batch(BatchInputs(folder, tmp_path / "out", "**/*.tif", prompts=table))
    a, _, d, c = plan.tasks
    assert a.rows == "object,frame,kind,y,x\n1,0,point,1,2\n2,1,point,5,6\n"
    assert c.rows == "object,frame,kind,y,x\n1,0,point,3,4\n1,9,point,7,8\n"
    assert d.name == "d"
    assert "no row for the stack d" in str(d.trouble())
    a.write_rows()
    assert (tmp_path / "out" / "a.prompts.csv").read_text(encoding="utf-8") == a.rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stack,frame\nz.tif,1\n", "z.tif"),
        ("stack,frame\n,1\n", "Line 2"),
        ('stack,frame\n"a,1\n', "CSV"),
    ],
)
def test_a_table_that_cannot_be_meant_is_said(tmp_path, text, message):
    folder = files(tmp_path / "in", "a.tif")
    table = tmp_path / "all.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(PromptError, match=message):
        plan_batch(BatchInputs(folder, tmp_path / "out", prompts=table))


def test_sessions_are_found_as_the_window_names_them(tmp_path):
    folder = files(tmp_path / "in", "a.tif", "b.tif", "c.tif", "d.tif")
    files(folder, "a.sam2.json", "c.0=2.sam2.json", "d.0=1.sam2.json", "d.0=2.sam2.json")
    plan = plan_batch(BatchInputs(folder, tmp_path / "out", sessions=folder))
    found = {task.name: task.prompts.name for task in plan.tasks}
    assert found["a"] == "a.sam2.json"
    assert found["c"] == "c.0=2.sam2.json"
    troubles = {task.name: str(task.trouble()) for task in plan.tasks if task.trouble()}
    assert set(troubles) == {"b", "d"}
    assert "b.sam2.json" in troubles["b"]


def task_of(tmp_path: Path, **changes: object) -> StackTask:
    folder = files(tmp_path / "in", "a.tif") if not (tmp_path / "in").exists() else tmp_path / "in"
    table = tmp_path / "clicks.csv"
    if not table.exists():
        table.write_text(CLICKS, encoding="utf-8")
    inputs = BatchInputs(folder, tmp_path / "out", prompts=table)
    return plan_batch(replace(inputs, **changes)).tasks[0]


def test_the_key_changes_with_all_that_the_result_depends_on(tmp_path):
    keys = [task_of(tmp_path).key()]
    assert task_of(tmp_path).key() == keys[0]
    others = (
        SegmentOptions(model="sam2.1-tiny"),
        SegmentOptions(speed=Speed.FASTEST),
        SegmentOptions(tracks=(TrackFormat.CTC,)),
        SegmentOptions(region="0:9,0:9"),
    )
    keys += [task_of(tmp_path, options=options).key() for options in others]
    keys.append(task_of(tmp_path, suffix=".zarr").key())
    stack, table = tmp_path / "in" / "a.tif", tmp_path / "clicks.csv"
    os.utime(stack, (1, 1))
    keys.append(task_of(tmp_path).key())
    stack.write_bytes(b"another")
    os.utime(stack, (1, 1))
    keys.append(task_of(tmp_path).key())
    table.write_text(CLICKS + "2,3,point,1,1\n", encoding="utf-8")
    keys.append(task_of(tmp_path).key())
    assert len(set(keys)) == len(keys)


def test_the_key_of_a_folder_changes_with_any_file_in_it(tmp_path):
    folder = files(tmp_path / "in", "a.zarr/zarr.json", "a.zarr/c/0/0")
    task = plan_batch(BatchInputs(folder, tmp_path / "out", "*.zarr", options=AUTO)).tasks[0]
    first = task.key()
    os.utime(folder / "a.zarr" / "c" / "0" / "0", (1, 1))
    assert task.key() != first


def test_outputs_are_named_after_the_stack(tmp_path):
    options = SegmentOptions(tracks=(TrackFormat.CTC, TrackFormat.GEFF), measure=True)
    outputs = task_of(tmp_path, options=options).outputs
    assert outputs == ("a.tif", "a_RES", "a.geff.zarr", "a.csv")


@given(stacks=st.integers(1, 60), parts=st.integers(1, 70))
def test_parts_are_disjoint_and_together_all(stacks, parts):
    tasks = tuple(
        StackTask(str(n), Path(str(n)), None, None, Path("out"), ".tif", AUTO)
        for n in range(stacks)
    )
    plan = BatchPlan(Path("out"), tasks)
    found = [plan.part(Part.read(f"{n}/{parts}")) for n in range(1, parts + 1)]
    together = [task.name for part in found for task in part.tasks]
    assert sorted(together) == sorted(names(plan))
    sizes = [len(part.tasks) for part in found]
    assert max(sizes) - min(sizes) <= 1
    assert not any(task.claimed for part in found for task in part.tasks)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "-1/3", "1/0", ""])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(BatchError, match="no part"):
        Part.read(text)
