"""`FrameSender`: gives a server the frames of one stack, each once and only when it is needed.

Frames are read, hashed and sent on the thread that needs them, or ahead of time on one of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.errors import FrameError, RemoteError, Sam2Error
from napari_sam2.remote.channel import Channel, InterruptedWaitError, Pixels
from napari_sam2.remote.frame_data import FrameData, FrameHead, dtype_named
from napari_sam2.remote.messages import Message, MessageError
from napari_sam2.remote.stack_file import StackFile
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.images.frame_reader import FrameReader

_LEVELS = {"uint8": 255, "uint16": 65535}


class _Stored:
    """A stack whose frames are read as they travel."""

    def __init__(self, stack: FrameStack, pixels: Pixels) -> None:
        self._stack = stack
        self._pixels = pixels

    def read(self, frame: int) -> NDArray[Any]:
        """Read a frame, (Y, X, C)."""
        if self._pixels == "stored":
            return self._stack.read_stored(frame)
        seen = self._stack.read(frame) * _LEVELS[self._pixels]
        return np.rint(seen).astype(self._pixels)


class FrameSender:
    """Knows the hashes of the frames of a stack, and which of them the server has.

    Parameters
    ----------
    channel : Channel
    stack : FrameStack
    attempts : int
        How often a frame is tried whose storage fails.
    source : StackFile, optional
        The file of the stack.

    Attributes
    ----------
    head : FrameHead
        Of every frame as it travels.
    contrast : tuple of (float, float)
        Of each of its channels.
    keys : dict of int to bytes
        Hashes of the frames that have been read.
    unreadable : dict of int to FrameError
    """

    def __init__(
        self,
        channel: Channel,
        stack: FrameStack,
        attempts: int,
        source: StackFile | None = None,
    ) -> None:
        self._channel = channel
        self._stack = stack
        self._source = source
        pixels = channel.pixels
        self._reader = FrameReader(_Stored(stack, pixels), attempts)  # type: ignore[arg-type]
        if pixels == "stored":
            channels, dtype = len(stack.contrast), stack.dtype.name
            self.contrast = tuple((each.low, each.high) for each in stack.contrast)
        else:
            channels, dtype = stack.n_channels, pixels
            self.contrast = ((0.0, float(_LEVELS[pixels])),) * channels
        self.head = FrameHead((*stack.frame_shape, channels), dtype)
        try:
            dtype_named(dtype)
        except MessageError as error:
            raise RemoteError(
                f"Images of {dtype} cannot be sent to a server.",
                remedy="Convert the image to float64 or to integers.",
            ) from error
        self.keys: dict[int, bytes] = {}
        self.unreadable: dict[int, FrameError] = {}
        self._sent: set[int] = set()
        self._lock = threading.RLock()
        self._ahead: ThreadPoolExecutor | None = None
        self._generation = 0  # what was asked for earlier is not sent ahead any more

    def ensure(self, frames: Iterable[int], stopped: Callable[[], bool] = lambda: False) -> None:
        """Send the frames that the server lacks; record those that cannot be read.

        Raises
        ------
        RemoteError
            The server does not answer.
        InterruptedWaitError
            It was stopped.
        """
        for frame in frames:
            with self._lock:
                if frame not in self._sent and frame not in self.unreadable:
                    self._send(frame, stopped)

    def lost(self, frames: Iterable[int]) -> None:
        """Record that the server no longer has these frames."""
        with self._lock:
            self._sent.difference_update(frames)

    def prefetch(self, frames: Iterable[int]) -> None:
        """Send these frames ahead of time."""
        waiting = [frame for frame in frames if frame not in self._sent]
        with self._lock:
            self._generation += 1
            generation = self._generation
            if waiting and self._ahead is None:
                self._ahead = ThreadPoolExecutor(1, "napari-sam2-frames")
            ahead = self._ahead
        if waiting and ahead is not None:
            ahead.submit(self._send_ahead, waiting, generation)

    def stop_background_work(self) -> None:
        """Send nothing ahead any more, and let go of the thread."""
        with self._lock:
            self._generation += 1
            ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.shutdown(wait=False, cancel_futures=True)

    def retry_unreadable(self) -> None:
        """Try frames again that could not be read."""
        with self._lock:
            self._reader.retry_unreadable()
            self.unreadable.clear()

    def _send_ahead(self, frames: Iterable[int], generation: int) -> None:
        for frame in frames:
            if generation != self._generation:
                return
            try:
                self.ensure([frame], lambda: generation != self._generation)
            except (Sam2Error, InterruptedWaitError, RuntimeError):
                return  # whoever needs the frame meets the same, and says so

    def _send(self, frame: int, stopped: Callable[[], bool]) -> None:
        try:
            pixels = self._reader.read(frame)
        except FrameError as error:
            self.unreadable[frame] = error
            return
        data = FrameData.of(pixels)
        self.keys[frame] = data.key
        asked = Message({"keys": [data.key.hex()]})
        answer = self._channel.request("POST", "/v1/frames/missing", asked, stopped)
        if answer.head.get("missing") and not self._is_seen_there(frame, data.key, stopped):
            head = {"frame": data.head.values(), "key": data.key.hex()}
            message = Message(head, (data.data,))
            self._channel.request("POST", "/v1/frames", message, stopped)
        self._sent.add(frame)

    def _is_seen_there(self, frame: int, key: bytes, stopped: Callable[[], bool]) -> bool:
        """Let the server read the frame from a shared file, if it can."""
        if self._source is None or not self._channel.info.data_root:
            return False
        if self._channel.pixels != "stored":
            return False
        values = self._source.values(self._stack, self._channel.data_root)
        message = Message({**values, "frame": frame, "key": key.hex()})
        answer = self._channel.request("POST", "/v1/frames/read", message, stopped)
        if answer.head.get("found") is True:
            return True
        self._source = None  # it is not the same file there
        return False
