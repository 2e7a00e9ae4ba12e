"""The chosen model and precision, and napari's plugin settings that store them.

Main thread only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_sam2.types import Speed
from napari_sam2.widgets.state.model_catalog import ServerUse, is_checkpoint

AUTO = "auto"

HERE, ON_SERVER = "here", "server"
"""Where the network runs: on this computer, or on a server."""


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model and the way it computes: what the user chose.

    Attributes
    ----------
    model : str
        Name of a model, or the path of a checkpoint.
    device : str
        "auto", "cpu", "cuda" or "mps".
    precision : str
        "auto", "float32" or "bfloat16".
    speed : Speed
        What may be approximated.
    server : ServerUse or None
        Where it computes; None: on this computer.
    """

    model: str = "bundled"
    device: str = AUTO
    precision: str = AUTO
    speed: Speed = Speed.EXACT
    server: ServerUse | None = None


PLUGIN = "napari-sam2"


def read_defaults() -> ModelUse:
    """Return what the panel starts with; the built-in choice where napari keeps no settings."""
    stored = _stored()
    if stored is None:
        return ModelUse()
    return ModelUse(
        model=stored.model_file or stored.model,
        device=stored.device,
        precision=stored.precision,
        speed=Speed(stored.speed),
        server=ServerUse(stored.server) if stored.server else None,
    )


def store_defaults(use: ModelUse) -> None:
    """Keep the user's choice for the next session."""
    stored = _stored()
    if stored is not None:
        # The setting holds names only: a file has a name of its own.
        is_file = is_checkpoint(use.model)
        stored.model_file = use.model if is_file else ""
        if not is_file:
            stored.model = use.model
        stored.device, stored.precision = use.device, use.precision
        stored.speed = use.speed.value
        stored.server = "" if use.server is None else use.server.url  # never the token


def _stored() -> Any:
    """Return the settings that napari builds from the manifest."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # napari before 0.9
        return None
    try:
        return get_plugin_settings(PLUGIN).segmentation
    except KeyError:  # the package is used without being installed as a plugin
        return None
