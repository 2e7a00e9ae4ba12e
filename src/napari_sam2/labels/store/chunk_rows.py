"""A zarr array with one row of chunks per frame, each chunk verified by a checksum.

The chunks are those of any zarr 3 array, which every zarr reader opens. Here they are encoded and
decoded one by one, so that the same bytes go to a journal first: zarr has no write that takes many
chunks or none.
"""

from __future__ import annotations

import math
import operator
import zlib
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs.zstd import Zstd
from numpy.typing import DTypeLike, NDArray
from zarr.codecs import ZstdCodec

from napari_sam2._atomic import replacing

Cell = tuple[int, int, int]
"""Frame, row and column of a chunk."""

_LEVEL = 1  # of compression: labels are flat, higher levels cost more than they save
_CODEC = Zstd(level=_LEVEL, checksum=True)


class DamagedChunkError(Exception):
    """A chunk is missing or not what was written."""


class ChunkRows:
    """An array (T, A, B) on disk, whose frames are written whole.

    Parameters
    ----------
    folder : Path
        Of the zarr array.
    shape : (T, A, B)
    dtype : dtype
    chunk : (int, int)
        Rows and columns of a chunk; chunks at the end may reach beyond the frame.
    fill : float
        Value of what has not been written.
    index : ndarray of uint32, shape (T, rows, columns), optional
        Checksums of the chunks that are there; 0 where there is none.
    """

    def __init__(
        self,
        folder: Path,
        shape: tuple[int, int, int],
        dtype: DTypeLike,
        chunk: tuple[int, int],
        fill: float = 0,
        index: NDArray[np.uint32] | None = None,
    ) -> None:
        self.folder = folder
        self.shape = shape
        self.dtype: np.dtype[Any] = np.dtype(dtype).newbyteorder("<")
        self.fill = fill
        self._chunk = chunk
        grid = tuple(-(-n // c) for n, c in zip(shape[1:], self._chunk, strict=True))
        self.index = np.zeros((shape[0], *grid), np.uint32) if index is None else index.copy()

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of chunks in a frame."""
        return self.index.shape[1], self.index.shape[2]

    def describe(self) -> None:
        """Write the metadata of the zarr array; chunks stay.

        Raises
        ------
        OSError
            It cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        metadata = self.folder / "zarr.json"
        with replacing(metadata) as temporary:
            array = temporary.parent / "array"
            zarr.create_array(
                store=array,
                shape=self.shape,
                chunks=(1, *self._chunk),
                dtype=self.dtype,
                compressors=ZstdCodec(level=_LEVEL, checksum=True),
                fill_value=self.fill,
                zarr_format=3,
                overwrite=True,
            )
            (array / metadata.name).rename(temporary)

    def encode(
        self, frame: int, plane: NDArray[Any], box: tuple[slice, slice] | None = None
    ) -> dict[Cell, bytes]:
        """Return the chunks of a frame, or those that a box of it touches.

        Parameters
        ----------
        frame : int
        plane : ndarray, shape (A, B)
        box : (slice, slice), optional
            Rows and columns that have changed.
        """
        found: dict[Cell, bytes] = {}
        for row, column in self._touched(box):
            rows, columns = self._inside(row, column)
            part = np.ascontiguousarray(plane[rows, columns], dtype=self.dtype)
            if part.shape != self._chunk:  # zarr stores chunks at the edge whole
                whole = np.full(self._chunk, self.fill, self.dtype)
                whole[: part.shape[0], : part.shape[1]] = part
                part = whole
            found[frame, row, column] = _CODEC.encode(part)
        return found

    def indexed(self, chunks: Iterable[tuple[Cell, bytes]]) -> NDArray[np.uint32]:
        """Return the index with the checksums of these chunks."""
        index = self.index.copy()
        for cell, data in chunks:
            index[cell] = checksum(data)
        return index

    def write(self, cell: Cell, data: bytes) -> None:
        """Write a chunk to its file, in one step.

        Raises
        ------
        OSError
            It cannot be written.
        """
        path = self._path(cell)
        temporary = path.with_name(f".{path.name}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(data)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def read(self, frame: int) -> NDArray[Any]:
        """Return a frame, shape (A, B).

        Raises
        ------
        DamagedChunkError
            A chunk is missing, or not what was written.
        """
        plane = np.full(self.shape[1:], self.fill, self.dtype)
        for row, column in np.argwhere(self.index[frame]).tolist():
            rows, columns = self._inside(row, column)
            part = self._decoded((frame, row, column))
            height, width = plane[rows, columns].shape
            plane[rows, columns] = part[:height, :width]
        return plane

    def drop_unindexed(self) -> None:
        """Delete the chunks of an earlier array that are none of this one."""
        for path in self.folder.joinpath("c").glob("*/*/*"):
            numbers = path.relative_to(self.folder / "c").parts
            cell = tuple(int(number) for number in numbers if number.isdecimal())
            inside = len(cell) == 3 and all(map(operator.lt, cell, self.index.shape))
            if len(cell) == 3 and not (inside and self.index[cell]):
                path.unlink(missing_ok=True)

    @property
    def frames(self) -> Iterator[int]:
        """Frames of which anything is written, ascending."""
        yield from np.flatnonzero(self.index.any(axis=(1, 2))).tolist()

    def lengthened(self, rows: int) -> ChunkRows:
        """Return the same array with more rows; its chunks stay."""
        longer = ChunkRows(
            self.folder,
            (self.shape[0], rows, self.shape[2]),
            self.dtype,
            self._chunk,
            self.fill,
        )
        longer.index[:, : self.index.shape[1]] = self.index
        return longer

    def _decoded(self, cell: Cell) -> NDArray[Any]:
        try:
            data = self._path(cell).read_bytes()
        except OSError as error:
            raise DamagedChunkError(str(error)) from error
        if checksum(data) != self.index[cell]:
            raise DamagedChunkError(f"Chunk {cell} is damaged.")
        part = np.empty(self._chunk, self.dtype)
        try:
            _CODEC.decode(data, part)
        except (RuntimeError, ValueError) as error:
            raise DamagedChunkError(str(error)) from error
        return part

    def _touched(self, box: tuple[slice, slice] | None) -> Iterator[tuple[int, int]]:
        if box is None:
            rows_of_chunks, columns_of_chunks = self.grid
            return product(range(rows_of_chunks), range(columns_of_chunks))
        (height, width), (rows, columns) = self._chunk, box
        return product(
            range(rows.start // height, (rows.stop - 1) // height + 1),
            range(columns.start // width, (columns.stop - 1) // width + 1),
        )

    def _inside(self, row: int, column: int) -> tuple[slice, slice]:
        height, width = self._chunk
        return (
            slice(row * height, min((row + 1) * height, self.shape[1])),
            slice(column * width, min((column + 1) * width, self.shape[2])),
        )

    def _path(self, cell: Cell) -> Path:
        return self.folder.joinpath("c", *map(str, cell))


def chunk_side(length: int, longest: int) -> int:
    """Return the side of equal parts of a length that are not longer than that."""
    return math.ceil(length / math.ceil(length / longest))


def checksum(data: bytes) -> int:
    """Return the checksum of a chunk as the index has it, which is never 0."""
    return zlib.crc32(data) or 1  # 0 is for no chunk
