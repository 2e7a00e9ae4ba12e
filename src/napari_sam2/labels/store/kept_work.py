"""Lists and deletes the stores of results that are in some folders. Any thread."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from napari_sam2._atomic import clear_leftovers, delete_folder
from napari_sam2.errors import StoreError, StoreInUseError
from napari_sam2.labels.store.journal import holds_commits
from napari_sam2.labels.store.result_store import STORE_SUFFIX


@dataclass(frozen=True, slots=True)
class KeptWork:
    """Results of one piece of work on disk.

    Attributes
    ----------
    path : Path
        Their folder.
    size : int
        Bytes on disk.
    modified : float
        When they were changed last, in seconds of `time.time`.
    session : Path or None
        The session file beside them, if there is one.
    """

    path: Path
    size: int
    modified: float
    session: Path | None

    @property
    def name(self) -> str:
        """Name without its ending."""
        return self.path.name.removesuffix(STORE_SUFFIX)


def find_kept_work(folders: Iterable[Path]) -> tuple[KeptWork, ...]:
    """Return the results in some folders, the newest first; sub-folders are not searched."""
    found = []
    for folder in dict.fromkeys(each.absolute() for each in folders):
        try:
            paths = sorted(folder.glob(f"*{STORE_SUFFIX}"))
        except OSError:  # it may not be read
            continue
        found += [_described(path) for path in paths if _stores(path)]
    return tuple(sorted(found, key=lambda work: -work.modified))


def delete_kept_work(path: Path) -> None:
    """Delete the results in a folder; the session file beside it stays.

    Raises
    ------
    StoreInUseError
        A session writes to them.
    StoreError
        The folder holds no results, or cannot be deleted.
    """
    stores = _stores(path)
    if not stores:
        raise StoreError(f"{path} holds no results.", safe="It is unchanged.")
    locks: list[FileLock] = []
    try:
        for store in stores:
            locks.append(FileLock(store / ".lock", timeout=0, thread_local=False))
            locks[-1].acquire()
        for lock in locks:  # Windows renames no folder in which a file is open
            lock.release()
        clear_leftovers(path.parent)
        delete_folder(path)  # at once: half of a folder would be half of the work
    except Timeout as error:
        raise StoreInUseError(
            f"The results in {path} belong to work that is open.",
            path=path,
            safe="They are unchanged.",
            remedy="Close it first, here or in the other window.",
        ) from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be deleted: {error}.",
            safe="It is unchanged.",
            remedy="Check whether the folder may be written to.",
        ) from error
    finally:
        for lock in locks:
            lock.release()


def _stores(path: Path) -> list[Path]:
    """Return the stores in a folder: itself, or one for each stack of an image."""
    if not path.is_dir():
        return []
    if holds_commits(path):
        return [path]
    return [each for each in sorted(path.iterdir()) if each.is_dir() and holds_commits(each)]


def size_of(path: Path) -> int:
    """Return the bytes of all files in a folder; 0 where there is none."""
    return _size_and_time(path)[0]


def _described(path: Path) -> KeptWork:
    size, modified = _size_and_time(path)
    session = path.with_name(path.name.removesuffix(".zarr") + ".json")
    return KeptWork(path, size, modified, session if session.exists() else None)


def _size_and_time(path: Path) -> tuple[int, float]:
    """Return the bytes of all files in a folder, and when one was changed last."""
    size, modified = 0, 0.0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                found = Path(folder, name).stat()
            except OSError:  # it has just been replaced
                continue
            size, modified = size + found.st_size, max(modified, found.st_mtime)
    return size, modified
