"""The choice of the compute device and its precision."""

from __future__ import annotations

import torch

from napari_sam2.errors import DeviceError
from napari_sam2.network import Sam2

_BF16_CAPABILITY = 8  # Ampere; older GPUs only emulate bfloat16, slowly


def available_devices() -> tuple[str, ...]:
    """Return the kinds of device that can compute here, the fastest first."""
    devices = []
    if torch.cuda.is_available():
        devices.append("cuda")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return (*devices, "cpu")


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Return the available device that a user's choice names.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes the fastest there is; otherwise "cpu", "cuda", "cuda:1", "mps".

    Raises
    ------
    DeviceError
        The name is unknown, or the device is not there.
    """
    if device == "auto":
        return torch.device(available_devices()[0])
    remedy = f"Choose one of: auto, {', '.join(available_devices())}."
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise DeviceError(f"{device!r} is not a device that torch knows.", remedy=remedy) from error
    if resolved.type not in available_devices():
        raise DeviceError(f"The device {device!r} is not available here.", remedy=remedy)
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"There is no GPU number {resolved.index}, only {torch.cuda.device_count()} of them.",
            remedy=remedy,
        )
    return resolved


def half_precision_pays(device: torch.device) -> bool:
    """Return whether bfloat16 is native, and so faster, on this device."""
    if device.type != "cuda":
        return False
    return torch.cuda.get_device_capability(device)[0] >= _BF16_CAPABILITY


def halved(network: Sam2) -> Sam2:
    """Round the weights to bfloat16 that are used in bfloat16.

    `Model.precision` does the same in every call, which is a third of a GPU's operations per
    frame. All other parameters stay float32, as there.
    """
    for layer in network.products_in_half():
        layer.to(torch.bfloat16)
    return network


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error of torch or numpy means that memory ran out."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    # MPS and the CPU allocator raise plain RuntimeErrors.
    return "out of memory" in text or "can't allocate memory" in text


def release_memory(device: torch.device) -> None:
    """Release cached blocks of the allocator before a smaller attempt."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def device_error(error: Exception, name: str) -> DeviceError:
    """Return the error for a failed computation, with a remedy."""
    safe = "The labels computed so far are kept."
    if isinstance(error, MemoryError):
        return DeviceError(
            f"This machine has too little memory for a frame with {name}: {error}.",
            safe=safe,
            remedy="Close other programs, work on a part of the image, or choose a smaller "
            'model ("bundled").',
        )
    if is_out_of_memory(error):
        return DeviceError(
            f"The device has too little memory for {name}.",
            safe=safe,
            remedy='Choose a smaller model ("bundled"), a smaller image size, or device="cpu".',
        )
    return DeviceError(
        f"The device failed while computing with {name}: {error}.",
        safe=safe,
        remedy='Load the model again, or choose device="cpu".',
    )
