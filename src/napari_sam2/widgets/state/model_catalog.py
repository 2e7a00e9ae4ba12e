"""The models and devices of this machine. Listing devices imports torch: worker threads only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".safetensors")
"""What files of models are called."""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """A model as the window shows it.

    Attributes
    ----------
    name : str
        What `load_model` takes.
    title, description, licence : str
        For the user.
    size_bytes : int or None
        Size of its file, where known.
    present : bool
        Whether the file is on this machine.
    """

    name: str
    title: str
    description: str
    licence: str
    size_bytes: int | None
    present: bool


def model_entries() -> tuple[ModelEntry, ...]:
    """List all models, the bundled one first, and which of them are on this machine."""
    from napari_sam2.checkpoints import MODELS, find_model_file

    return tuple(
        ModelEntry(
            name=info.name,
            title=info.title,
            description=info.description,
            licence=info.licence,
            size_bytes=info.size_bytes,
            present=find_model_file(info.name) is not None,
        )
        for info in MODELS
    )


def is_checkpoint(name: str) -> bool:
    """Whether a model is given by the path of its file."""
    return Path(name).suffix.lower() in CHECKPOINT_SUFFIXES


def model_title(name: object) -> str | None:
    """Return the title of a published model or a checkpoint, None for others; reads no file."""
    from napari_sam2.checkpoints import MODELS

    if not isinstance(name, str):
        return None
    if is_checkpoint(name):
        return file_entry(name).title
    return next((info.title for info in MODELS if info.name == name), None)


def file_entry(path: str) -> ModelEntry:
    """Show a checkpoint of the user's own; whether it can be loaded is found out by loading it."""
    from napari_sam2.checkpoints import ADAPTED_SUFFIX

    name = Path(path).name
    if name.endswith(ADAPTED_SUFFIX):
        title = f"{name.removesuffix(ADAPTED_SUFFIX)} (adapted)"
        return ModelEntry(path, title, f"Learnt from your masks: {path}.", "as before", None, True)
    return ModelEntry(path, name, f"Your file {path}.", "as you know", None, True)


def fetch_model(
    name: str, progress: Callable[[int, int | None], None], cancelled: Callable[[], bool]
) -> bool:
    """Download a model to the cache folder; return False if that was cancelled."""
    from napari_sam2.checkpoints import DownloadCancelledError, download_model

    try:
        download_model(name, progress=progress, cancelled=cancelled)
    except DownloadCancelledError:
        return False
    return True


def device_names() -> tuple[str, ...]:
    """List the devices that can compute here, the best one first."""
    from napari_sam2.tracking import available_devices

    return tuple(available_devices())
