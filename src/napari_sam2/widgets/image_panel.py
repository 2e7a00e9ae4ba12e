"""The dock widget "SAM 2: current image"."""

from __future__ import annotations

from napari_sam2.widgets.stack_panel import StackPanel


class ImagePanel(StackPanel):
    """Segments single images from a few clicks: the frame in view, and no other.

    The same as `StackPanel` without propagation and review. Every frame of a stack is an image
    for itself; go to another one and click there.
    """

    follows = False
