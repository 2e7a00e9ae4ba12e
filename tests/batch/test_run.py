"""A folder of stacks becomes labels, whatever happens to single ones."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from batches import Recorder, do_batch, labels_of

from napari_sam2.batch.claims import take_claim
from napari_sam2.batch.plan import CLAIMS, BatchInputs, plan_batch
from napari_sam2.batch.report import describe_plan, describe_result, result_values
from napari_sam2.batch.run import known_status, prepare
from napari_sam2.batch.stack_worker import note_loss
from napari_sam2.batch.status import StackState, read_status, write_status
from napari_sam2.errors import BatchError
from napari_sam2.segmentation.stack_job import SegmentOptions
from napari_sam2.types import TrackFormat

DONE, FAILED, STOPPED = StackState.DONE, StackState.FAILED, StackState.STOPPED


def states(result) -> dict[str, StackState]:
    return {status.name: status.state for status in result.statuses}


def test_bad_stacks_fail_and_the_others_are_done(stacks, tmp_path):
    folder, out = stacks("good", "damaged", "small", "unprompted"), tmp_path / "out"
    whole = (folder / "damaged.tif").read_bytes()
    (folder / "damaged.tif").write_bytes(whole[: len(whole) // 8])
    tifffile.imwrite(folder / "small.tif", np.zeros((3, 16, 16), np.uint8))
    table = tmp_path / "all.csv"
    rows = [f"{name}.tif,1,1,point,44,45" for name in ("good", "damaged", "small")]
    table.write_text("\n".join(["stack,frame,object,kind,y,x", *rows, ""]), encoding="utf-8")
    options = SegmentOptions(measure=True, tracks=(TrackFormat.TRACKMATE,))
    inputs = BatchInputs(folder, out, prompts=table, options=options)
    result = do_batch(inputs, retries=1)
    assert states(result) == {
        "damaged": FAILED,
        "good": DONE,
        "small": FAILED,
        "unprompted": FAILED,
    }
    assert result.failed
    by_name = {status.name: status for status in result.statuses}
    assert {by_name[name].attempts for name in ("damaged", "small", "unprompted")} == {2}
    assert by_name["damaged"].error.kind == "StackError"
    assert by_name["small"].error.kind == "PromptError"
    assert "no row for the stack unprompted" in by_name["unprompted"].error.message
    assert "Traceback" in by_name["small"].error.traceback
    for status in result.statuses:
        assert read_status(out / f"{status.name}.status.json") == status
    assert sorted(labels_of(out)) == ["good.tif"]
    assert (out / "good.csv").exists()
    assert (out / "good.trackmate.xml").exists()
    assert not (out / CLAIMS).exists()
    text = describe_result(result)
    assert "1 done, 3 failed of 4 stacks" in text
    assert "(2 attempts)" in text
    assert result_values(result)["counts"]["failed"] == 3

    (folder / "damaged.tif").write_bytes(whole)
    shown = describe_plan(plan_batch(inputs))
    assert "done already" in shown
    assert "would fail" in shown
    recorder = Recorder()
    again = do_batch(inputs, recorder, resume=True)
    assert recorder.before == ["good"]
    assert sorted(status.name for status in recorder.done) == ["damaged", "small", "unprompted"]
    assert states(again)["damaged"] == DONE


def test_a_stopped_batch_goes_on_to_the_same_labels(stacks, clicks, tmp_path):
    folder = stacks("a", "b", frames=6)
    whole = BatchInputs(folder, tmp_path / "whole", prompts=clicks)
    assert not do_batch(whole).failed
    inputs = replace(whole, output=tmp_path / "out")
    recorder = Recorder(lambda seen: len(seen.results) >= 3)
    result = do_batch(inputs, recorder)
    assert states(result) == {"a": STOPPED, "b": StackState.WAITING}
    assert result.stopped
    assert len(recorder.results) == 3
    assert labels_of(inputs.output) == {}
    assert (inputs.output / "a.tif.sam2.zarr").is_dir()
    later = Recorder()
    assert not do_batch(inputs, later, resume=True).failed
    assert sum(name == "a" for name, _ in later.results) < 6
    assert labels_of(inputs.output) == labels_of(whole.output)
    assert not (inputs.output / "a.tif.sam2.zarr").exists()


def test_other_prompts_are_done_again_and_others_are_not(stacks, clicks, tmp_path):
    folder = stacks("a", "b", frames=2)
    table = tmp_path / "all.csv"
    rows = "stack,frame,object,kind,y,x\na,1,1,point,20,21\nb,1,1,point,20,21\n"
    table.write_text(rows, encoding="utf-8")
    inputs = BatchInputs(folder, tmp_path / "out", prompts=table)
    assert not do_batch(inputs).failed
    first = labels_of(inputs.output)
    table.write_text(rows + "b,1,2,point,44,45\n", encoding="utf-8")
    recorder = Recorder()
    do_batch(inputs, recorder, resume=True)
    assert recorder.before == ["a"]
    second = labels_of(inputs.output)
    assert second["a.tif"] == first["a.tif"]
    assert set(np.unique(tifffile.imread(inputs.output / "b.tif"))) == {0, 1, 2}
    # Deleted labels are made again, whatever the status says.
    (inputs.output / "a.tif").unlink()
    do_batch(inputs, resume=True)
    assert labels_of(inputs.output) == second


def test_a_failure_and_other_options_leave_results_known_as_ours(stacks, clicks, tmp_path):
    inputs = BatchInputs(stacks("a", frames=2), tmp_path / "out", prompts=clicks)
    assert not do_batch(inputs).failed
    whole = clicks.read_text(encoding="utf-8")
    clicks.write_text(whole.replace("20,21", "900,21"), encoding="utf-8")
    assert states(do_batch(inputs, resume=True)) == {"a": FAILED}
    clicks.write_text(whole, encoding="utf-8")
    other = replace(inputs, suffix=".ome.tif")
    for each in (inputs, other, inputs):
        assert states(do_batch(each, resume=True)) == {"a": DONE}
    status = read_status(inputs.output / "a.status.json")
    assert (status.outputs, set(status.written)) == (("a.tif",), {"a.tif", "a.ome.tif"})


def test_a_session_gives_settings_and_prompts_to_every_stack(stacks, tmp_path):
    from napari_sam2 import TrackingSession, TrackingSettings, load_model

    folder = stacks("a", "b", frames=2)
    image = tifffile.imread(folder / "a.tif")
    settings = TrackingSettings(speed="fastest")
    session = TrackingSession(load_model(device="cpu"), image, settings=settings)
    session.add_points(3, 1, [(20, 21)])
    session.save(tmp_path / "recipe.sam2.json")
    inputs = BatchInputs(folder, tmp_path / "out", prompts=tmp_path / "recipe.sam2.json")
    result = do_batch(inputs)
    assert set(states(result).values()) == {DONE}
    for status in result.statuses:
        assert set(np.unique(tifffile.imread(inputs.output / f"{status.name}.tif"))) == {0, 3}
        assert any("recipe.sam2.json" in note for note in status.notes)


def test_objects_are_found_without_prompts(stacks, tmp_path):
    inputs = BatchInputs(stacks("a", frames=2), tmp_path / "out", options=SegmentOptions(auto=True))
    (status,) = do_batch(inputs).statuses
    assert status.state is DONE
    assert status.objects >= 1


@pytest.mark.parametrize("every", [None, 1])
def test_a_stack_without_objects_is_done(tmp_path, every):
    noise = np.random.default_rng(0).normal(20, 3, (2, 64, 64)).clip(0, 255).astype(np.uint8)
    folder, out = tmp_path / "plate", tmp_path / "out"
    folder.mkdir()
    tifffile.imwrite(folder / "empty.tif", noise, metadata={"axes": "TYX"})
    tracks = (TrackFormat.CTC, TrackFormat.GEFF, TrackFormat.TRACKMATE)
    options = SegmentOptions(auto=True, every=every, measure=True, tracks=tracks)
    result = do_batch(BatchInputs(folder, out, options=options))
    (status,) = result.statuses
    assert (status.state, status.objects, status.error) == (DONE, 0, None)
    assert "No object was found." in status.notes
    assert "no object was found" in describe_result(result)
    assert not tifffile.imread(out / "empty.tif").any()
    rows = (out / "empty.csv").read_text(encoding="utf-8").splitlines()
    assert sum(not row.startswith("#") for row in rows) == 1  # the names of the columns
    assert do_batch(BatchInputs(folder, out, options=options), resume=True).statuses == (status,)


def test_what_another_process_does_is_not_done_here(stacks, clicks, tmp_path):
    inputs = BatchInputs(stacks("a", "b", frames=2), tmp_path / "out", prompts=clicks)
    with take_claim(inputs.output / CLAIMS, "a", "another"):
        result = do_batch(inputs, resume=True)
    assert states(result) == {"a": StackState.ELSEWHERE, "b": DONE}
    assert not result.failed
    assert "1 elsewhere" in describe_result(result)


def test_what_another_process_has_tried_meanwhile_is_not_tried_here(stacks, clicks, tmp_path):
    inputs = BatchInputs(stacks("a", "b", frames=2), tmp_path / "out", prompts=clicks)
    plan = plan_batch(inputs)

    def fail_elsewhere(name, done):  # while b has not begun
        b = plan.tasks[1]
        if name == "a":
            write_status(b.status, replace(known_status(b), state=FAILED, key=b.key(), attempt="x"))

    result = do_batch(inputs, Recorder(seen=fail_elsewhere), resume=True, retries=0)
    assert states(result) == {"a": DONE, "b": FAILED}
    assert result.statuses[1].attempt == "x"
    # What had failed before this batch began is tried.
    assert states(do_batch(inputs, resume=True)) == {"a": DONE, "b": DONE}


def test_results_are_kept_unless_it_is_said_what_becomes_of_them(stacks, clicks, tmp_path):
    inputs = BatchInputs(stacks("a", frames=2), tmp_path / "out", prompts=clicks)
    inputs.output.mkdir()
    plan = prepare(plan_batch(inputs), resume=False, overwrite=False, part=False)  # it is empty
    with pytest.raises(BatchError, match="0 of 1 stacks done"):
        prepare(plan, resume=False, overwrite=False, part=False)
    status = replace(known_status(plan.tasks[0]), state=STOPPED, key=plan.tasks[0].key())
    write_status(plan.tasks[0].status, status)
    with take_claim(inputs.output / CLAIMS, "a", "another"):
        with pytest.raises(BatchError, match="at work on a"):
            prepare(plan, resume=False, overwrite=True, part=False)
        assert read_status(plan.tasks[0].status) == status
    prepare(plan, resume=True, overwrite=False, part=False)
    assert known_status(plan.tasks[0]) == status
    prepare(plan, resume=False, overwrite=True, part=False)
    assert known_status(plan.tasks[0]).state is StackState.WAITING


def test_a_worker_that_was_lost_after_its_work_has_done_it(stacks, clicks, tmp_path):
    inputs = BatchInputs(stacks("a", frames=2), tmp_path / "out", prompts=clicks)
    (task,) = plan_batch(inputs).tasks
    lost = note_loss(task, "run", "killed")
    assert (lost.state, lost.error.message) == (FAILED, "killed")
    done = replace(lost, state=DONE, error=None)
    write_status(task.status, done)
    assert note_loss(task, "run", "killed") == done


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 300 kB, and a function that makes it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)]
    run = partial(subprocess.run, check=False, capture_output=True)
    if mount is None or run([mount, *options]).returncode:
        pytest.skip("this user may not mount a file system")

    def enlarge():
        subprocess.run([mount, "-o", "remount,size=64m", str(disk)], check=True)

    yield disk, enlarge
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs is Linux's")
@pytest.mark.filterwarnings("ignore:The results")  # that the store cannot be written
def test_a_disk_that_fills_fails_the_stack_and_loses_nothing(stacks, clicks, small_disk, tmp_path):
    disk, enlarge = small_disk
    folder = stacks("a", "b", frames=4)
    inputs = BatchInputs(folder, disk / "out", prompts=clicks)
    (disk / "other").write_bytes(bytes(250_000))
    result = do_batch(inputs)
    assert set(states(result).values()) == {FAILED}
    assert all("No space left" in status.error.message for status in result.statuses)
    assert labels_of(inputs.output) == {}
    enlarge()
    assert not do_batch(inputs, resume=True).failed
    whole = replace(inputs, output=tmp_path / "whole")
    do_batch(whole)
    assert labels_of(inputs.output) == labels_of(whole.output)
