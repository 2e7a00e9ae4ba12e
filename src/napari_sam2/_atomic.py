"""Writing of files and folders that take their name only when they are complete.

What is being written lies in a hidden folder beside its target, under the target's own name, so
that every name that the file system takes can be written. The process that writes holds a lock in
that folder: a hidden folder whose lock is free was left by a process that was killed, and is
cleared by the next one that writes there.

Functions of the file system; any thread may use them. They raise the `OSError` of the system;
`writing` turns it into an error for users.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from napari_sam2.errors import Sam2Error

_FOLDER_VIEWS = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
_WORKSPACE = re.compile(r"\.napari-sam2-[0-9a-f]{16}\.tmp")
_LOCK, _NEW, _FORMER = "lock", "new", "former"  # inside such a folder
_ATTEMPTS = 5
_UNLOCKED_S = 3600.0  # a folder without a lock may be about to get one
_AT_FDCWD = -100  # of Linux: paths are as for any other call
_EXCHANGE = 2  # the flag's value on Linux and on macOS
_NO_EXCHANGE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EXDEV}


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path, which replaces `path` if the body succeeds.

    The body writes a file or a folder there. A file is flushed to the disk before it takes the
    name, so that a crash or a full disk leaves what stood at `path` whole. The temporary path has
    the name of `path`, in a hidden folder beside it. Hidden folders that killed processes have
    left there are cleared first; see `clear_leftovers`.

    Raises
    ------
    OSError
        Something cannot be written; what stood at `path` is unchanged.
    """
    target = Path(os.path.realpath(path))  # unlike Path.resolve, never a RuntimeError
    clear_leftovers(target.parent)
    with _workspace(target.parent) as workspace:
        # The body opens it by name, so that the user's umask decides who may read it.
        temporary = workspace / _NEW / target.name
        yield temporary
        if temporary.is_dir():
            _copy_folder_views(target, temporary)
            _swap_folder(temporary, target, workspace / _FORMER)
        else:
            _flush(temporary)
            temporary.replace(target)


