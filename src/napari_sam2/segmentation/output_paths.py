"""Checks of output paths before the work. Any thread."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from napari_sam2.errors import Sam2Error


def check_outputs(
    paths: Iterable[Path | None], error: type[Sam2Error], *, inputs: Sequence[Path] = ()
) -> None:
    """Check the output paths of a command before its work; None is an output that is not wanted.

    Raises
    ------
    Sam2Error
        Of the given type, if two are the same file, or one cannot be meant; see `check_output`.
    """
    seen: set[Path] = set()
    for path in paths:
        if path is None:
            continue
        check_output(path, error, inputs=inputs)
        if real_path(path) in seen:
            raise error(f"{path} is given for two outputs.", remedy="Give each a path of its own.")
        seen.add(real_path(path))


def check_output(path: Path, error: type[Sam2Error], *, inputs: Iterable[Path] = ()) -> None:
    """Check the path of an output before the work.

    Parameters
    ----------
    path : Path
        Path of the output.
    error : type of Sam2Error
        Type of the error to raise.
    inputs : iterable of Path
        Files that must not be overwritten.

    Raises
    ------
    Sam2Error
        Of the given type, if the path is an input or a folder, or its own folder is missing or
        takes no files, or the name is one that the file system does not take.
    """
    if any(real_path(path) == real_path(given) for given in inputs):
        raise error(
            f"{path} is an input of this run.",
            safe="It was not touched.",
            remedy="Give another path for the output.",
        )
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as reason:  # a name that is too long, say
        raise error(
            f"{path} cannot be written: {reason.strerror or reason}.",
            remedy="Give another path for the output.",
        ) from reason
    if path.is_dir() and not _is_kept_in_folders(path):
        raise error(
            f"{path} is a folder.",
            safe="It was not touched.",
            remedy="Give another path for the output.",
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise error(
            f"There is no folder {folder}.",
            remedy="Make it first, or give another path for the output.",
        )
    try:
        # Asking the system for permissions says nothing about shares, full disks and Windows.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as reason:
        raise error(
            f"The folder {folder} cannot be written to: {reason.strerror or reason}.",
            remedy="Give another path for the output.",
        ) from reason


def real_path(path: Path) -> Path:
    """Resolve links; links in a circle stay as they are."""
    return Path(os.path.realpath(path))


def _is_kept_in_folders(path: Path) -> bool:
    """Return whether labels of this name are a folder of files."""
    from napari_sam2.labels import FORMATS

    suffixes = tuple(s for each in FORMATS if each.folder for s in each.suffixes)
    return path.name.lower().endswith(suffixes)
