"""The journal of a store: pack files with all that is new, and the last two commits.

A pack file holds many small pieces, each found by its place and verified by a checksum. A piece
never changes. Files whose pieces are not needed any more are deleted; those of which less than half
is needed are copied first. A commit is a file of its own that is written in one step. Functions are
not safe for several threads.
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from napari_sam2._limits import MOST_TEXT_BYTES, check_file, load_json

_SUFFIX = ".pack"


class DamagedPieceError(Exception):
    """A piece is missing or not what was written."""


class PiecePlace(NamedTuple):
    """Where a piece is: number of the file, first byte, number of bytes, and its CRC-32."""

    file: int
    offset: int
    length: int
    checksum: int

    @classmethod
    def of(cls, values: object) -> PiecePlace:
        """Return the place that JSON describes.

        Raises
        ------
        DamagedPieceError
            It is none.
        """
        if not isinstance(values, list) or len(values) != 4:
            raise DamagedPieceError(f"{values!r} is no place.")
        numbers = [value for value in values if type(value) is int and value >= 0]
        if len(numbers) != 4:
            raise DamagedPieceError(f"{values!r} is no place.")
        return cls(*numbers)


@dataclass(slots=True, eq=False)
class Piece:
    """Data that is kept in a pack file, or is still to be written.

    Attributes
    ----------
    data : bytes or None
        Its content until it is written.
    place : PiecePlace or None
        Where it is; None until it is written. It may move from file to file.
    """

    data: bytes | None = None
    place: PiecePlace | None = None

    def as_list(self) -> list[int]:
        """Return its place as JSON stores it.

        Raises
        ------
        ValueError
            It has not been written.
        """
        if self.place is None:
            raise ValueError("The piece has not been written.")
        return list(self.place)


class PackFiles:
    """Pieces of data in the numbered files of a folder.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes: dict[int, int] = {}

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of the files that there are, ascending."""
        stems = [path.stem for path in self._folder.glob(f"*{_SUFFIX}")]
        return tuple(sorted(map(int, filter(str.isdecimal, stems))))

    def write(self, number: int, needed: Iterable[Piece]) -> None:
        """Write the pieces that are not written yet, and those of files that are mostly unneeded.

        Parameters
        ----------
        number : int
            Of the new file.
        needed : iterable of Piece
            All pieces that are needed from now on.

        Raises
        ------
        OSError
            The file cannot be written; no piece has changed.
        """
        needed = list({id(piece): piece for piece in needed}.values())
        fresh = [piece for piece in needed if piece.place is None]
        moved = self._moved(needed)
        if not fresh and not moved:
            return
        parts, places, offset = [], [], 0
        for piece in fresh + moved:
            try:
                data = piece.data if piece.data is not None else self.read(piece)
            except DamagedPieceError:
                continue  # found out again by whoever reads it
            parts.append(data)
            places.append((piece, PiecePlace(number, offset, len(data), zlib.crc32(data))))
            offset += len(data)
        self._folder.mkdir(exist_ok=True)
        path = self._path(number)
        try:
            path.write_bytes(b"".join(parts))
        except OSError:
            _delete(path)
            raise
        self._sizes[number] = offset
        for piece, place in places:
            piece.place, piece.data = place, None

    def read(self, piece: Piece) -> bytes:
        """Return the data of a piece.

        Raises
        ------
        DamagedPieceError
            It is missing, or not what was written.
        """
        if piece.data is not None:
            return piece.data
        place = piece.place
        if place is None:
            raise DamagedPieceError("The piece has not been written.")
        try:
            with self._path(place.file).open("rb") as file:
                # What a damaged place claims is not allocated.
                left = max(0, os.fstat(file.fileno()).st_size - place.offset)
                data = b""
                if 0 < place.length <= left:
                    file.seek(place.offset)
                    data = file.read(place.length)
        except OSError as error:
            raise DamagedPieceError(str(error)) from error
        if len(data) != place.length or zlib.crc32(data) != place.checksum:
            raise DamagedPieceError(f"{self._path(place.file).name} is damaged.")
        return data

    def keep_only(self, files: Iterable[int]) -> None:
        """Delete all files but these."""
        kept = set(files)
        for number in self.numbers:
            if number not in kept:
                _delete(self._path(number))
                self._sizes.pop(number, None)

    def _moved(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Return the pieces that are written, of files of which less than half is needed."""
        by_file: dict[int, list[Piece]] = {}
        for piece in pieces:
            if piece.place is not None:
                by_file.setdefault(piece.place.file, []).append(piece)
        moved = []
        for number, members in by_file.items():
            length = sum(piece.place.length for piece in members if piece.place is not None)
            if 2 * length < self._size(number):
                moved += members
        return moved

    def _size(self, number: int) -> int:
        if number not in self._sizes:
            try:
                self._sizes[number] = self._path(number).stat().st_size
            except OSError:
                self._sizes[number] = 0
        return self._sizes[number]

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}{_SUFFIX}"


def _delete(path: Path) -> None:
    try:
        path.unlink()
    except OSError:  # it is deleted the next time
        return


_COMMIT_HEAD = b"napari-sam2 results 1 "
_SLOTS = 2


def write_commit(folder: Path, number: int, content: Mapping[str, Any]) -> None:
    """Write a commit in the place of the one before the last.

    Raises
    ------
    OSError
        It cannot be written; the commits that are there stay.
    """
    body = json.dumps({"number": number, **content}, separators=(",", ":")).encode()
    path = _commit_file(folder, number)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(
            _COMMIT_HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n" + body
        )
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_commits(folder: Path) -> list[dict[str, Any]]:
    """Return the commits that are whole, the newest first."""
    found = [_read_commit(_commit_file(folder, slot)) for slot in range(_SLOTS)]
    whole = [commit for commit in found if commit is not None]
    return sorted(whole, key=lambda commit: -int(commit["number"]))


def holds_commits(folder: Path) -> bool:
    """Return whether there is any commit, whole or not."""
    return any(_commit_file(folder, slot).exists() for slot in range(_SLOTS))


def _read_commit(path: Path) -> dict[str, Any] | None:
    try:
        check_file(path, MOST_TEXT_BYTES)
        data = path.read_bytes()
    except OSError:
        return None
    head, _, body = data.partition(b"\n")
    if head != _COMMIT_HEAD + hashlib.sha256(body).hexdigest().encode():
        return None
    try:
        commit = load_json(body.decode())
    except ValueError:
        return None
    known = isinstance(commit, dict) and type(commit.get("number")) is int
    return commit if known else None


def _commit_file(folder: Path, number: int) -> Path:
    return folder / f"commit-{number % _SLOTS}"
