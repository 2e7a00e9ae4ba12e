"""The plugin's settings, as napari keeps them between sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari_sam2.widgets.opening import is_checkpoint

PLUGIN = "napari-sam2"


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the panel starts with.

    Attributes
    ----------
    model : str
        Name of a model, or the path of a checkpoint.
    device : str
        "auto", "cpu", "cuda" or "mps".
    """

    model: str = "bundled"
    device: str = "auto"


def read_defaults() -> Defaults:
    """Return the stored settings; the built-in ones where napari keeps none for plugins."""
    stored = _stored()
    if stored is None:
        return Defaults()
    return Defaults(model=stored.model_file or stored.model, device=stored.device)


def store_defaults(defaults: Defaults) -> None:
    """Keep the user's choice for the next session."""
    stored = _stored()
    if stored is not None:
        # The setting knows names only: a file has one of its own.
        is_file = is_checkpoint(defaults.model)
        stored.model_file = defaults.model if is_file else ""
        if not is_file:
            stored.model = defaults.model
        stored.device = defaults.device


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
