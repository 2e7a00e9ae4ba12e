"""`BatchEngine`: the devices, processes or cluster that the options of a command choose."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam2.errors import BatchError


@dataclass(frozen=True, slots=True)
class BatchEngine:
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