@contextmanager
def writing(
    path: Path,
    what: str,
    error: type[Sam2Error],
    safe: str = "What stood there before is unchanged.",
) -> Iterator[Path]:
    """Yield a temporary path as `replacing` does; a failure is an error for users.

    Parameters
    ----------
    path : Path
    what : str
        Begins the error, such as "The tracks".
    error : type of Sam2Error
    safe : str
        What the error says is not lost.

    Raises
    ------
    Sam2Error
        Of the given type: something cannot be written; what stood at `path` is unchanged.
    """
    try:
        with replacing(path) as temporary:
            yield temporary
    except OSError as reason:
        raise error(
            f"{what} cannot be written to {path}: {reason.strerror or reason}.",
            safe=safe,
            remedy="Choose a folder that exists, may be written and has space left.",
        ) from reason


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to a file in one step; see `replacing`."""
    with replacing(path) as temporary, temporary.open("x", encoding="utf-8", newline="\n") as file:
        file.write(text)


def delete_folder(path: Path) -> None:
    """Delete a folder: all of it is out of sight at once.

    What a kill leaves is hidden, and cleared like unfinished writing.

    Raises
    ------
    OSError
        It cannot be moved out of sight; it is unchanged.
    """
    with _workspace(path.parent) as workspace:
        path.rename(workspace / _NEW / path.name)


def contents(folder: Path) -> list[Path]:
    """Return what is in a folder, without the files that file managers leave in any of them."""
    return [each for each in folder.iterdir() if not _is_of_file_manager(each)]


def _is_of_file_manager(path: Path) -> bool:
    return path.name.lower() in _FOLDER_VIEWS or path.name.startswith("._")


def clear_leftovers(folder: Path) -> None:
    """Clear what killed processes of this user have left of unfinished writing in a folder.

    Where a process was killed between the two renames that replace a folder, the new one takes the
    place. Files of processes that still run are not touched. What cannot be cleared is left.
    """
    try:
        with os.scandir(folder) as entries:
            found = [
                Path(entry.path)
                for entry in entries
                if _WORKSPACE.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except (
        OSError,
        ValueError,
    ):  # no such folder, or it may not be read: whoever writes will say so
        return
    for workspace in found:
        with suppress(OSError, NotImplementedError):
            if _is_ours(workspace):
                _clear(workspace)


def recover(path: Path) -> None:
    """Put a folder in its place that a killed process had moved away to replace it."""
    if not os.path.lexists(path):
        clear_leftovers(path.absolute().parent)


def short_name(stem: str, most_bytes: int) -> str:
    """Return a name, or its beginning and a hash of all of it if it has too many bytes."""
    encoded = os.fsencode(stem)
    if len(encoded) <= most_bytes:
        return stem
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    kept = encoded[: most_bytes - len(digest) - 1].decode("utf-8", "ignore")
    return f"{kept}~{digest}"


@contextmanager
def _workspace(folder: Path) -> Iterator[Path]:
    """Make a hidden folder, and hold its lock while the body uses it."""
    workspace, lock = _locked_workspace(folder)
    try:
        (workspace / _NEW).mkdir()
        yield workspace
    finally:
        with suppress(OSError):
            lock.release()
        shutil.rmtree(workspace, ignore_errors=True)


def _locked_workspace(folder: Path) -> tuple[Path, Any]:
    import filelock  # a while to load, and nothing that only reads needs it

    for _ in range(_ATTEMPTS):
        workspace = folder / f".napari-sam2-{secrets.token_hex(8)}.tmp"
        workspace.mkdir()
        lock = filelock.FileLock(workspace / _LOCK)
        try:
            lock.acquire(timeout=0)
        except (filelock.Timeout, FileNotFoundError):
            continue  # another process took it, before it was locked, for one that was left behind
        except (OSError, NotImplementedError):
            pass  # a file system without locks: there nothing is cleared
        return workspace, lock
    raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN), str(folder))


def _is_ours(workspace: Path) -> bool:
    """Tell whether this user made a folder, and its process could have locked it by now."""
    state = workspace.lstat()
    if hasattr(os, "getuid") and state.st_uid != os.getuid():
        return False
    return (workspace / _LOCK).exists() or time.time() - state.st_mtime > _UNLOCKED_S


def _clear(workspace: Path) -> None:
    import filelock

    lock = filelock.FileLock(workspace / _LOCK)
    lock.acquire(timeout=0)  # an OSError: its process runs, or there are no locks here
    try:
        former = workspace / _FORMER
        for folder in former.iterdir() if former.is_dir() else ():
            # It is moved away only when the new one is complete.
            target, new = workspace.parent / folder.name, workspace / _NEW / folder.name
            if not os.path.lexists(target):
                (new if new.is_dir() else folder).rename(target)
    finally:
        lock.release()
    shutil.rmtree(workspace, ignore_errors=True)


def _flush(file: Path) -> None:
    with file.open("rb+") as handle:
        os.fsync(handle.fileno())


def _copy_folder_views(target: Path, new: Path) -> None:
    """Copy what file managers left in a folder that is replaced: it is not ours to delete."""
    for each in target.iterdir() if target.is_dir() else ():
        if _is_of_file_manager(each) and each.is_file():
            shutil.copy2(each, new / each.name)


def _swap_folder(new: Path, target: Path, former: Path) -> None:
    """Put a folder in the place of another: in one step, or in two that `_clear` can complete."""
    if not target.is_dir():
        new.rename(target)
        return
    if _exchange(new, target):
        return
    former.mkdir()
    moved = former / target.name
    target.rename(moved)
    try:
        new.rename(target)
    except OSError:
        moved.rename(target)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; False where the system or the file system cannot."""
    names = os.fsencode(one), os.fsencode(other)
    try:
        system = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            failed = system.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
        else:
            failed = system.renamex_np(*names, _EXCHANGE)
    except (AttributeError, OSError, TypeError):  # no such call; on Windows no such library
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(other))
