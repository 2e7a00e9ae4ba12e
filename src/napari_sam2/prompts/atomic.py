"""Text files that are either wholly written or left as they were."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from napari_sam2.errors import PromptError


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text to `path` in one step.

    The text goes to a temporary file beside it, is flushed to the disk and takes the name at
    the end, so that a crash or a full disk leaves the former file whole.

    Raises
    ------
    PromptError
        The file cannot be written; what stood there before is unchanged.
    """
    target = path.resolve()
    # Opened by name, not by tempfile, so that the user's umask decides who may read it.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        try:
            with temporary.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise PromptError(
            f"{path} cannot be written: {error.strerror or error}.",
            safe="What was there before is unchanged.",
            remedy="Choose a folder that exists, may be written and has space left.",
        ) from error


def read_text(path: Path) -> str:
    """Return the UTF-8 text of `path`, without a byte-order mark."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PromptError(
            f"{path} cannot be read: {error.strerror or error}.",
            remedy="Check the path and that the file may be read.",
        ) from error
    except UnicodeDecodeError as error:
        raise PromptError(
            f"{path} is not a text file (byte {error.start} is not UTF-8).",
            remedy="Choose a session file (.json) or a table of prompts (.csv), saved as UTF-8.",
        ) from error
