"""Records of fetched model files: their hash and the source that vouches for it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from napari_sam2._atomic import write_text
from napari_sam2._limits import read_note


class Voucher(StrEnum):
    """The source that vouches for the hash of a file."""

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
        Source that vouches for the file.
    url : str
        Address that the file came from.
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
    """Return the path of the record of a model file, in the same folder."""
    return model_file.with_name(model_file.name + ".trust.json")


def write_record(model_file: Path, record: TrustRecord) -> None:
    """Write the record of a model file into its folder, atomically."""
    write_text(record_path(model_file), json.dumps(asdict(record), indent=2) + "\n")


def read_record(model_file: Path) -> TrustRecord | None:
    """Read the record of a model file.

    Returns
    -------
    TrustRecord or None
        None if there is none, or if it is damaged: then nobody vouches for the file.
    """
    try:
        values = read_note(record_path(model_file))
        return TrustRecord(**{**values, "voucher": Voucher(values["voucher"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
