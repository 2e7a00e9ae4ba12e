"""Dask does the stacks: workers and schedulers that are killed, and jobs of SLURM."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from batches import CLICKS, Recorder, do_batch, labels_of, write_stack

from napari_sam2.batch.engine import BatchEngine
from napari_sam2.batch.plan import BatchInputs
from napari_sam2.batch.status import StackState, read_status
from napari_sam2.errors import BatchError

pytest.importorskip("distributed")

from napari_sam2.batch.dask_cluster import DaskCluster, slurm_cluster

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL"),
    # Of connections that are cut on purpose.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


NAMES, FRAMES = ("a", "b", "c"), 8


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict[str, bytes]:
    """Labels of the three stacks of eight frames, as a batch in this process does them."""
    folder = tmp_path_factory.mktemp("unbroken")
    for number, name in enumerate(NAMES):
        write_stack(folder / "stacks" / f"{name}.tif", FRAMES, number)
    (folder / "clicks.csv").write_text(CLICKS, encoding="utf-8")
    inputs = BatchInputs(folder / "stacks", folder / "out", prompts=folder / "clicks.csv")
    assert not do_batch(inputs).failed
    return labels_of(inputs.output)


def kill_once(inputs: BatchInputs, killed: list[int], victim=None):
    """Kill the worker of the first stack that has frames on disk, or another process."""

    def kill(name, done):
        store = inputs.output / f"{name}.tif.sam2.zarr"
        if not killed and done >= 2 and any(store.rglob("commit-*")):
            killed.append(victim or read_status(inputs.output / f"{name}.status.json").pid)
            os.kill(killed[0], signal.SIGKILL)

    return kill


def test_a_killed_worker_of_a_local_cluster_loses_nothing(stacks, clicks, tmp_path, unbroken):
    inputs = BatchInputs(stacks(*NAMES, frames=FRAMES), tmp_path / "out", prompts=clicks)
    killed: list[int] = []
    recorder = Recorder(seen=kill_once(inputs, killed))
    with closing(DaskCluster(BatchEngine("cpu", workers=2, cluster="local"), "run", 3)) as executor:
        result = do_batch(inputs, recorder, retries=1, executor=executor)
    assert killed
    assert {status.state for status in result.statuses} == {StackState.DONE}
    assert killed[0] not in {status.pid for status in result.statuses}
    assert os.getpid() not in {status.pid for status in result.statuses}
    assert labels_of(inputs.output) == unbroken


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def scheduler(tmp_path):
    """A scheduler and two workers as processes of their own; gives address and scheduler."""
    port = free_port()
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}

    def start(module: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    address = f"tcp://127.0.0.1:{port}"
    server = start("dask_scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    worker = ("--resources", "GPU=1", "--nthreads", "1", "--no-dashboard")
    workers = [start("dask_worker", address, *worker) for _ in range(2)]
    yield address, server
    for process in (*workers, server):
        process.terminate()
        process.wait()


def test_a_killed_scheduler_loses_nothing(stacks, clicks, tmp_path, scheduler, unbroken):
    address, server = scheduler
    inputs = BatchInputs(stacks(*NAMES, frames=FRAMES), tmp_path / "out", prompts=clicks)
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
    assert labels_of(inputs.output) == unbroken


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
