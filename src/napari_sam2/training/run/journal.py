"""The journal of a run: one JSON object per line, appended."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from napari_sam2._atomic import write_text
from napari_sam2.errors import TrainingError

Record = dict[str, float | int | str]


def append_record(path: Path, record: Mapping[str, float | int | str]) -> None:
    """Append one record; floats are rounded to six digits and NaN is left out.

    Raises
    ------
    TrainingError
        The file cannot be written.
    """
    kept = {
        key: round(value, 6) if isinstance(value, float) else value
        for key, value in record.items()
        if not (isinstance(value, float) and math.isnan(value))
    }
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(kept) + "\n")
    except OSError as error:
        raise _unwritable(path, error) from error


def read_records(path: Path) -> list[Record]:
    """Read all records of a log; a missing log is empty, and an incomplete line is left out."""
    return [json.loads(line) for line in _whole_lines(path)]


def rewind(path: Path, step: int) -> None:
    """Remove records after the state that a run resumes from, and an incomplete line.

    Raises
    ------
    TrainingError
        The file cannot be written.
    """
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8")
    kept = "".join(line for line in _whole_lines(path) if json.loads(line)["step"] <= step)
    if kept == text:
        return
    try:
        write_text(path, kept)
    except OSError as error:
        raise _unwritable(path, error) from error


def _whole_lines(path: Path) -> list[str]:
    """Return the lines of a log that were written to their end."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [line for line in lines if line.endswith("\n")]


def _unwritable(path: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"The log {path} cannot be written: {error.strerror or error}.",
        safe="The state that was saved last is whole; the run goes on from there.",
        remedy="Make space, check that the folder may be written, and train again.",
    )
