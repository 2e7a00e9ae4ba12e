"""Ctrl-C reaches stacks in other processes: they stop between two frames, and can go on."""

from __future__ import annotations

from contextlib import closing

import pytest
from batches import Recorder, do_batch

from napari_sam2.batch.engine import BatchEngine
from napari_sam2.batch.executor_choice import choose_executor
from napari_sam2.batch.plan import BatchInputs
from napari_sam2.batch.status import StackState, read_status

pytest.importorskip("distributed")


@pytest.mark.parametrize(
    "engine", [BatchEngine("cpu", workers=2), BatchEngine("cpu", workers=1, cluster="local")]
)
@pytest.mark.usefixtures("forked_workers")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of connections that Dask closes late
def test_stacks_in_other_processes_stop_between_two_frames(stacks, clicks, tmp_path, engine):
    inputs = BatchInputs(stacks("a", "b", "c", frames=200), tmp_path / "out", prompts=clicks)
    recorder = Recorder(lambda seen: bool(seen.results))
    with closing(choose_executor(engine, "run", 3)) as executor:
        result = do_batch(inputs, recorder, executor=executor)
    assert result.stopped
    assert not result.failed
    states = {status.name: status.state for status in result.statuses}
    assert states["a"] is StackState.STOPPED
    assert states["c"] is StackState.WAITING
    status = read_status(inputs.output / "a.status.json")
    assert status.state is StackState.STOPPED
    assert status.frames < 200
    assert not list(inputs.output.glob("*.tif"))
    assert (inputs.output / "a.tif.sam2.zarr").is_dir()
    assert not (inputs.output / ".claims").exists()
