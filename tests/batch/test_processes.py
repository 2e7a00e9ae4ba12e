"""Stacks in spawned processes, one of which is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import closing

import forked
import pytest
from batches import Recorder, do_batch, do_in_two_processes, kill_once, labels_of

from napari_sam2.batch.engine import BatchEngine
from napari_sam2.batch.executor_choice import choose_executor
from napari_sam2.batch.executors import InProcess
from napari_sam2.batch.plan import BatchInputs
from napari_sam2.batch.processes import Processes
from napari_sam2.batch.status import StackState, read_status
from napari_sam2.errors import BatchError


def test_a_new_python_does_a_stack(stacks, clicks, tmp_path):
    inputs = BatchInputs(stacks("a", frames=2), tmp_path / "out", prompts=clicks)
    with closing(Processes(("cpu",), "run")) as executor:
        (status,) = do_batch(inputs, executor=executor).statuses
    assert status.state is StackState.DONE
    assert status.pid != os.getpid()
    here = BatchInputs(inputs.folder, tmp_path / "here", prompts=clicks)
    assert not do_batch(here).failed
    assert labels_of(inputs.output) == labels_of(here.output)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_loses_no_frame_and_no_stack(
    stacks, clicks, tmp_path, unbroken, forked_workers
):
    inputs = BatchInputs(
        stacks(*unbroken.names, frames=unbroken.frames), tmp_path / "out", prompts=clicks
    )
    killed: list[int] = []
    recorder = Recorder(seen=kill_once(inputs, killed))
    with closing(Processes(("cpu", "cpu"), "run")) as executor:
        result = do_batch(inputs, recorder, retries=1, executor=executor)
    assert killed
    assert {status.state for status in result.statuses} == {StackState.DONE}
    (lost,) = [status for status in recorder.done if status.state is StackState.FAILED]
    assert lost.error.kind == "WorkerLost"
    assert str(-signal.SIGKILL) in lost.error.message
    (again,) = [each for each in result.statuses if each.name == lost.name]
    assert again.attempts == 2
    assert len({status.pid for status in result.statuses}) > 1
    assert labels_of(inputs.output) == unbroken.labels


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_processes_stop_between_two_frames_when_their_parent_is_killed(stacks, clicks, tmp_path):
    folder, out = stacks("a", "b", frames=300), tmp_path / "out"
    parent = forked.start(do_in_two_processes, folder, out, clicks)
    status = out / "a.status.json"
    end = time.monotonic() + 300
    while (found := read_status(status)) is None and time.monotonic() < end:
        time.sleep(0.05)
    assert found is not None
    parent.kill()
    parent.join()
    while read_status(status).state is StackState.RUNNING and time.monotonic() < end:
        time.sleep(0.05)
    assert read_status(status).state is StackState.STOPPED
    assert not (out / "a.tif").exists()


def test_the_engine_takes_processes_only_where_there_are_several():
    assert isinstance(choose_executor(BatchEngine("cpu"), "run", 9), InProcess)
    assert isinstance(choose_executor(BatchEngine("cpu", workers=4), "run", 1), InProcess)
    assert isinstance(choose_executor(BatchEngine("cpu", workers=2), "run", 9), Processes)
    assert BatchEngine("cuda:0,cuda:1", workers=3).process_devices == ("cuda:0", "cuda:1", "cuda:0")
    assert BatchEngine("cuda:0, cuda:1").process_devices == ("cuda:0", "cuda:1")


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (BatchEngine(","), "No device"),
        (BatchEngine(directives=("--gres=gpu:1",)), "--slurm-directive"),
        (BatchEngine(cluster="somewhere"), "no cluster"),
        (BatchEngine("cuda:0,cuda:1", cluster="tcp://host:8786"), "Several devices"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(engine, message):
    with pytest.raises(BatchError, match=message):
        choose_executor(engine, "run", 2)
