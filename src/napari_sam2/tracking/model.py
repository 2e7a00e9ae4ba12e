"""`Model`: a network on a device, ready to track."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import torch

from napari_sam2.checkpoints import load_network
from napari_sam2.errors import DeviceError, SessionError
from napari_sam2.network import Sam2, Sam2Config
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.device import (
    half_precision_pays,
    halved,
    resolve_device,
)
from napari_sam2.tracking.settings import TrackingSettings

_STRIDE = 32
_SAMPLED = 16  # numbers of each tensor in the digest of the weights


class NetworkElsewhere(Protocol):
    """A network in another process or on another machine."""

    @property
    def place(self) -> str:
        """What to call the machine and its device, for people."""
        ...

    @property
    def weights_digest(self) -> str:
        """See `Model.weights_digest`."""
        ...

    def engine(
        self, model: Model, stack: FrameStack, settings: TrackingSettings, keep_logits: bool
    ) -> Any:
        """Return the `napari_sam2.tracking.engine.Engine` of one session."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A network with its device, input size and precision.

    Attributes
    ----------
    network : Sam2
        In evaluation mode, on `device`.
    name : str
        The registered name, or the file's.
    device : torch.device
        The compute device.
    image_size : int
        Side of the square that frames are resized to.
    half : bool
        Compute in bfloat16 where that is safe.
    path : Path, optional
        The file of the weights, if they come from one.
    elsewhere : NetworkElsewhere, optional
        Where the network runs instead of here; `network` is an outline without weights then.
    """

    network: Sam2 = field(repr=False)
    name: str
    device: torch.device
    image_size: int
    half: bool = False
    path: Path | None = field(default=None, repr=False)
    elsewhere: NetworkElsewhere | None = field(default=None, repr=False)

    @property
    def config(self) -> Sam2Config:
        """The network's hyper-parameters."""
        return self.network.config

    @property
    def weights_digest(self) -> str:
        """A digest of some numbers of every tensor of the network."""
        if self.elsewhere is not None:
            return self.elsewhere.weights_digest
        tensors = self.network.state_dict().values()
        sample = torch.cat([tensor.flatten()[:_SAMPLED].float() for tensor in tensors])
        return hashlib.blake2b(sample.cpu().numpy().tobytes(), digest_size=16).hexdigest()

    def precision(self) -> AbstractContextManager[object]:
        """Return the context in which the network computes."""
        return (
            torch.autocast(self.device.type, dtype=torch.bfloat16) if self.half else nullcontext()
        )


def load_model(
    name_or_path: str | PathLike[str] = "bundled",
    device: str | torch.device = "auto",
    image_size: int | None = None,
    precision: str = "auto",
) -> Model:
    """Load a model for tracking.

    Parameters
    ----------
    name_or_path : str or path
        "bundled", an official model such as "sam2.1-tiny", or a checkpoint file in the SAM 2
        format.
    device : str or torch.device
        "auto", "cpu", "cuda", "cuda:1" or "mps".
    image_size : int, optional
        Side of the model input in pixels, a multiple of 32; the model's own by default. Smaller
        is faster and coarser.
    precision : {"auto", "float32", "bfloat16"}
        "auto" takes bfloat16 on GPUs that compute it natively.

    Returns
    -------
    Model

    Raises
    ------
    CheckpointError
        The model is unknown, not downloaded, damaged, or no SAM 2.
    DeviceError
        The device does not exist.
    SessionError
        The image size or the precision is impossible.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise SessionError(
            f"The precision {precision!r} is unknown.",
            remedy="Choose auto, float32 or bfloat16.",
        )
    if image_size is not None and not _fits(image_size):
        raise SessionError(
            f"An image size of {image_size!r} does not fit the network.",
            remedy=f"Choose a multiple of {_STRIDE}, such as 512 or 1024.",
        )
    resolved = resolve_device(device)
    loaded = load_network(name_or_path)
    half = half_precision_pays(resolved) if precision == "auto" else precision == "bfloat16"
    return Model(
        network=_to_device(loaded.network, resolved, half),
        name=loaded.name,
        device=resolved,
        image_size=int(image_size or loaded.network.config.image_size),
        half=half,
        path=loaded.path,
    )


def _fits(image_size: object) -> bool:
    if isinstance(image_size, bool) or not isinstance(image_size, Integral):
        return False
    return int(image_size) >= _STRIDE and int(image_size) % _STRIDE == 0


def _to_device(network: Sam2, device: torch.device, half: bool) -> Sam2:
    try:
        network = network.to(device).eval().requires_grad_(False)
        return halved(network) if half else network
    except RuntimeError as error:
        raise DeviceError(
            f"The model does not fit on {device}: {error}.",
            remedy='Choose a smaller model, or device="cpu".',
        ) from error
