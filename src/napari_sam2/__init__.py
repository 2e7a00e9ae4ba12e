"""Public API of napari-sam2: click an object once, get it as labels across slices and frames.

Names load on first use: importing this package imports neither torch nor napari.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from napari_sam2.errors import Sam2Error
from napari_sam2.types import Direction, FrameMasks

if TYPE_CHECKING:
    from napari_sam2.remote import connect
    from napari_sam2.tracking import Model, TrackingSession, TrackingSettings, load_model

__version__ = "0.1.0"

__all__ = [
    "Direction",
    "FrameMasks",
    "Model",
    "Sam2Error",
    "TrackingSession",
    "TrackingSettings",
    "__version__",
    "connect",
    "load_model",
]

_LAZY = {
    "Model": "tracking",
    "TrackingSession": "tracking",
    "TrackingSettings": "tracking",
    "connect": "remote",
    "load_model": "tracking",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"napari_sam2.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
