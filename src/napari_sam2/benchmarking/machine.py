"""The device of a benchmark: its name and its peak memory."""

from __future__ import annotations

import platform
from types import TracebackType
from typing import Self

import torch

MIB = 2**20


def device_name(device: torch.device) -> str:
    """Return the product name of a device, and its memory if it has its own."""
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        return f"{found.name}, {found.total_memory / 2**30:.0f} GiB"
    processor = platform.processor() or platform.machine()
    return f"{processor} ({device.type.upper()})"


class PeakMemory:
    """The most that tensors took on a device while this context lasted.

    The CPU has no such counter. MPS reports only the current use, so that `look` reads it.

    Parameters
    ----------
    device : torch.device
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seen = 0

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.look()

    def look(self) -> None:
        """Record the memory in use now; call it after every frame."""
        if self._device.type == "cuda":
            self._seen = max(self._seen, torch.cuda.max_memory_allocated(self._device))
        elif self._device.type == "mps":
            self._seen = max(self._seen, torch.mps.current_allocated_memory())

    @property
    def mib(self) -> float | None:
        """The peak in MiB; None if the device does not report it."""
        return self._seen / MIB if self._seen else None
