"""Building of networks on torch's meta device, with shapes but without values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from napari_sam2.network.config import Sam2Config
from napari_sam2.network.sam2 import Sam2


def outline(config: Sam2Config) -> Sam2:
    """Build a network on torch's meta device, with shapes and without values.

    To draw first values there too would have torch load its compiler: a second, and 74 MiB.
    """
    with torch.device("meta"), _Unfilled():
        return Sam2(config)


class _Unfilled(TorchFunctionMode):
    """Leaves tensors as they are where they would be initialised."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == torch.nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)
