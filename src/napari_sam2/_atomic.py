"""Writing of files and folders that take their name only when they are complete.

Pure functions of the file system; any thread may use them. They raise the `OSError` of the system,
which callers turn into an error about their own file.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which replaces `path` if the body succeeds.

    The body writes a file or a folder there. A file is flushed to the disk before it takes the
    name, so that a crash or a full disk leaves what stood at `path` whole.

    Raises
    ------
    OSError
        Something cannot be written; what stood at `path` is unchanged.
    """
    target = path.resolve()
    # The body opens it by name, so that the user's umask decides who may read it.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        if temporary.is_dir():
            _swap_folder(temporary, target)
        else:
            _flush(temporary)
            temporary.replace(target)
    finally:
        _delete(temporary)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to a file in one step; see `replacing`."""
    with replacing(path) as temporary, temporary.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)


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
