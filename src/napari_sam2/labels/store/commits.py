"""The last two commits of a store, each in a file of its own that is written in one step."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_sam2._limits import MOST_TEXT_BYTES, check_file, load_json

_HEAD = b"napari-sam2 results 1 "
_SLOTS = 2


def write_commit(folder: Path, number: int, content: Mapping[str, Any]) -> None:
    """Write a commit in the place of the one before the last.

    Raises
    ------
    OSError
        It cannot be written; the commits that are there stay.
    """
    body = json.dumps({"number": number, **content}, separators=(",", ":")).encode()
    path = _slot(folder, number)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(_HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def read_commits(folder: Path) -> list[dict[str, Any]]:
    """Return the commits that are whole, the newest first."""
    found = [_read(_slot(folder, slot)) for slot in range(_SLOTS)]
    whole = [commit for commit in found if commit is not None]
    return sorted(whole, key=lambda commit: -int(commit["number"]))


def holds_commits(folder: Path) -> bool:
    """Return whether there is any commit, whole or not."""
    return any(_slot(folder, slot).exists() for slot in range(_SLOTS))


def _read(path: Path) -> dict[str, Any] | None:
    try:
        check_file(path, MOST_TEXT_BYTES)
        data = path.read_bytes()
    except OSError:
        return None
    head, _, body = data.partition(b"\n")
    if head != _HEAD + hashlib.sha256(body).hexdigest().encode():
        return None
    try:
        commit = load_json(body.decode())
    except ValueError:
        return None
    known = isinstance(commit, dict) and type(commit.get("number")) is int
    return commit if known else None


def _slot(folder: Path, number: int) -> Path:
    return folder / f"commit-{number % _SLOTS}"
