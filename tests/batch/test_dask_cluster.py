"""Dask does the stacks: workers and schedulers that are killed, and jobs of SLURM."""

from __future__ import annotations

import os
import socket
import stat
import sys
import time
from contextlib import closing
from pathlib import Path

import forked
import pytest
from batches import Recorder, do_batch, kill_once, labels_of
from command_jobs import dask_command

from napari_sam2.batch.engine import BatchEngine
from napari_sam2.batch.plan import BatchInputs
from napari_sam2.batch.status import StackState
from napari_sam2.errors import BatchError

pytest.importorskip("distributed")

from napari_sam2.batch.dask_cluster import DaskCluster, slurm_cluster

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL"),
    # Of connections that are cut on purpose.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_a_killed_worker_of_a_local_cluster_loses_nothing(
    stacks, clicks, tmp_path, unbroken, forked_workers
):
    inputs = BatchInputs(
        stacks(*unbroken.names, frames=unbroken.frames), tmp_path / "out", prompts=clicks
    )
    killed: list[int] = []
    recorder = Recorder(seen=kill_once(inputs, killed))
    with closing(DaskCluster(BatchEngine("cpu", workers=2, cluster="local"), "run", 3)) as executor:
        result = do_batch(inputs, recorder, retries=1, executor=executor)
    assert killed
    assert {status.state for status in result.statuses} == {StackState.DONE}
    assert killed[0] not in {status.pid for status in result.statuses}
    assert os.getpid() not in {status.pid for status in result.statuses}
    assert labels_of(inputs.output) == unbroken.labels


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def scheduler(tmp_path, monkeypatch, forked_workers):
    """A scheduler and two workers in processes of their own; gives address and scheduler."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    monkeypatch.chdir(tmp_path)
    server = ("--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    workers = (address, "--nworkers", "2", "--resources", "GPU=1", "--nthreads", "1")
    started = [
        forked.start(dask_command, "scheduler", server),
        forked.start(dask_command, "worker", (*workers, "--no-dashboard")),
    ]
    yield address, started[0]
    for process in reversed(started):
        process.terminate()
        process.join()


def test_a_killed_scheduler_loses_nothing(stacks, clicks, tmp_path, scheduler, unbroken):
    address, server = scheduler
    inputs = BatchInputs(
        stacks(*unbroken.names, frames=unbroken.frames), tmp_path / "out", prompts=clicks
    )
    killed: list[int] = []
    recorder = Recorder(seen=kill_once(inputs, killed, server.pid))
    with closing(DaskCluster(BatchEngine("cpu", cluster=address), "run", 3)) as executor:
        result = do_batch(inputs, recorder, retries=1, executor=executor)
    assert killed
    assert isinstance(result.error, BatchError)
    assert "--resume" in str(result.error)
    assert result.failed
    # The workers stop by themselves, or finish: whatever they do, each stack is done once.
    end = time.monotonic() + 120
    while any(each.name == "1.json" for each in inputs.output.rglob("*.json")):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert not do_batch(inputs, resume=True).failed
    assert labels_of(inputs.output) == unbroken.labels


def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    import dask

    with (
        dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
        pytest.raises(BatchError, match="no scheduler of Dask"),
    ):
        DaskCluster(BatchEngine("cpu", cluster=f"tcp://127.0.0.1:{free_port()}"), "run", 1)


def script_of(*directives: str) -> str:
    cluster = slurm_cluster(BatchEngine(cluster="slurm", workers=1, directives=directives), 0)
    try:
        return cluster.job_script()
    finally:
        cluster.close()


def test_the_script_of_a_job_of_slurm_says_everything_once():
    plain = script_of("--gres=gpu:1")
    assert "--resources GPU=1" in plain
    for directive in ("--gres=gpu:1", "--cpus-per-task=4", "--mem=15G", "-t 00:30:00"):
        assert f"#SBATCH {directive}\n" in plain
    own = ("--partition=gpu", "--cpus-per-task=8", "--mem=32G", "--time 4:00:00")
    given = script_of(*own)
    lines = [line for line in given.splitlines() if line.startswith("#SBATCH")]
    for directive in own:
        assert lines.count(f"#SBATCH {directive}") == 1
    for name in ("--cpus-per-task", "--mem", "-t "):
        assert sum(name in line for line in lines) == (name != "-t ")


_SBATCH = """#!/bin/sh
# Runs a job at once, as SLURM would on a node; the script is deleted when this has ended.
cp "$1" {folder}/job.sh
sh {folder}/job.sh > {folder}/job.log 2>&1 &
echo "Submitted batch job 17"
"""


def test_jobs_of_slurm_do_the_stacks(stacks, clicks, tmp_path, monkeypatch):
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, text in (("sbatch", _SBATCH.format(folder=tmp_path)), ("scancel", "#!/bin/sh\n")):
        (commands / name).write_text(text, encoding="utf-8")
        (commands / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    monkeypatch.chdir(tmp_path)
    inputs = BatchInputs(stacks("a", frames=2), tmp_path / "out", prompts=clicks)
    engine = BatchEngine("cpu", workers=1, cluster="slurm", directives=("--gres=gpu:1",))
    with closing(DaskCluster(engine, "run", 1)) as executor:
        assert "#SBATCH --gres=gpu:1" in executor.job_script()
        (status,) = do_batch(inputs, executor=executor).statuses
    assert status.state is StackState.DONE
    assert status.pid != os.getpid()
    assert Path(tmp_path / "job.log").exists()
