"""`ResultStore`: labels, records and state of one session on disk, whole after every commit.

The folder is a zarr group. Its array ``labels`` has one row of chunks per frame, its array
``records`` the measurements of each object in each frame. A commit first writes all that is new to
a pack file, then its own file, and then the chunks of the arrays; what a kill leaves of the
last step is done again from the pack file when the store is opened.
"""

from __future__ import annotations

import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from napari_sam2.errors import StoreError, StoreInUseError
from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.frame_records import FrameRecord
from napari_sam2.labels.masks import Box
from napari_sam2.labels.store.chunk_rows import (
    Cell,
    ChunkRows,
    DamagedChunkError,
    checksum,
    chunk_side,
)
from napari_sam2.labels.store.journal import (
    DamagedPieceError,
    PackFiles,
    Piece,
    PiecePlace,
    holds_commits,
    read_commits,
    write_commit,
)

STORE_SUFFIX = ".sam2.zarr"
"""End of the names of stores, as ``.sam2.json`` is that of session files."""

UNFINISHED = ".unfinished"
"""Name of a file in the folder of a command that has not come to its end."""

FINISHED = ".finished"
"""Name of a file in the folder of a command that has: the digest of its session file."""

_SIDE = 2048  # longest side of a chunk of labels
_PATIENCE_S = 2.0  # a session that is being closed is not yet gone
_OBJECTS = 32  # objects in a chunk of records
_MOST_OBJECTS = 2**20
_FIELDS = 7
_ARRAYS = ("labels", "records")
_DAMAGE = (DamagedPieceError, KeyError, TypeError, ValueError, OverflowError, zlib.error)


@dataclass(frozen=True, slots=True, eq=False)
class ChangedFrame:
    """Labels of a frame that are to be written.

    Attributes
    ----------
    frame : int
    labels : ndarray of int, shape (Y, X)
    box : Box or None
        Where they have changed; None: anywhere.
    """

    frame: int
    labels: Labels
    box: Box | None = None


