"""Telling of an output that cannot be written before the work, not after it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from napari_sam2.errors import Sam2Error


def check_output(path: Path, error: type[Sam2Error], *, inputs: Iterable[Path] = ()) -> None:
    """Check that a file can be meant as an output.

    Parameters
    ----------
    path : Path
        Where the output is to go.
    error : type of Sam2Error
        What to raise.
    inputs : iterable of Path
        Files that must not be overwritten.

    Raises
    ------
    Sam2Error
        Of the given type, if the path is an input, or its folder is missing or read-only.
    """
    if any(path.resolve() == given.resolve() for given in inputs):
        raise error(
            f"{path} is an input of this run.",
            safe="It was not touched.",
            remedy="Give another path for the output.",
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise error(
            f"There is no folder {folder}.",
            remedy="Make it first, or give another path for the output.",
        )
    if not os.access(folder, os.W_OK):
        raise error(
            f"The folder {folder} may not be written to.",
            remedy="Give another path for the output.",
        )
