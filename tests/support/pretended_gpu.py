"""A GPU that is not there: tensors claim to live on it, and torch's rules about devices hold.

A tensor of the pretended device holds an ordinary tensor, in which everything is really computed,
so that whole sessions run: values can be read back, and are those of the CPU. Where an operation
gets tensors of both devices it fails as on a GPU. Torch's own fake tensors have no values to read
back, and a meta device none at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

PRETENDED = torch.device("cuda:7")
"""A device of this number is nowhere, not even on machines that have GPUs."""

_CPU = torch.device("cpu")
_NOWHERE = torch.device("meta")
_CLAIMED: ContextVar[torch.device] = ContextVar("claimed", default=PRETENDED)
_ATEN = torch.ops.aten
_COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd
_DEVICE = torch.ops.prim.device.default
_COPIES = (_ATEN.copy_.default, _ATEN._to_copy.default)
# Positions among several tensors may come from the CPU: torch takes them to the GPU by itself.
_INDEXING = frozenset(
    {
        _ATEN.index.Tensor,
        _ATEN.index_put.default,
        _ATEN.index_put_.default,
        _ATEN._index_put_impl_.default,
    }
)
# What asks the device to be the current one before it does anything.
_GUARDED = frozenset(
    {
        Tensor.__getitem__,
        Tensor.__setitem__,
        Tensor.__bool__,
        Tensor.__int__,
        Tensor.__index__,
        Tensor.__float__,
        Tensor.item,
        Tensor.contiguous,
    }
)
_MATH_ATTENTION = 0  # of torch's choices for attention: the one made of ordinary operations


class MixedDevicesError(RuntimeError):
    """An operation was given tensors of the CPU and of the pretended device."""


class PretendedTensor(Tensor):
    """A tensor that claims to live on the pretended device."""

    held: Tensor
    device = PRETENDED
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, held: Tensor) -> PretendedTensor:
        """Wrap an ordinary tensor."""
        plain = torch._C._DisableTorchDispatch()
        try:
            shell = torch.empty_strided(
                held.shape, held.stride(), dtype=held.dtype, device=_NOWHERE
            )
            made = Tensor._make_subclass(
                cls, shell, False, dispatch_device=True, device_for_backend_keys=PRETENDED
            )
        finally:
            del plain
        made.held = held
        return made

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return f"PretendedTensor({self.held!r})"

    def tolist(self) -> Any:
        """Read all values back, as a GPU's tensors do."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(
        cls,
        operation: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return _run(operation, args, dict(kwargs or {}))


class _Operations(TorchDispatchMode):
    """Sees the operations that get no pretended tensor, but may be asked to make one."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled here: torch need not be kept from that at each operation."""
        return False

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if operation is not _DEVICE and PretendedTensor in types and _is_composite(operation):
            # In inference mode operations come as a whole that are made of others.
            with self:
                return operation._op_dk(_COMPOSITE, *args, **kwargs)
        return _run(operation, args, kwargs)


class _Shortcuts(TorchFunctionMode):
    """Leads around what looks for the device itself before any operation is told."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in _GUARDED:
            with _Claiming(_NOWHERE):
                return function(*args, **kwargs)
        if function is torch.tensor and _is_pretended(torch.device(kwargs.get("device") or _CPU)):
            return function(*args, **{**kwargs, "device": _CPU}).to(PRETENDED)
        if function is Tensor.new_tensor and isinstance(args[0], PretendedTensor):
            return torch.tensor(*args[1:], dtype=args[0].dtype, **kwargs).to(PRETENDED)
        if function is scaled_dot_product_attention and torch.version.cuda is not None:
            # A torch that is built for CUDA asks the driver which kernel suits, and there is none.
            with sdpa_kernel(SDPBackend.MATH):
                return function(*args, **kwargs)
        if function is torch.nn.functional.batch_norm:
            # torch 2.4 would choose that of cuDNN, which computes nowhere else.
            with torch.backends.cudnn.flags(enabled=False):
                return function(*args, **kwargs)
        return function(*args, **kwargs)


@contextmanager
def pretended_gpu(learns: bool = False) -> Iterator[torch.device]:
    """Make tensors on the pretended device possible in this thread, and give that device.

    `learns`: gradients can be taken. They are computed by torch's own engine, which looks for the
    device itself: it is told of one that is nowhere. No half precision then.
    """
    with ExitStack() as stack:
        for name, replaced in (
            ("torch.cuda._lazy_init", lambda: None),
            ("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
            ("torch.cuda.is_bf16_supported", lambda *_, **__: True),
            # A module that moves gets new parameters: old ones cannot take the data over.
            ("torch.__future__.get_overwrite_module_params_on_conversion", lambda: True),
        ):
            stack.enter_context(mock.patch(name, replaced))
        stack.enter_context(_Claiming(_NOWHERE if learns else PRETENDED))
        stack.enter_context(_Shortcuts())
        stack.enter_context(_Operations())
        yield PRETENDED


class _Claiming:
    """Tells torch's own code that tensors are on this device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def __enter__(self) -> None:
        self._token = _CLAIMED.set(self._device)

    def __exit__(self, *_: object) -> None:
        _CLAIMED.reset(self._token)


