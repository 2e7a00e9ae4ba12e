"""Frames as they travel: pixels as they are stored, byte-shuffled and compressed, by content hash.

Any thread may use it. What a frame claims is checked before it is decompressed.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from napari_sam2.remote.messages import HASH_BYTES, Fields, MessageError, whole

_LEVEL = 1  # of zstd: higher ones gain a few per cent on microscopy and take several times as long
_DTYPES = {
    np.dtype(code).name: np.dtype(code).newbyteorder("<")
    for code in ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
}
_MOST_CHANNELS = 4


def dtype_named(name: str) -> np.dtype[Any]:
    """Return a dtype of pixels by its name, little-endian.

    Raises
    ------
    MessageError
        Pixels have no such dtype.
    """
    if name not in _DTYPES:
        raise MessageError(f"Pixels have no dtype {name[:20]!r}.")
    return _DTYPES[name]


@dataclass(frozen=True, slots=True)
class FrameHead:
    """What a frame claims to be.

    Attributes
    ----------
    shape : (Y, X, C)
    dtype : str
        Name of the dtype, such as ``uint16``.
    """

    shape: tuple[int, int, int]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return math.prod(self.shape) * dtype_named(self.dtype).itemsize

    def values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"shape": list(self.shape), "dtype": self.dtype}

    @classmethod
    def of(cls, fields: Fields, most_pixels: int) -> FrameHead:
        """Read it from JSON values.

        Raises
        ------
        MessageError
            It is damaged, or larger than allowed.
        """
        sides = [whole(side, 1, most_pixels, "shape") for side in fields.items("shape", 3)]
        if len(sides) != 3 or sides[2] > _MOST_CHANNELS:
            raise MessageError("A frame has three axes: rows, columns, channels.")
        if sides[0] * sides[1] > most_pixels:
            raise MessageError(f"A frame has more than {most_pixels} pixels.")
        name = fields.text("dtype", 20)
        dtype_named(name)
        return cls((sides[0], sides[1], sides[2]), name)


@dataclass(frozen=True, slots=True, eq=False)
class FrameData:
    """The pixels of a frame, compressed.

    Attributes
    ----------
    key : bytes
        Hash of shape, dtype and pixels.
    head : FrameHead
    data : bytes
    """

    key: bytes
    head: FrameHead
    data: bytes

    @classmethod
    def of(cls, pixels: NDArray[Any]) -> FrameData:
        """Compress pixels (Y, X, C)."""
        head = FrameHead((pixels.shape[0], pixels.shape[1], pixels.shape[2]), pixels.dtype.name)
        plain = np.ascontiguousarray(pixels, dtype_named(head.dtype))
        return cls(_key(head, plain), head, compressed(plain))

    def pixels(self) -> NDArray[Any]:
        """Decompress the pixels, and check them against the hash.

        Raises
        ------
        MessageError
            They are damaged.
        """
        dtype = dtype_named(self.head.dtype)
        plain = decompressed(self.data, math.prod(self.head.shape), dtype)
        pixels = plain.reshape(self.head.shape)
        if _key(self.head, pixels) != self.key:
            raise MessageError("A frame has other pixels than its hash says.")
        return pixels


def _key(head: FrameHead, plain: NDArray[Any]) -> bytes:
    digest = hashlib.blake2b(f"{head.shape} {head.dtype}".encode(), digest_size=HASH_BYTES)
    digest.update(plain.view(np.uint8).data if plain.size else b"")
    return digest.digest()


def compressed(plain: NDArray[Any]) -> bytes:
    """Shuffle the bytes of an array by significance, and compress them with zstd."""
    flat = np.ascontiguousarray(plain).reshape(1, -1)
    if flat.itemsize > 1:
        flat = imagecodecs.byteshuffle_encode(flat, axis=-1)
    return bytes(imagecodecs.zstd_encode(flat.tobytes(), level=_LEVEL))


def decompressed(data: bytes, count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the elements of an array, (count,); no more memory is taken than they need.

    Raises
    ------
    MessageError
        The data are damaged, or of another length.
    """
    out = bytearray(count * dtype.itemsize)  # zstd stops at its end
    try:
        found = imagecodecs.zstd_decode(data, out=out)
    except Exception as error:  # of the codec, for whatever is damaged
        raise MessageError("Compressed data are damaged.") from error
    if len(found) != len(out):
        raise MessageError("Compressed data have another length than they should.")
    flat: NDArray[Any] = np.frombuffer(found, dtype).reshape(1, -1)
    if dtype.itemsize > 1:
        flat = imagecodecs.byteshuffle_decode(flat, axis=-1)
    elements: NDArray[Any] = flat[0]
    return elements
