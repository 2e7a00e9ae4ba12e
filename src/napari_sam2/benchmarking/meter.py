"""A stopwatch and a FLOP counter on the four stages of a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

STAGES = ("encode", "attend", "decode", "remember")
"""The stages of a frame."""

METHODS: Mapping[str, str] = MappingProxyType(
    {
        "encode_image": "encode",
        "open_memory": "attend",
        "attend_memory": "attend",
        "predict_masks": "decode",
        "encode_memory": "remember",
    }
)
"""The methods of the network that do the work, and the stage that each belongs to."""


@dataclass(frozen=True, slots=True)
class StageTotal:
    """Calls, seconds and operations of one stage.

    Attributes
    ----------
    calls : int
    seconds : float
        Wall time of all calls.
    flops : int
        Floating-point operations of all calls, where they were counted.
    """

    calls: int = 0
    seconds: float = 0.0
    flops: int = 0

    def plus(self, seconds: float, flops: int) -> StageTotal:
        """Return the total after one more call."""
        return replace(
            self, calls=self.calls + 1, seconds=self.seconds + seconds, flops=self.flops + flops
        )


class StageMeter:
    """Sums the seconds and operations of a network's stages while `metered` is active.

    Parameters
    ----------
    device : torch.device
        Waited for before a time is taken.
    count_flops : bool
        Count operations; this takes time of its own, so that the seconds say little.
    clock : callable
        Returns seconds.
    """

    def __init__(
        self,
        device: torch.device,
        count_flops: bool = False,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.totals = dict.fromkeys(STAGES, StageTotal())
        self._device = device
        self._count_flops = count_flops
        self._clock = clock

    @contextmanager
    def metered(self, network: nn.Module, methods: Mapping[str, str] = METHODS) -> Iterator[None]:
        """Watch the methods of a network that are its stages."""
        for method, stage in methods.items():
            # On the instance: it hides the class's method until it is deleted again.
            setattr(network, method, self._watched(stage, getattr(network, method)))
        try:
            yield
        finally:
            for method in methods:
                delattr(network, method)

    def _watched(self, stage: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            synchronise(self._device)
            flops = 0
            start = self._clock()
            if self._count_flops:
                counter = FlopCounterMode(display=False, custom_mapping=_UNKNOWN_TO_TORCH)
                # In inference mode torch 2.4 shows the counter no parts of what is made of others.
                with _one_thread(), torch.inference_mode(False), torch.no_grad(), counter:
                    result = method(*args, **kwargs)
                flops = counter.get_total_flops()
            else:
                result = method(*args, **kwargs)
            synchronise(self._device)
            self.totals[stage] = self.totals[stage].plus(self._clock() - start, flops)
            return result

        return run


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute only on the calling thread: the counter sees no other thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all submitted work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _attention_flops(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: Any, **__: Any
) -> int:
    batch, heads, length, width = query
    return 2 * batch * heads * length * key[2] * (width + value[3])


def _addmm_flops(_sums: torch.Size, a: torch.Size, b: torch.Size, *_: Any, **__: Any) -> int:
    return 2 * a[0] * a[1] * b[1]


# torch counts the attention kernels of GPUs but not the CPU's, and no product added in place.
_UNKNOWN_TO_TORCH = {
    torch.ops.aten.addmm_: _addmm_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
}
