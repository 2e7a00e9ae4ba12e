"""`FrameStack`: the frames of any array, read one at a time.

A stack may be shared between threads; a lock lets one thread read at a time.
"""

from __future__ import annotations

import hashlib
import math
import operator
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import FrameError, StackError
from napari_sam2.stack.contrast import (
    Contrast,
    as_contrasts,
    beyond_noise,
    fixed_contrast,
    is_hidden,
    noise_deviation,
    robust_contrast,
)
from napari_sam2.stack.layout import ChannelAxis, Layout, find_layout
from napari_sam2.stack.validation import ArrayLike, check_array, check_kind
from napari_sam2.types import Region, StackKind

SAMPLED_FRAMES = 16
"""Frames that a robust contrast looks at, at most."""

SAMPLED_SIDE = 256
"""Rows and columns that a robust contrast looks at in each of them, at most."""


_PRINTED_SIDE = 128  # rows and columns that a fingerprint looks at, at most


class FrameStack:
    """Frames of an image along one axis, in a contrast that is constant over the stack.

    Each call of `read` reads one frame from `data`, on one thread at a time; frames are not cached.
    Of the axes that are neither channels nor named in `at`, `axis` is the video and the last two
    others are Y and X. `at` must name all further axes that are longer than 1.

    Parameters
    ----------
    data : array-like
        Anything with `shape`, `dtype` and `__getitem__`, such as a numpy, dask or zarr array:
        YX, TYX, ZYX, TZYX and so on, with a channel axis anywhere. bool, integers and floats.
    axis : int or None
        The video axis. None: a single frame. An image of just Y and X is a single frame anyway.
    channel_axis : int, "auto" or None
        The axis whose one to three channels are composed to a picture: one is grey, two are red
        and green, three are RGB. A last axis of length 4 is RGBA; its alpha is dropped. For a
        longer axis, `channels` chooses. "auto" takes the last axis of uint8, uint16 and float
        images if it has length 3 or 4 and the two axes before it are longer; None takes none.
    contrast : Contrast, (low, high) or a sequence of up to three of these, optional
        Intensities that become 0 and 1, for all channels or for each. By default uint8 RGB keeps
        its values (v / 255), bool becomes 0 and 1, and of anything else the 0.1 and 99.9
        percentiles over up to 16 evenly spaced frames, of RGB together and else per channel, are
        taken when first needed; frames that cannot be read are left out. Two or three channels
        that are no colours span at least `contrast.NOISE_STEPS` deviations of their noise each.
    at : mapping of int to int, optional
        Axes to hold at one position, and that position.
    channels : sequence of int, optional
        Up to three channels along `channel_axis` to compose, in this order; by default the first
        three.
    region : Region or (y0, x0, y1, x1), optional
        The part of every frame that is read, end rows and columns excluded; frames have its size.
    transposed : bool
        Whether X comes before Y in the data: rows and columns of the frames are exchanged.
    kind : StackKind or str
        What the frames are: "z-stack", "time-lapse" or "unknown". Tracking ends objects earlier in
        a z-stack.

    Raises
    ------
    StackError
        When the data has no frames that can be shown: no array, complex, object or text dtypes,
        an axis of length 0, more than three channels, axes that do not fit the shape, or a
        further axis whose position is not given.
    """

    def __init__(
        self,
        data: ArrayLike,
        axis: int | None = 0,
        *,
        channel_axis: ChannelAxis = "auto",
        contrast: Contrast | Sequence[Any] | None = None,
        at: Mapping[int, int] | None = None,
        channels: Sequence[int] | None = None,
        region: Region | Sequence[int] | None = None,
        transposed: bool = False,
        kind: StackKind | str = StackKind.UNKNOWN,
    ) -> None:
        self._data = data
        checked = check_kind(kind)
        self._dtype = check_array(data)
        self._layout = find_layout(
            data.shape,
            self._dtype,
            axis=axis,
            channel_axis=channel_axis,
            at=at or {},
            channels=channels,
            region=region,
            transposed=transposed,
        )
        self._kind = StackKind.UNKNOWN if self._layout.video is None else checked
        self._contrast: tuple[Contrast, ...] | None = None
        if contrast is not None:
            self._contrast = as_contrasts(contrast, self._layout.n_channels)
        self._reading = threading.Lock()
        self._measuring = threading.Lock()
        self._warned = False

    def __repr__(self) -> str:
        frames, rows, columns = self.shape
        return f"<FrameStack of {frames} frames, {rows} x {columns}, {self.dtype}>"

    @property
    def kind(self) -> StackKind:
        """What the frames are; unknown of a single one."""
        return self._kind

    @property
    def n_frames(self) -> int:
        """Frames along the video axis."""
        return self._layout.n_frames

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Rows and columns of a frame."""
        return self._layout.frame_shape

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, rows and columns: the shape that labels of this stack have."""
        return (self.n_frames, *self.frame_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the pixels as stored."""
        return self._dtype

    @property
    def axis(self) -> int | None:
        """The video axis of the data, counted from the front; None for a single frame."""
        return self._layout.video

    @property
    def channel_axis(self) -> int | None:
        """The channel axis of the data, counted from the front."""
        return self._layout.channel

    @property
    def at(self) -> Mapping[int, int]:
        """Positions on the axes that are neither video, channels nor pixels."""
        return MappingProxyType(dict(self._layout.held))

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the data that are composed, in this order; (0,) where it has none."""
        return self._layout.channels

    @property
    def channel_count(self) -> int:
        """Channels that the data has along its channel axis; 1 where it has none."""
        return 1 if self.channel_axis is None else self._layout.shape[self.channel_axis]

    @property
    def transposed(self) -> bool:
        """Whether X comes before Y in the data."""
        return self._layout.y > self._layout.x

    @property
    def frame_axes(self) -> tuple[int, int]:
        """The axes of the data that are rows and columns of a frame."""
        return self._layout.y, self._layout.x

    @property
    def image_shape(self) -> tuple[int, int]:
        """Rows and columns of the data, of which a frame may be a part."""
        return self._layout.image_shape

    @property
    def region(self) -> Region | None:
        """The region of the image that the frames show; None if they show all of it."""
        layout = self._layout
        return None if layout.frame_shape == layout.image_shape else layout.region

    @property
    def n_channels(self) -> int:
        """Channels of a frame as read: 1 (grey) or 3."""
        return 1 if self._layout.n_channels == 1 else 3

    @property
    def contrast(self) -> tuple[Contrast, ...]:
        """The contrast of each channel of the data, alpha aside; measured on first use.

        Raises
        ------
        FrameError
            When none of the frames that are needed for measuring can be read.
        """
        with self._measuring:
            if self._contrast is None:
                self._contrast = self._measure_contrast()
            return self._contrast

    def with_axis(self, axis: int | None, at: Mapping[int, int]) -> FrameStack:
        """Return the frames along another axis or at other positions, with the same settings.

        The kind of frames along another axis is unknown.

        Parameters
        ----------
        axis : int or None
            The video axis.
        at : mapping of int to int
            Axes to hold, and where.

        Raises
        ------
        StackError
            The data has no such frames, or its contrast cannot be measured.
        """
        channel = self.channel_axis
        return FrameStack(
            self._data,
            axis,
            channel_axis=channel,
            contrast=self.contrast,
            at=at,
            channels=None if channel is None else self.channels,
            region=self._layout.region,
            transposed=self.transposed,
            kind=self._kind if axis == self.axis else StackKind.UNKNOWN,
        )

    def fingerprint(self) -> tuple[str | None, ...]:
        """Return digests of some pixels of the first, a middle and the last frame.

        Two stacks of the same pixels have the same ones, and two different images hardly ever.
        A digest is None where the frame cannot be read.

        Returns
        -------
        tuple of str or None
        """
        frames = sorted({0, self.n_frames // 2, self.n_frames - 1})
        rows, columns = self.frame_shape
        steps = (math.ceil(rows / _PRINTED_SIDE), math.ceil(columns / _PRINTED_SIDE))
        prints: list[str | None] = []
        for pixels in (self._fetch_or_error(frame, steps) for frame in frames):
            if isinstance(pixels, FrameError):
                prints.append(None)
                continue
            plain = np.ascontiguousarray(pixels)
            kind = f"{plain.dtype.newbyteorder('<').str} {self.shape}".encode()
            plain = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
            prints.append(hashlib.blake2b(kind + plain.tobytes(), digest_size=16).hexdigest())
        return tuple(prints)

    def read(self, frame: int) -> NDArray[np.float32]:
        """Read one frame.

        Pixels that are NaN or infinite become 0, with one warning per stack.

        Parameters
        ----------
        frame : int
            0 to `n_frames` - 1.

        Returns
        -------
        ndarray of float32, shape (Y, X, C)
            Values 0..1; C is `n_channels`.

        Raises
        ------
        StackError
            When there is no such frame, or no memory for it.
        FrameError
            When the frame cannot be read, or has no finite pixel.
        """
        number = self._check_frame(frame)
        contrasts = self.contrast
        pixels = self._fetch(number)
        picture = np.zeros((*self.frame_shape, self.n_channels), np.float32)
        for channel, contrast in enumerate(contrasts):
            contrast.scale(pixels[..., channel], out=picture[..., channel])
        if self._dtype.kind == "f":
            self._blank_non_finite(pixels, picture, number)
        return picture

    def read_stored(self, frame: int) -> NDArray[Any]:
        """Read the pixels of one frame as they are stored.

        Parameters
        ----------
        frame : int
            0 to `n_frames` - 1.

        Returns
        -------
        ndarray of the stored dtype, shape (Y, X, C)
            C is the number of `channels`.

        Raises
        ------
        StackError
            When there is no such frame, or no memory for it.
        FrameError
            When the frame cannot be read.
        """
        return self._fetch(self._check_frame(frame))

    def _check_frame(self, frame: int) -> int:
        try:
            number = operator.index(frame)
        except TypeError as error:
            raise StackError(f"{frame!r} is no frame number.") from error
        if not 0 <= number < self.n_frames:
            raise StackError(
                f"There is no frame {number}: the stack has {self.n_frames} frame(s).",
                remedy=f"Choose one of 0 to {self.n_frames - 1}.",
            )
        return number

    def _fetch(
        self, frame: int, steps: tuple[int, int] = (1, 1), layout: Layout | None = None
    ) -> NDArray[Any]:
        """Read the stored pixels of a frame, shape (Y, X, channels)."""
        layout = layout or self._layout
        index = layout.index(frame, steps)
        try:
            with self._reading:
                pixels = np.asarray(self._data[index])
        except MemoryError as error:  # nothing is wrong with the frame
            raise StackError(
                f"There is too little memory for frame {frame}: {error}.",
                safe="Nothing that was done on other frames is lost.",
                remedy="Close other programs, or work on a part of the image.",
            ) from error
        except Exception as error:  # whatever the array's own storage raises
            raise FrameError(
                f"Frame {frame} cannot be read: {type(error).__name__}: {error}.",
                frame=frame,
                safe="Nothing that was done on other frames is lost.",
                remedy="Check the file or its copy; frames that can be read still work.",
            ) from error
        height, width = layout.frame_shape
        rows, columns = math.ceil(height / steps[0]), math.ceil(width / steps[1])
        span = max(layout.channels) - min(layout.channels) + 1
        sizes = {layout.y: rows, layout.x: columns, layout.channel: span}
        expected = tuple(map(sizes.__getitem__, layout.read_axes))
        if pixels.shape != expected or pixels.dtype.kind not in "biuf":
            raise FrameError(
                f"Frame {frame} came as {pixels.dtype} of shape {pixels.shape}, "
                f"not as {self._dtype} of shape {expected}.",
                frame=frame,
                remedy="Pass a numpy, dask or zarr array.",
            )
        return layout.compose(pixels)

    def _blank_non_finite(
        self, pixels: NDArray[Any], picture: NDArray[np.float32], frame: int
    ) -> None:
        finite = np.isfinite(pixels)
        if finite.all():
            return
        if not finite.any():
            raise FrameError(
                f"Frame {frame} holds no finite pixel: all are NaN or infinite.",
                frame=frame,
                safe="Nothing that was done on other frames is lost.",
                remedy="Look at the frame in the image; leave it out, or fill it.",
            )
        picture[..., : pixels.shape[-1]][~finite] = 0.0
        with self._measuring:
            first, self._warned = not self._warned, True
        if first:
            warnings.warn(
                f"Frame {frame} holds NaN or infinite pixels; here and in other frames they are "
                "taken as 0 (black).",
                stacklevel=3,
            )

    def shows_little(self, frame: int) -> bool:
        """Return whether nearly all pixels of a frame are black or white in the contrast.

        Looks at `SAMPLED_SIDE` rows and columns at most.

        Raises
        ------
        FrameError
            The frame cannot be read.
        """
        rows, columns = self.frame_shape
        steps = (math.ceil(rows / SAMPLED_SIDE), math.ceil(columns / SAMPLED_SIDE))
        pixels = self._fetch(self._check_frame(frame), steps)
        little = [
            is_hidden(pixels[..., channel], contrast)
            for channel, contrast in enumerate(self.contrast)
        ]
        return all(little)

    def _measure_contrast(self) -> tuple[Contrast, ...]:
        layout = self._layout
        fixed = fixed_contrast(self._dtype, colour=layout.is_colour)
        if fixed is not None:
            return (fixed,) * layout.n_channels
        count = min(self.n_frames, SAMPLED_FRAMES)
        frames = np.linspace(0, self.n_frames - 1, count).round().astype(int)
        rows, columns = self.frame_shape
        steps = (math.ceil(rows / SAMPLED_SIDE), math.ceil(columns / SAMPLED_SIDE))
        sample = self._sample(frames.tolist(), steps)
        if layout.is_colour:
            return (robust_contrast(sample),) * layout.n_channels
        contrasts = [robust_contrast(sample[..., c]) for c in range(layout.n_channels)]
        if len(contrasts) > 1:
            # A channel without objects must not drown one with objects in its stretched noise.
            noise = self._noise(frames.tolist())
            contrasts = [beyond_noise(*pair) for pair in zip(contrasts, noise, strict=True)]
        return tuple(contrasts)

    def _noise(self, frames: Sequence[int]) -> list[float]:
        """Estimate the noise of each channel from the middles of the readable frames."""
        region = self._layout.region
        y, x = (max(0, (size - SAMPLED_SIDE) // 2) for size in region.shape)
        y0, x0 = region.y0 + y, region.x0 + x
        y1, x1 = min(y0 + SAMPLED_SIDE, region.y1), min(x0 + SAMPLED_SIDE, region.x1)
        middle = replace(self._layout, region=Region(y0, x0, y1, x1))
        fetched = [self._fetch_or_error(frame, (1, 1), middle) for frame in frames]
        found = [each for each in fetched if not isinstance(each, FrameError)]
        if not found:
            return [0.0] * self._layout.n_channels
        planes = np.stack(found)
        return [noise_deviation(planes[..., c]) for c in range(planes.shape[-1])]

    def _sample(self, frames: Sequence[int], steps: tuple[int, int]) -> NDArray[Any]:
        """Read pixels of the readable ones of the given frames, shape (frames, Y, X, channels)."""
        fetched = [self._fetch_or_error(frame, steps) for frame in frames]
        found = [each for each in fetched if not isinstance(each, FrameError)]
        failed = [each for each in fetched if isinstance(each, FrameError)]
        if not found:
            raise failed[0]
        if failed:
            warnings.warn(
                f"{failed[0].happened} The contrast is measured on {len(found)} other frames.",
                stacklevel=4,
            )
        return np.stack(found)

    def _fetch_or_error(
        self, frame: int, steps: tuple[int, int], layout: Layout | None = None
    ) -> NDArray[Any] | FrameError:
        try:
            return self._fetch(frame, steps, layout)
        except FrameError as error:
            return error