class ResultStore:
    """Results of one session in a folder that no other session writes to.

    Not for several threads at once: the session sees to that.

    Parameters
    ----------
    path : Path
        The folder; it is made if it is not there.
    shape : (T, Y, X)
    dtype : dtype
        Of the labels.
    about : mapping of str to JSON values
        What the session is about, such as the fingerprint of its image.
    anew : bool
        Replace what the folder holds of an earlier session: with the first commit, before which it
        stays whole.

    Raises
    ------
    StoreInUseError
        Another session writes to the folder.
    StoreError
        The folder cannot be written to, is no store, or holds results of another shape.

    Attributes
    ----------
    path : Path
    about : dict
        As given; that of the earlier session where one is continued.
    state : dict or None
        State of the earlier session; None: there is none.
    """

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        about: Mapping[str, Any],
        *,
        anew: bool = False,
    ) -> None:
        self.path = path.absolute()
        self.about = dict(about)
        self.state: dict[str, Any] | None = None
        self._packs = PackFiles(self.path / "packs")
        self._number = 0
        self._kept_files: frozenset[int] = frozenset()  # of the last commit
        self._unwritten: dict[tuple[int, Cell], bytes] = {}  # chunks of the last commit
        self._columns: dict[int, int] = {}
        self._superseded = False  # whether chunks of an earlier session are still there
        self._lock = FileLock(self.path / ".lock", timeout=_PATIENCE_S, thread_local=False)
        self._open()
        sides = (chunk_side(shape[1], _SIDE), chunk_side(shape[2], _SIDE))
        try:
            self._labels = ChunkRows(self.path / "labels", shape, dtype, sides)
            table = (shape[0], _OBJECTS, _FIELDS)
            chunk = (_OBJECTS, _FIELDS)
            self._records = ChunkRows(self.path / "records", table, np.float64, chunk, np.nan)
            if anew:
                self._supersede()
            else:
                self._resume()
            self._describe()
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return not self._lock.is_locked

    def close(self) -> None:
        """Let other sessions write to the folder."""
        self._lock.release()

    def commit(
        self,
        state: Callable[[], Mapping[str, Any]],
        pieces: Iterable[Piece],
        frames: Iterable[ChangedFrame] = (),
        records: Iterable[FrameRecord] = (),
    ) -> None:
        """Write all that has changed, or nothing.

        Parameters
        ----------
        state : callable
            Gives the state as JSON values; called when all pieces have a place.
        pieces : iterable of Piece
            All that the state refers to.
        frames : iterable of ChangedFrame
        records : iterable of FrameRecord

        Raises
        ------
        StoreError
            They cannot be written; what was committed before is there, whole.
        """
        try:
            if self._unwritten:
                self._write_chunks()
            self._commit(state, list(pieces), frames, records)
            self._write_chunks()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def read(self, piece: Piece) -> bytes:
        """Return the data of a piece.

        Raises
        ------
        DamagedPieceError
            It is missing or damaged.
        """
        return self._packs.read(piece)

    def frames(self) -> Iterator[tuple[int, Labels | None]]:
        """Yield each frame that is kept with its labels (Y, X); None where they are damaged."""
        for frame in self._labels.frames:
            try:
                yield frame, self._labels.read(frame)
            except DamagedChunkError:
                yield frame, None

    def records(self) -> Iterator[FrameRecord]:
        """Yield all records; those that are damaged are left out."""
        for frame in self._records.frames:
            yield from self.frame_records(frame)

    def frame_records(self, frame: int) -> tuple[FrameRecord, ...]:
        """Return the records of one frame; none where they are damaged."""
        numbers = {column: number for number, column in self._columns.items()}
        try:
            table = self._records.read(frame)
        except DamagedChunkError:
            return ()
        known = np.flatnonzero(~np.isnan(table[:, 0])).tolist()
        return tuple(
            [_record(numbers[each], frame, table[each]) for each in known if each in numbers]
        )

    def _open(self) -> None:
        try:
            if self.path.is_dir() and not holds_commits(self.path) and not _is_free(self.path):
                raise StoreError(
                    f"{self.path} is a folder with something else in it.",
                    safe="It is unchanged.",
                    remedy="Choose another name for the results.",
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        except Timeout as error:
            raise StoreInUseError(
                f"The results in {self.path} belong to a session that is open, perhaps in "
                "another window.",
                path=self.path,
                safe="They are unchanged.",
                remedy="Close that session, or choose another place.",
            ) from error
        except (OSError, NotImplementedError) as error:
            raise _unwritable(self.path, error) from error

    def _describe(self) -> None:
        """Write the metadata by which any zarr reader finds the arrays."""
        try:
            if not (self.path / "zarr.json").exists():
                zarr.create_group(store=self.path, zarr_format=3)
            self._labels.describe()
            self._records.describe()
        except OSError as error:
            raise _unwritable(self.path, error) from error

    # Commits.

    def _commit(
        self,
        state: Callable[[], Mapping[str, Any]],
        pieces: list[Piece],
        frames: Iterable[ChangedFrame],
        records: Iterable[FrameRecord],
    ) -> None:
        labels = self._encoded(frames)
        table, columns, measured = self._measured(records)
        indices = self._labels.indexed(labels.items()), table.indexed(measured.items())
        index_pieces = [Piece(zlib.compress(index.tobytes(), 1)) for index in indices]
        chunks = {(0, cell): data for cell, data in labels.items()}
        chunks |= {(1, cell): data for cell, data in measured.items()}
        fresh = dict(zip(chunks, map(Piece, chunks.values()), strict=True))
        needed = [*pieces, *index_pieces, *fresh.values()]
        number = self._number + 1
        self._packs.write(number, needed)
        content = {
            "about": self.about,
            "shape": self._labels.shape,
            "dtype": self._labels.dtype.str,
            "objects": list(columns),
            "rows": table.shape[1],
            "indices": [piece.as_list() for piece in index_pieces],
            "chunks": [[array, *cell, piece.as_list()] for (array, cell), piece in fresh.items()],
            "state": state(),
        }
        write_commit(self.path, number, content)
        grown = table.shape != self._records.shape
        self._number, self._columns, self._records = number, columns, table
        self._labels.index, self._records.index = indices
        self._unwritten = chunks
        files = frozenset([piece.place.file for piece in needed if piece.place is not None])
        self._packs.keep_only(files | self._kept_files)
        self._kept_files = files
        if self._superseded:
            self._labels.drop_unindexed()
            self._records.drop_unindexed()
            self._superseded = False
        if grown:
            self._records.describe()

    def _encoded(self, frames: Iterable[ChangedFrame]) -> dict[Cell, bytes]:
        chunks: dict[Cell, bytes] = {}
        for each in frames:
            written = self._labels.index[each.frame].any()
            chunks |= self._labels.encode(each.frame, each.labels, each.box if written else None)
        return chunks

    def _measured(
        self, records: Iterable[FrameRecord]
    ) -> tuple[ChunkRows, dict[int, int], dict[Cell, bytes]]:
        """Return the table of records, the rows of the objects, and the chunks that change."""
        by_frame: dict[int, list[FrameRecord]] = {}
        columns = dict(self._columns)
        for record in records:
            by_frame.setdefault(record.frame, []).append(record)
            columns.setdefault(record.object_id, len(columns))
        table = self._records
        if len(columns) > table.shape[1]:
            table = table.lengthened(2 * len(columns))
        chunks: dict[Cell, bytes] = {}
        for frame, members in by_frame.items():
            try:
                plane = table.read(frame)
            except DamagedChunkError:
                plane = np.full(table.shape[1:], np.nan)
            rows = [columns[record.object_id] for record in members]
            plane[rows] = [_row(record) for record in members]
            box = slice(min(rows), max(rows) + 1), slice(0, _FIELDS)
            chunks |= table.encode(frame, plane, box if table.index[frame].any() else None)
        return table, columns, chunks

    def _write_chunks(self) -> None:
        """Write the chunks of the last commit that are not in their places yet."""
        arrays = self._labels, self._records
        for array, cell in list(self._unwritten):
            arrays[array].write(cell, self._unwritten[array, cell])
            del self._unwritten[array, cell]

    # Opening of a store that is there.

    def _supersede(self) -> None:
        """Begin an empty session, whose first commit takes the place of what is there."""
        try:
            commits = read_commits(self.path)
            if not any(self._fits(commit) for commit in commits):
                _clear(self.path)
                return
        except OSError as error:
            raise _unwritable(self.path, error) from error
        numbers = self._packs.numbers
        self._number = max([0, *numbers, *(commit["number"] for commit in commits)])
        self._kept_files, self._superseded = frozenset(numbers), True

    def _fits(self, commit: Mapping[str, Any]) -> bool:
        """Return whether a commit is of labels of this shape and dtype."""
        shape, dtype = list(self._labels.shape), self._labels.dtype.str
        return commit.get("shape") == shape and commit.get("dtype") == dtype

    def _resume(self) -> None:
        commits = read_commits(self.path)
        for commit in commits:
            if self._take(commit):
                break
        self._number = max([self._number, *self._packs.numbers, *(c["number"] for c in commits)])

    def _take(self, commit: Mapping[str, Any]) -> bool:
        """Continue from a commit; return whether it could be done."""
        if not self._fits(commit):
            shape, dtype = self._labels.shape, self._labels.dtype
            raise StoreError(
                f"The results in {self.path} are of {commit.get('dtype')} labels of shape "
                f"{commit.get('shape')}, not {dtype} of {shape}.",
                safe="They are unchanged.",
                remedy="Open the image that they were made for, or choose another place.",
            )
        try:
            rows, numbers = int(commit["rows"]), [int(number) for number in commit["objects"]]
            if not _OBJECTS <= rows <= _MOST_OBJECTS or len(numbers) > rows:
                raise ValueError(f"{rows} rows of records")
            labels, records = (Piece(place=PiecePlace.of(each)) for each in commit["indices"])
            table = self._records if rows == _OBJECTS else self._records.lengthened(rows)
            self._labels.index = self._index(labels, self._labels)
            table.index = self._index(records, table)
            chunks = [
                (int(array), (int(frame), int(row), int(column)), Piece(place=PiecePlace.of(place)))
                for array, frame, row, column, place in commit["chunks"]
            ]
            state, about = dict(commit["state"]), dict(commit["about"])
        except _DAMAGE:
            self._labels.index[:] = 0
            return False
        self._records, self._columns = table, {n: at for at, n in enumerate(numbers)}
        self._number, self.state, self.about = int(commit["number"]), state, about
        self._kept_files = frozenset(self._packs.numbers)
        self._repeat(chunks)
        return True

    def _index(self, piece: Piece, array: ChunkRows) -> NDArray[np.uint32]:
        wanted = array.index.shape
        size = int(np.prod(wanted)) * 4
        data = zlib.decompressobj().decompress(self._packs.read(piece), size + 1)
        if len(data) != size:
            raise DamagedPieceError("The index has another size.")
        return np.frombuffer(data, np.uint32).reshape(wanted).copy()

    def _repeat(self, chunks: Sequence[tuple[int, Cell, Piece]]) -> None:
        """Write chunks of the last commit that a kill may have left unwritten."""
        arrays = self._labels, self._records
        for array, cell, piece in chunks:
            try:
                data = self._packs.read(piece)
                if arrays[array].index[cell] == checksum(data):
                    arrays[array].write(cell, data)
            except (DamagedPieceError, IndexError):
                continue  # if the chunk is damaged too, its frame is
            except OSError as error:
                raise _unwritable(self.path, error) from error


def part_of(folder: Path, at: Mapping[int, int]) -> Path:
    """Return the store, in the folder of a whole image, of its stack at these positions.

    Parameters
    ----------
    folder : Path
    at : mapping of int to int
        Positions by axis; empty if the image is one stack, whose store is the folder itself.
    """
    name = ".".join([f"{axis}={index}" for axis, index in sorted(at.items())])
    return folder / name if name else folder


def read_about(path: Path) -> dict[str, Any] | None:
    """Return what the newest commit of a store says of it, without opening it; None if nothing.

    The keys are those of `ResultStore.about`, with ``shape``, ``objects`` and ``propagated``.
    """
    for commit in read_commits(path):
        about = commit.get("about")
        if isinstance(about, dict):
            state = commit.get("state")
            return {
                **about,
                "shape": commit.get("shape"),
                "objects": commit.get("objects"),
                "propagated": isinstance(state, dict) and bool(state.get("propagated")),
            }
    return None


def _is_free(path: Path) -> bool:
    """Return whether a folder holds nothing but what an unfinished store may have left."""
    ours = {"zarr.json", *_ARRAYS, "packs", ".lock", UNFINISHED, FINISHED}
    return all(each.name in ours or each.name.startswith(".commit") for each in path.iterdir())


def _clear(path: Path) -> None:
    # Commits first: a kill must not leave one that speaks of chunks which are deleted.
    for slot in path.glob("commit-?"):
        slot.unlink()
    for name in (*_ARRAYS, "packs"):
        if (path / name).is_dir():
            shutil.rmtree(path / name)


def _row(record: FrameRecord) -> list[float]:
    values = (record.score, record.presence, record.agreement)
    optional = [np.nan if value is None else float(value) for value in values]
    return [float(record.area), *record.centre, *optional, float(record.filling)]


def _record(object_id: int, frame: int, row: NDArray[np.float64]) -> FrameRecord:
    area, y, x, *optional, filling = row.tolist()
    score, presence, agreement = (None if np.isnan(value) else value for value in optional)
    known = score, presence, agreement, bool(filling)
    return FrameRecord(object_id, frame, int(area), (y, x), *known)


def _unwritable(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"Results cannot be kept in {path}: {error}.",
        safe="What was kept there before is unchanged.",
        remedy="Free space on the disk, or choose a folder that may be written to.",
    )
