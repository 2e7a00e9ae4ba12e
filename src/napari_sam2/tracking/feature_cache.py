"""Features of what was seen last, so that a click or a second pass need not encode again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch

from napari_sam2.network import ImageFeatures
from napari_sam2.tracking.frame_reader import FrameReader
from napari_sam2.tracking.image_input import frame_to_input
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.window import Window

_BATCH = 4  # windows that are encoded together


class FeatureCache:
    """Encodes windows of one stack's frames and keeps a bounded number of them.

    Parameters
    ----------
    model : Model
    reader : FrameReader
    capacity : int
        Windows kept; the one unused for longest goes first.
    """

    def __init__(self, model: Model, reader: FrameReader, capacity: int) -> None:
        self._model = model
        self._reader = reader
        self._capacity = capacity
        self._kept: OrderedDict[tuple[int, Window], ImageFeatures] = OrderedDict()
        self.encoded = 0

    def get(self, frame: int, windows: Sequence[Window]) -> ImageFeatures:
        """Return the features of windows of a frame, encoding those that are not kept.

        Returns
        -------
        ImageFeatures
            A batch in the order of the windows; a batch of one where all are the same.
        """
        distinct = list(dict.fromkeys(windows))
        found = {w: self._kept[frame, w] for w in distinct if (frame, w) in self._kept}
        missing = [window for window in distinct if window not in found]
        if missing:
            # First what is kept makes room: the peak is one frame less.
            for window in found:
                self._kept.move_to_end((frame, window))
            self._forget_down_to(self._capacity - len(missing))
            found |= self._encode(frame, missing)
        for window in distinct:
            self._kept[frame, window] = found[window]
            self._kept.move_to_end((frame, window))
        self._forget_down_to(self._capacity)
        if len(distinct) == 1:
            return found[distinct[0]]
        return ImageFeatures.joined([found[window] for window in windows])

    def expect(self, frames: Sequence[int]) -> None:
        """Have frames read in the background that come next, unless features of them are kept."""
        kept = {frame for frame, _ in self._kept}
        self._reader.expect([frame for frame in frames if frame not in kept])

    def shrink(self) -> None:
        """Let go of all features, and keep half as many from now on."""
        self._kept.clear()
        self._capacity = max(1, self._capacity // 2)

    def _forget_down_to(self, count: int) -> None:
        while len(self._kept) > max(0, count):
            self._kept.popitem(last=False)

    def _encode(self, frame: int, windows: Sequence[Window]) -> dict[Window, ImageFeatures]:
        pixels = self._reader.read(frame)
        size, device = self._model.image_size, self._model.device
        found = {}
        for start in range(0, len(windows), _BATCH):
            batch = windows[start : start + _BATCH]
            images = torch.cat([frame_to_input(pixels, window, size, device) for window in batch])
            with torch.inference_mode(), self._model.precision():
                features = self._model.network.encode_image(images)
            for index, window in enumerate(batch):
                # A copy, or one window that is kept would keep the whole batch alive.
                found[window] = features if len(batch) == 1 else features.frame(index).copied()
        self.encoded += len(windows)
        return found

    def __len__(self) -> int:
        return len(self._kept)
