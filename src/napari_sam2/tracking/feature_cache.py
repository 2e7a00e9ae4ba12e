"""Features of the frames seen last, so that a click or a second pass need not encode again."""

from __future__ import annotations

from collections import OrderedDict

import torch

from napari_sam2.network import ImageFeatures
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.image_input import frame_to_input
from napari_sam2.tracking.model import Model


class FeatureCache:
    """Encodes frames of one stack and keeps a bounded number of them.

    Parameters
    ----------
    model : Model
    stack : FrameStack
    capacity : int
        Frames kept; the one unused for longest goes first.
    """

    def __init__(self, model: Model, stack: FrameStack, capacity: int) -> None:
        self._model = model
        self._stack = stack
        self._capacity = capacity
        self._frames: OrderedDict[int, ImageFeatures] = OrderedDict()
        self.encoded = 0

    def get(self, frame: int) -> ImageFeatures:
        """Return the features of a frame (batch of one), encoding it where they are not kept."""
        if frame in self._frames:
            self._frames.move_to_end(frame)
            return self._frames[frame]
        pixels = self._stack.read(frame)
        image = frame_to_input(pixels, self._model.image_size, self._model.device)
        with torch.inference_mode(), self._model.precision():
            features = self._model.network.encode_image(image)
        self.encoded += 1
        self._frames[frame] = features
        while len(self._frames) > self._capacity:
            self._frames.popitem(last=False)
        return features

    def __len__(self) -> int:
        return len(self._frames)
