"""`FrameCache`: compressed frames of all clients by content hash, in bounded memory.

Any thread may use it. `CachedFrames` is the array of one session that reads from it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from napari_sam2.remote.frame_data import FrameData, FrameHead, dtype_named


class NeededError(BaseException):
    """The server lacks something that the client has; the request can be made again with it.

    It is no `Exception`: an engine that meets a frame that it cannot read leaves it out, and a
    frame that is only not here yet must not be left out.

    Attributes
    ----------
    frames : tuple of int
    items : tuple of bytes
        Keys of decided frames.
    memories : tuple of int
        Objects whose recent frames are not known any more.
    """

    def __init__(
        self,
        *,
        frames: Iterable[int] = (),
        items: Iterable[bytes] = (),
        memories: Iterable[int] = (),
    ) -> None:
        super().__init__()
        self.frames, self.items, self.memories = tuple(frames), tuple(items), tuple(memories)

    def values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "frames": list(self.frames),
            "items": [key.hex() for key in self.items],
            "memories": list(self.memories),
        }


class FrameCache:
    """Keeps frames up to a number of bytes; the one unused for longest goes first.

    Parameters
    ----------
    most_bytes : int
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._frames: OrderedDict[bytes, FrameData] = OrderedDict()
        self._lock = threading.Lock()
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: FrameData) -> None:
        """Store a frame whose pixels have been checked."""
        with self._lock:
            if frame.key in self._frames:
                self._frames.move_to_end(frame.key)
                return
            self._frames[frame.key] = frame
            self.nbytes += len(frame.data)
            while self.nbytes > self._most and len(self._frames) > 1:
                _, old = self._frames.popitem(last=False)
                self.nbytes -= len(old.data)

    def get(self, key: bytes) -> FrameData | None:
        """Return a frame, or None."""
        with self._lock:
            if key in self._frames:
                self._frames.move_to_end(key)
            return self._frames.get(key)

    def missing(self, keys: Iterable[bytes]) -> list[bytes]:
        """Return which frames are not here; those that are count as used."""
        return [key for key in keys if self.get(key) is None]


class CachedFrames:
    """An array (T, Y, X) or (T, Y, X, C) whose frames are in the cache, or are needed.

    Parameters
    ----------
    cache : FrameCache
    n_frames : int
    head : FrameHead
        Of every frame.
    """

    def __init__(self, cache: FrameCache, n_frames: int, head: FrameHead) -> None:
        self._cache = cache
        self._head = head
        self._keys: dict[int, bytes] = {}
        self._unreadable: dict[int, str] = {}
        rows, columns, channels = head.shape
        sides = (n_frames, rows, columns)
        self.shape: tuple[int, ...] = sides if channels == 1 else (*sides, channels)
        self.dtype = dtype_named(head.dtype)

    def state(self, keys: Mapping[int, bytes], unreadable: Mapping[int, str]) -> None:
        """Store the client's hashes of frames, or its reasons why it cannot read them."""
        self._keys |= keys
        self._unreadable = dict(unreadable)

    def __getitem__(self, index: tuple[Any, ...]) -> Any:
        frame, *inside = index
        if frame in self._unreadable:
            raise OSError(self._unreadable[frame])
        found = self._cache.get(self._keys[frame]) if frame in self._keys else None
        if found is None or found.head != self._head:
            raise NeededError(frames=[frame])
        pixels = found.pixels()
        plain = pixels[..., 0] if self._head.shape[2] == 1 else pixels
        return np.ascontiguousarray(plain[tuple(inside)])
