"""Limits of what files from outside may claim, checked before memory or time is spent on it.

Any thread may use them. They are far above what real work needs: only damaged or foreign files
reach them.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from napari_sam2.errors import Sam2Error

_LONG_NUMBER = re.compile(r"[0-9]{309}")  # the largest float has so many digits

MOST_TEXT_BYTES = 2**29
"""Bytes of a file of prompts or of a session, which is read whole."""

MOST_NOTE_BYTES = 2**20
"""Bytes of the small JSON files beside models and runs."""

MOST_METADATA_BYTES = 2**28
"""Bytes of one metadata file of a zarr; a consolidated one describes thousands of arrays."""

MOST_FRAME_PIXELS = 450_000_000
"""Pixels of a frame whose masks are read before its image is known."""

MOST_MASK_PIXELS = 2**33
"""Pixels of all mask prompts of one session file together."""

MOST_POINTS = 10_000
"""Clicks on one object in one frame."""

MOST_WHOLE_NUMBER = 2**63 - 1
"""The largest whole number that arrays hold."""

MOST_LAYERS = 256
"""Layers, blocks or stages of a network in one list or count of its configuration."""

MOST_WIDTH = 2**16
"""Any other number in a network's configuration, such as channels and sides of images."""

MOST_IMAGE_SIDE = 8192
"""Pixels along a side of a network's input."""

MOST_MODEL_BYTES = 2**33
"""Bytes of a downloaded model whose size is not listed."""

MOST_EXPANSION = 4
"""Times the size of a file that its tensors may take: a PyTorch file is not compressed."""

MOST_CHUNK_BYTES = 2**31
"""Bytes of one zarr chunk, which is decoded whole to read a pixel of it."""

MOST_CHUNKS = 2**18
"""Chunks that one frame of a zarr array consists of."""

SMALL_CHUNK_PIXELS, MOST_SMALL_CHUNKS = 1024, 2**12
"""The same where a chunk has so few pixels of a frame: nearly all of the time goes to files."""


def check_file(path: Path, most_bytes: int | None = None) -> int:
    """Return the size of a file in bytes, without opening it.

    Raises
    ------
    OSError
        It is not there, is a device, pipe or folder, or has more than `most_bytes`.
    """
    try:
        state = path.stat()
    except ValueError as error:  # a character that no name has
        raise OSError(errno.EINVAL, f"It is no name of a file: {error}", str(path)) from error
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "It is a device or a pipe, not a file", str(path))
    if most_bytes is not None and state.st_size > most_bytes:
        sizes = f"It has {state.st_size / 1e6:.0f} MB, more than {most_bytes / 1e6:.0f} MB"
        raise OSError(errno.EFBIG, sizes, str(path))
    return state.st_size


def read_note(path: Path, most_bytes: int = MOST_NOTE_BYTES) -> Any:
    """Return the content of a small JSON file.

    Raises
    ------
    OSError
        It cannot be read, or is larger than any such file.
    ValueError
        It is no UTF-8 or no JSON.
    """
    check_file(path, most_bytes)
    return load_json(path.read_text(encoding="utf-8"))


def load_json(text: str, **options: Any) -> Any:
    """Return the content of JSON text; options are those of `json.loads`.

    Raises
    ------
    ValueError
        It is no JSON, has a whole number that is too large for a float, or is nested too deeply.
    """
    if _LONG_NUMBER.search(text):
        options.setdefault("parse_int", _whole_number)  # slower: only where it can matter
    try:
        return json.loads(text, **options)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error


def _whole_number(digits: str) -> int:
    try:
        number = int(digits)
        float(number)
    except (OverflowError, ValueError) as error:
        raise ValueError(f"it has a number of {len(digits)} digits") from error
    return number


def chosen_folder(variable: str) -> Path | None:
    """Return the folder that an environment variable names; None if it names none.

    Raises
    ------
    Sam2Error
        It begins with the name of a user whom this machine does not know, or is no path.
    """
    chosen = os.environ.get(variable, "").strip()
    if not chosen:
        return None
    try:
        return Path(chosen).expanduser().absolute()
    except (RuntimeError, OSError, ValueError) as error:
        raise Sam2Error(
            f"The folder {chosen!r}, which {variable} names, cannot be used: {error}.",
            remedy=f"Give {variable} the full path of a folder, or unset it.",
        ) from error
