"""The models and devices of this machine. Listing devices imports torch: worker threads only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".safetensors")
"""What files of models are called."""

_PATIENCE_S = 3.0  # with a server that is asked for its models


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


@dataclass(frozen=True, slots=True)
class ServerUse:
    """A server that computes instead of this computer.

    Attributes
    ----------
    url : str
    token : str
        Empty: as the environment or the system's keyring has it.
    """

    url: str
    token: str = field(default="", repr=False)


class ReachedServer(NamedTuple):
    """A server that has answered.

    Attributes
    ----------
    server : ServerUse
        With its token.
    entries : tuple of ModelEntry
        The models that it offers.
    keeps_token : bool
        Whether the system's keyring has the token for next time.
    """

    server: ServerUse
    entries: tuple[ModelEntry, ...]
    keeps_token: bool


def reach_server(server: ServerUse) -> ReachedServer:
    """Connect to a server and list its models; worker threads only.

    Raises
    ------
    RemoteError
        It does not answer, or there is no token that it accepts.
    """
    from napari_sam2.remote.channel import checked_url
    from napari_sam2.remote.connection import connect
    from napari_sam2.remote.tokens import keep_token

    known = replace(server, url=checked_url(server.url))
    known = replace(known, token=token_of(known))
    connection = connect(known.url, known.token, patience_s=_PATIENCE_S)
    names = connection.info.models
    connection.close()
    return ReachedServer(
        known, tuple(_served_entry(name) for name in names), keep_token(known.url, known.token)
    )


def token_of(server: ServerUse) -> str:
    """Return the token of a server, wherever it is; worker threads only.

    Raises
    ------
    RemoteError
        There is none.
    """
    from napari_sam2.errors import RemoteError
    from napari_sam2.remote.tokens import given_token

    token = server.token or given_token(server.url)
    if not token:
        raise RemoteError(
            f"The token of {server.url} is not known here.",
            remedy="Type the token that the server shows, and press Connect.",
        )
    return token


def _served_entry(name: str) -> ModelEntry:
    from napari_sam2.checkpoints import MODELS

    for info in MODELS:
        if info.name == name:
            return ModelEntry(name, info.title, info.description, info.licence, None, True)
    return ModelEntry(name, name, "A model of the server.", "as its owner knows", None, True)


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
