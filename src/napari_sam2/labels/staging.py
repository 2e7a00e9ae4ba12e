"""Files and folders that take their name only when they are whole."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_sam2.errors import LabelsError


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` that takes its place if the body succeeds.

    Raises
    ------
    LabelsError
        Something cannot be written; what stood at `path` is unchanged.
    """
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            yield temporary
            if temporary.is_dir():
                _swap_folder(temporary, target)
            else:
                _flush(temporary)
                temporary.replace(target)
        finally:
            _delete(temporary)
    except OSError as error:
        raise LabelsError(
            f"The labels cannot be written to {path}: {error.strerror or error}.",
            safe="The labels in memory and what stood there before are unchanged.",
            remedy="Choose a folder that exists, may be written and has space left.",
        ) from error


def _flush(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def _swap_folder(new: Path, target: Path) -> None:
    """Put a folder in the place of another, which no system does in one step."""
    if not target.is_dir():
        new.rename(target)
        return
    former = new.with_suffix(".old")
    target.rename(former)
    try:
        new.rename(target)
    except OSError:
        former.rename(target)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
