"""`StackFile`: the file that a stack was opened from, for a server that sees it too.

Any thread may use it.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from napari_sam2.stack import FrameStack, OpenedStack


@dataclass(frozen=True, slots=True)
class StackFile:
    """An image file or folder, and which of its images.

    Attributes
    ----------
    path : Path
    series : int, str or None
    level : int
    """

    path: Path
    series: int | str | None = None
    level: int = 0

    def open(self) -> OpenedStack:
        """Open the image."""
        from napari_sam2.stack.reading import open_stack

        return open_stack(self.path, series=self.series, level=self.level)

    def values(self, stack: FrameStack, data_root: Path | None) -> dict[str, Any]:
        """Return how a server reads the frames of a stack that was opened from the file.

        Parameters
        ----------
        stack : FrameStack
        data_root : Path, optional
            Where the server's folder is seen here; None: where it is on the server.
        """
        path = self.path.absolute()
        if data_root is not None and path.is_relative_to(data_root.absolute()):
            path = path.relative_to(data_root.absolute())
        channel, region = stack.channel_axis, stack.region
        return {
            "path": path.as_posix(),
            "series": self.series,
            "level": self.level,
            "axis": stack.axis,
            "channel_axis": channel,
            "channels": [] if channel is None else list(stack.channels),
            "at": [list(pair) for pair in stack.at.items()],
            "region": None if region is None else list(astuple(region)),
            "transposed": stack.transposed,
        }
