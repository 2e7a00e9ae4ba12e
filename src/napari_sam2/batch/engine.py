"""`Engine`: which executor does the stacks, as the options of a command say."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_sam2.batch.executors import Executor, InProcess
from napari_sam2.batch.stack_worker import StackWorker
from napari_sam2.errors import BatchError


@dataclass(frozen=True, slots=True)
class Engine:
    """What is to do the stacks.

    Attributes
    ----------
    device : str
        One or several, separated by commas.
    workers : int or None
        Processes; one per device by default.
    cluster : str
        "": processes of this machine; "local", "slurm", the address of a scheduler or its JSON
        file: Dask.
    directives : tuple of str
        Lines for ``#SBATCH``; with "slurm" only.
    retries : int
        How often Dask gives a stack to another worker when one is lost.
    """

    device: str = "auto"
    workers: int | None = None
    cluster: str = ""
    directives: tuple[str, ...] = ()
    retries: int = 1

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices.

        Raises
        ------
        BatchError
            None is named.
        """
        devices = tuple(each.strip() for each in self.device.split(",") if each.strip())
        if not devices:
            raise BatchError("No device is named.", remedy="Write such as --device cuda:0,cuda:1.")
        return devices

    @property
    def process_devices(self) -> tuple[str, ...]:
        """The device of each process of this machine."""
        count = self.workers or len(self.devices)
        return tuple(self.devices[number % len(self.devices)] for number in range(count))

    def executor(self, run: str, stacks: int) -> Executor:
        """Return what does the stacks; processes are started when it is first used.

        Parameters
        ----------
        run : str
            Id of the batch.
        stacks : int
            There are no more processes than stacks.

        Raises
        ------
        BatchError
            The options do not fit together, or Dask is not installed or not reached.
        """
        if self.directives and self.cluster != "slurm":
            raise BatchError(
                "--slurm-directive is for --cluster slurm and --sbatch.",
                remedy="Add one of them, or leave the directive out.",
            )
        if self.cluster:
            from napari_sam2.batch.dask_cluster import DaskCluster

            return DaskCluster(self._checked(), run, stacks)
        devices = self.process_devices[:stacks]
        if len(devices) == 1:
            return InProcess(StackWorker(devices[0], run))
        from napari_sam2.batch.processes import Processes

        return Processes(devices, run)

    def _checked(self) -> Engine:
        known = self.cluster in ("local", "slurm") or self.cluster.lower().endswith(".json")
        if not known and not re.fullmatch(r"[a-z][a-z0-9+]*://\S+", self.cluster):
            raise BatchError(
                f"{self.cluster!r} is no cluster.",
                remedy="Write local, slurm, an address such as tcp://host:8786, or the JSON file "
                "of a scheduler.",
            )
        if len(self.devices) > 1 and self.cluster != "local":
            raise BatchError(
                "Several devices are given for the workers of a cluster.",
                remedy="Give one, such as cuda: each worker uses the GPU that it was given.",
            )
        return self
