"""Tokens of servers on this computer: from the environment, a file, or the system's keyring.

The keyring is used where the package `keyring` is installed. Any thread may use it.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from napari_sam2.errors import RemoteError

TOKEN_VARIABLE = "NAPARI_SAM2_TOKEN"  # the name of a variable, not a token
_SERVICE = "napari-sam2"
_MOST_BYTES = 4096


def given_token(url: str, file: Path | None = None) -> str | None:
    """Return the token of a server: of a file, the environment or the keyring; None: nowhere.

    Parameters
    ----------
    url : str
        Address of the server.
    file : Path, optional
        A file with nothing but the token.

    Raises
    ------
    RemoteError
        The file cannot be read.
    """
    if file is not None:
        try:
            with file.open(encoding="utf-8", errors="replace") as opened:
                return opened.read(_MOST_BYTES).strip()
        except OSError as error:
            raise RemoteError(
                f"The token file {file} cannot be read: {error.strerror}.",
                remedy="Copy it from the server, readable for you alone.",
            ) from error
    return os.environ.get(TOKEN_VARIABLE, "").strip() or kept_token(url)


def kept_token(url: str) -> str | None:
    """Return the token of a server from the keyring; None if there is none."""
    keyring = _keyring()
    if keyring is None:
        return None
    try:
        found: str | None = keyring.get_password(_SERVICE, url)
    except keyring.errors.KeyringError:
        return None  # it is locked, or was refused: the token is asked for
    return found


def keep_token(url: str, token: str) -> bool:
    """Write the token of a server to the keyring; return whether that was done."""
    keyring = _keyring()
    if keyring is None:
        return False
    try:
        keyring.set_password(_SERVICE, url, token)
    except keyring.errors.KeyringError:
        return False
    return True


def _keyring() -> Any:
    try:
        keyring = import_module("keyring")
        usable = keyring.get_keyring().priority >= 1  # below: plain files, or none
    except (ImportError, RuntimeError):
        return None
    return keyring if usable else None
