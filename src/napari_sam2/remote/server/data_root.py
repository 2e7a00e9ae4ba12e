"""`DataRoot`: the folder whose images a server may read, so that they need no upload.

Paths are resolved and confined; what is read is known by its content hash. Any thread may use it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

from napari_sam2.errors import Sam2Error
from napari_sam2.remote.frame_data import FrameData
from napari_sam2.remote.messages import Fields, MessageError, items, whole
from napari_sam2.stack import FrameStack
from napari_sam2.stack.reading import open_stack

_KEPT = 8  # images that stay open
_MOST_PATH, _MOST_AXES = 4096, 16


class DataRoot:
    """Reads frames of images below a folder.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve(strict=True)
        self._open: OrderedDict[tuple[Any, ...], FrameStack] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, fields: Fields, most_pixels: int) -> FrameData | None:
        """Read one frame as a client describes it; None where there is none like that.

        Raises
        ------
        MessageError
            The description is damaged.
        """
        path = self._confined(fields.text("path", _MOST_PATH))
        series: int | str | None = None
        if fields.has("series"):
            raw = fields.raw("series")
            series = raw if isinstance(raw, str) else whole(raw, 0, 2**31, "series")
        level = fields.whole("level", 0, 64)
        options = _options(fields)
        frame = fields.whole("frame", 0, 2**31)
        if path is None:
            return None
        try:
            stack = self._stack((path, series, level, repr(sorted(options.items()))), options)
            rows, columns = stack.frame_shape
            if rows * columns > most_pixels or frame >= stack.n_frames:
                return None
            return FrameData.of(stack.read_stored(frame))
        except Sam2Error:
            return None

    def _confined(self, text: str) -> Path | None:
        """Return the file that a path names, if it lies in the folder, links followed."""
        if "\0" in text:
            raise MessageError("A path has no such character.")
        try:
            found = (self._folder / text).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return found if found.is_relative_to(self._folder) else None

    def _stack(self, key: tuple[Any, ...], options: dict[str, Any]) -> FrameStack:
        path, series, level, _ = key
        with self._lock:
            if key not in self._open:
                while len(self._open) >= _KEPT:
                    self._open.popitem(last=False)
                opened = open_stack(path, series=series, level=level)
                self._open[key] = FrameStack(opened.data, **options)
            self._open.move_to_end(key)
            return self._open[key]


def _options(fields: Fields) -> dict[str, Any]:
    """Read how the frames of an image are to be taken."""

    def axis(name: str) -> int | None:
        return fields.whole(name, 0, _MOST_AXES) if fields.has(name) else None

    channel = axis("channel_axis")
    region = None
    if fields.has("region"):
        region = [whole(side, 0, 2**31, "region") for side in fields.items("region", 4)]
    channels = [whole(each, 0, 2**20, "channel") for each in fields.items("channels", 3)]
    return {
        "axis": axis("axis"),
        "channel_axis": channel,
        "at": {
            whole(items(pair, 2)[0], 0, _MOST_AXES, "at"): whole(items(pair, 2)[1], 0, 2**31, "at")
            for pair in fields.items("at", _MOST_AXES, width=2)
        },
        "channels": None if channel is None else channels,
        "region": region,
        "transposed": fields.truth("transposed"),
    }
