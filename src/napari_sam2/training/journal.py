"""The log of a run: one JSON object per line, appended."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path


def append_record(path: Path, record: Mapping[str, float | int | str]) -> None:
    """Append one record; floats are rounded to six digits and NaN is left out."""
    kept = {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in record.items()
        if not (isinstance(value, float) and math.isnan(value))
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(kept) + "\n")


def read_records(path: Path) -> list[dict[str, float | int | str]]:
    """Read all records of a log."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
