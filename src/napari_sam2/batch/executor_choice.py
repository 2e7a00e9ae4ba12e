"""`choose_executor`: the executor that fits a `BatchEngine`."""

from __future__ import annotations

import re

from napari_sam2.batch.engine import BatchEngine
from napari_sam2.batch.executors import Executor, InProcess
from napari_sam2.batch.stack_worker import StackWorker
from napari_sam2.errors import BatchError


def choose_executor(engine: BatchEngine, run: str, stacks: int) -> Executor:
    """Return the executor of a batch; a cluster starts at once, processes at their first use.

    Parameters
    ----------
    engine : BatchEngine
    run : str
        Id of the batch.
    stacks : int
        There are no more processes than stacks.

    Raises
    ------
    BatchError
        The options do not fit together, or Dask is not installed or not reached.
    """
    if engine.directives and engine.cluster != "slurm":
        raise BatchError(
            "--slurm-directive is for --cluster slurm and --sbatch.",
            remedy="Add one of them, or leave the directive out.",
        )
    if engine.cluster:
        _check_cluster(engine)
        from napari_sam2.batch.dask_cluster import DaskCluster

        return DaskCluster(engine, run, stacks)
    devices = engine.process_devices[:stacks]
    if len(devices) == 1:
        return InProcess(StackWorker(devices[0], run))
    from napari_sam2.batch.processes import Processes

    return Processes(devices, run)


def _check_cluster(engine: BatchEngine) -> None:
    known = engine.cluster in ("local", "slurm") or engine.cluster.lower().endswith(".json")
    if not known and not re.fullmatch(r"[a-z][a-z0-9+]*://\S+", engine.cluster):
        raise BatchError(
            f"{engine.cluster!r} is no cluster.",
            remedy="Write local, slurm, an address such as tcp://host:8786, or the JSON file of a "
            "scheduler.",
        )
    if len(engine.devices) > 1 and engine.cluster != "local":
        raise BatchError(
            "Several devices are given for the workers of a cluster.",
            remedy="Give one, such as cuda: each worker uses the GPU that it was given.",
        )
