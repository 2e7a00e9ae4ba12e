"""Locks that keep two processes from writing the same thing. Any thread may use them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_sam2.errors import Sam2Error


@contextmanager
def hold(lock_file: Path, refused: Sam2Error) -> Iterator[None]:
    """Hold a lock while the body runs; the system releases it if the process is killed.

    Where the file system has no locks, or the lock file cannot be made, the body runs without.

    Parameters
    ----------
    lock_file : Path
        Made if it is not there; stays.
    refused : Sam2Error
        Raised if someone else holds the lock.
    """
    import filelock  # a while to load, and nothing that only reads needs it

    lock = filelock.FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise refused from None
    except (OSError, NotImplementedError):
        pass
    try:
        yield
    finally:
        lock.release()
