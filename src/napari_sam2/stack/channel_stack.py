"""Arrays of one shape as channels of one array that is read when it is indexed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import StackError
from napari_sam2.stack.lazy_array import LazyArray
from napari_sam2.stack.validation import MAX_CHANNELS, ArrayLike, check_array, check_shape


class ChannelStack(LazyArray):
    """Channels that lie in arrays of their own, as one array-like (..., C, Y, X).

    Nothing is copied: what is indexed of it is read from the arrays then. Pass it to `FrameStack`
    with `channel_axis` as below; other axes keep the numbers that they have in the arrays.

    Parameters
    ----------
    *channels : array-like
        One to three of the same shape (..., Y, X): red, green and blue. Dtypes may differ.

    Attributes
    ----------
    dtype : dtype
        That holds the values of all channels.
    channel_axis : int
        Axis of the channels: the one before Y and X.

    Raises
    ------
    StackError
        They are no arrays of pixels, too many, or of different shapes.
    """

    def __init__(self, *channels: ArrayLike) -> None:
        if not 1 <= len(channels) <= MAX_CHANNELS:
            raise StackError(
                f"A picture is composed of one to {MAX_CHANNELS} channels, not of {len(channels)}.",
                remedy="Choose the channels that show the objects best.",
            )
        dtypes = [check_array(channel) for channel in channels]
        shapes = [check_shape(channel.shape) for channel in channels]
        if len(set(shapes)) > 1:
            raise StackError(
                f"Channels of different shapes cannot be composed: {shapes}.",
                remedy="Choose images of the same size.",
            )
        super().__init__((*shapes[0][:-2], len(channels), *shapes[0][-2:]), np.result_type(*dtypes))
        self._channels = channels
        self.channel_axis = len(shapes[0]) - 2

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read integers and slices along each axis, as numpy understands them."""
        parts = self.places(index)
        if parts is None:  # masks, lists: all is read
            return np.asarray(np.asarray(self)[index])
        wanted, plane = parts[self.channel_axis], parts[self.channel_axis + 1 :]
        where = (*parts[: self.channel_axis], *plane)
        if not isinstance(wanted, slice):
            return np.asarray(self._channels[wanted][where], self.dtype)
        read = [np.asarray(channel[where], self.dtype) for channel in self._channels[wanted]]
        behind = sum(isinstance(part, slice) for part in plane)
        return np.stack(read, axis=read[0].ndim - behind)
