"""Tracking: a model on a device, and sessions that track objects through stacks.

A `TrackingSession` may be used from any thread: its lock guards all that is behind it.
"""

import napari_sam2._memory  # noqa: F401 - says what is needed before torch is loaded
from napari_sam2.tracking.device import available_devices, resolve_device
from napari_sam2.tracking.division_proposals import ProposedDivision
from napari_sam2.tracking.engine import approximations
from napari_sam2.tracking.model import Model, load_model
from napari_sam2.tracking.session import TrackingSession
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.types import Speed, Unreadable, View

__all__ = [
    "Model",
    "ProposedDivision",
    "Speed",
    "TrackingSession",
    "TrackingSettings",
    "Unreadable",
    "View",
    "approximations",
    "available_devices",
    "load_model",
    "resolve_device",
]
