"""Stacks in spawned processes, one of which is killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import closing

import psutil
import pytest
from batches import Recorder, do_batch, labels_of

from napari_sam2.batch.engine import BatchEngine
from napari_sam2.batch.executor_choice import choose_executor
from napari_sam2.batch.executors import InProcess
from napari_sam2.batch.plan import BatchInputs
from napari_sam2.batch.processes import Processes
from napari_sam2.batch.status import StackState, read_status
from napari_sam2.errors import BatchError


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_loses_no_frame_and_no_stack(stacks, clicks, tmp_path):
    folder = stacks("a", "b", "c", frames=8)
    inputs = BatchInputs(folder, tmp_path / "out", prompts=clicks)
    killed = []

    def kill(name, done):
        """Kill the first process that has some frames of its stack on disk."""
        store = inputs.output / f"{name}.tif.sam2.zarr"
        if not killed and done >= 3 and any(store.rglob("commit-*")):
            killed.append(read_status(inputs.output / f"{name}.status.json").pid)
            os.kill(killed[0], signal.SIGKILL)

    whole = BatchInputs(folder, tmp_path / "whole", prompts=clicks)
    recorder = Recorder(seen=kill)
    with closing(Processes(("cpu", "cpu"), "run")) as executor:
        result = do_batch(inputs, recorder, retries=1, executor=executor)
        assert not do_batch(whole, executor=executor).failed
    assert killed
    assert {status.state for status in result.statuses} == {StackState.DONE}
    (lost,) = [status for status in recorder.done if status.state is StackState.FAILED]
    assert lost.error.kind == "WorkerLost"
    assert str(-signal.SIGKILL) in lost.error.message
    (again,) = [each for each in result.statuses if each.name == lost.name]
    assert again.attempts == 2
    assert len({status.pid for status in result.statuses}) > 1
    assert labels_of(inputs.output) == labels_of(whole.output)


_PARENT = """
import sys
from contextlib import closing
from pathlib import Path
from batches import Recorder, do_batch
from napari_sam2.batch.plan import BatchInputs
from napari_sam2.batch.processes import Processes

if __name__ == "__main__":
    folder, out, clicks = map(Path, sys.argv[1:])
    inputs = BatchInputs(folder, out, prompts=clicks)
    with closing(Processes(("cpu", "cpu"), "run")) as executor:
        do_batch(inputs, executor=executor)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_processes_stop_between_two_frames_when_their_parent_is_killed(stacks, clicks, tmp_path):
    folder, out = stacks("a", "b", frames=300), tmp_path / "out"
    script = tmp_path / "parent.py"
    script.write_text(_PARENT, encoding="utf-8")
    parent = psutil.Popen(
        [sys.executable, script, folder, out, clicks],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    status = out / "a.status.json"
    end = time.monotonic() + 300
    while (found := read_status(status)) is None and time.monotonic() < end:
        time.sleep(0.05)
    assert found is not None
    parent.kill()
    parent.wait()
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
