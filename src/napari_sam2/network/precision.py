"""Contexts that decide on half precision and on arithmetic in place."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def computes_in_place(*tensors: Tensor) -> bool:
    """Tell whether to take the CPU's float32 path, which works in place and in pieces.

    It saves memory traffic where that is what costs. With gradients nothing may be overwritten;
    GPUs hide the traffic, and have kernels of their own for half precision.
    """
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        return False
    for tensor in tensors:  # a generator would be called once per tensor, in every layer
        if tensor.device.type != "cpu" or tensor.dtype != torch.float32:
            return False
    return True


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which no operation is computed in half precision.

    Devices without half precision in torch need no context.
    """
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)