def _run(operation: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    if operation is _DEVICE:
        return _CLAIMED.get()
    ours: list[PretendedTensor] = []
    others: list[Tensor] = []
    opened = [_opened(each, ours, others) for each in args]
    options = {name: _opened(each, ours, others) for name, each in kwargs.items()}
    wanted = kwargs.get("device")
    stays = _is_pretended(wanted) if wanted is not None else bool(ours)
    if not ours:
        found = operation(*opened, **options)
        return _mapped(PretendedTensor, found) if stays else found
    if others:
        _refuse_mixed(operation, args, others)
    if operation is _ATEN._fused_sdp_choice.default:
        return _MATH_ATTENTION  # the CPU's own choices have no kernels on a GPU
    held = [each.held for each in ours]
    found = operation(*opened, **options)
    if operation is _ATEN.copy_.default and not isinstance(args[0], PretendedTensor):
        return args[0]

    def closed(value: Tensor) -> Tensor:
        for wrapped, inner in zip(ours, held, strict=True):
            if value is inner:
                return wrapped  # what was changed in place is the tensor that was given
        return PretendedTensor(value) if stays else value

    if _is_view(operation):
        # A view of what was made outside of inference mode is no tensor of that mode either.
        with torch.inference_mode(ours[0].is_inference()):
            return _mapped(closed, found)
    return _mapped(closed, found)


def _opened(value: Any, ours: list[PretendedTensor], others: list[Tensor]) -> Any:
    """Return what a pretended tensor or device stands for; note the tensors of both kinds."""
    if isinstance(value, Tensor):
        if isinstance(value, PretendedTensor):
            ours.append(value)
            return value.held
        others.append(value)
    elif isinstance(value, (list, tuple)):
        return type(value)([_opened(each, ours, others) for each in value])
    elif _is_pretended(value):
        return _CPU
    return value


def _tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Give the tensors among values, and in the lists among them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def _mapped(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Apply a function to a tensor, or to all tensors of a list."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, (list, tuple)):
        return type(value)([_mapped(function, each) for each in value])
    return value


@cache
def _is_composite(operation: Any) -> bool:
    return torch._C._dispatch_has_kernel_for_dispatch_key(operation.name(), _COMPOSITE)


@cache
def _is_view(operation: Any) -> bool:
    return any(
        result.alias_info is not None and not result.alias_info.is_write
        for result in operation._schema.returns
    )


def _refuse_mixed(operation: Any, args: Sequence[Any], others: Sequence[Tensor]) -> None:
    if operation in _COPIES:
        return
    if operation in _INDEXING:
        others = [t for t in _tensors((args[0], *args[2:3])) if not isinstance(t, PretendedTensor)]
    # A single number of the CPU may stand beside any tensor.
    strangers = [t for t in others if t.ndim]
    if strangers:
        shapes = ", ".join(str(tuple(each.shape)) for each in strangers)
        raise MixedDevicesError(f"{operation} got tensors of the CPU beside others: {shapes}")


def _is_pretended(device: Any) -> bool:
    return isinstance(device, torch.device) and device.type in (PRETENDED.type, "meta")
