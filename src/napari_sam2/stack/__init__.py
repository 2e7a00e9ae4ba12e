"""Image stacks: any array as frames, with axes, lazy reading and constant contrast; image files.

The package imports numpy only; zarr and tifffile load when a file is opened.
Stacks may be read from any thread; a `FrameStack` locks its array while it reads.
"""

from __future__ import annotations

from napari_sam2.stack.array_view import ArrayView
from napari_sam2.stack.axes import AxisGuess, axis_letter, guess_axes, kind_along
from napari_sam2.stack.channel_stack import ChannelStack
from napari_sam2.stack.contrast import Contrast
from napari_sam2.stack.frames import FrameStack
from napari_sam2.stack.opened_stack import OpenedStack
from napari_sam2.stack.reading import open_labels, open_stack, stem_of
from napari_sam2.stack.validation import MAX_CHANNELS, check_kind, check_region
from napari_sam2.types import StackKind

__all__ = [
    "MAX_CHANNELS",
    "ArrayView",
    "AxisGuess",
    "ChannelStack",
    "Contrast",
    "FrameStack",
    "OpenedStack",
    "StackKind",
    "axis_letter",
    "check_kind",
    "check_region",
    "guess_axes",
    "kind_along",
    "open_labels",
    "open_stack",
    "stem_of",
]
