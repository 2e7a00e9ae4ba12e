"""What is known about a model file that was fetched: its hash, and who vouches for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from napari_sam2._atomic import write_text


class Voucher(StrEnum):
    """Who says that a file is the right one."""

    REGISTRY = "registry"
    """The hash is the one that this package lists."""

    USER = "user"
    """The user allowed a hash that this package does not list."""

    FIRST_DOWNLOAD = "first download"
    """This package lists no hash; the first download set it."""


@dataclass(frozen=True, slots=True)
class TrustRecord:
    """Hash and origin of one fetched model file.

    Attributes
    ----------
    sha256 : str
        Hex digest of the file.
    size_bytes : int
        Size of the file.
    voucher : Voucher
        Who says that it is the right one.
    url : str
        Where it came from.
    recorded : str
        UTC time of the record, ISO 8601.
    """

    sha256: str
    size_bytes: int
    voucher: Voucher
    url: str
    recorded: str


def now() -> str:
    """Return the present time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record_path(model_file: Path) -> Path:
    """Return where the record of a model file lies: beside it."""
    return model_file.with_name(model_file.name + ".trust.json")


def write_record(model_file: Path, record: TrustRecord) -> None:
    """Write the record of a model file beside it, atomically."""
    write_text(record_path(model_file), json.dumps(asdict(record), indent=2) + "\n")


def read_record(model_file: Path) -> TrustRecord | None:
    """Read the record of a model file.

    Returns
    -------
    TrustRecord or None
        None if there is none, or if it is damaged: then nobody vouches for the file.
    """
    try:
        values = json.loads(record_path(model_file).read_text(encoding="utf-8"))
        return TrustRecord(**{**values, "voucher": Voucher(values["voucher"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
