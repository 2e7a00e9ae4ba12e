"""The journal of a run: one JSON object per line, appended."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from napari_sam2._atomic import write_text
from napari_sam2._limits import MOST_TEXT_BYTES, MOST_WHOLE_NUMBER, check_file, load_json
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
    """Read all records of a log; a missing log is empty, and an incomplete line is left out.

    Raises
    ------
    TrainingError
        A line is damaged, or the file cannot be read.
    """
    return [record for _, record in _whole_records(path)]


def rewind(path: Path, step: int) -> None:
    """Remove records after the state that a run resumes from, and an incomplete line.

    Raises
    ------
    TrainingError
        The file cannot be written, or a line is damaged.
    """
    records = _whole_records(path)
    kept = "".join(line for line, record in records if int(record["step"]) <= step)
    try:
        if not path.exists() or path.stat().st_size == len(kept.encode()):
            return
        write_text(path, kept)
    except OSError as error:
        raise _unwritable(path, error) from error


def _whole_records(path: Path) -> list[tuple[str, Record]]:
    """Return the complete lines of a log, and their records."""
    if not path.exists():
        return []
    try:
        check_file(path, MOST_TEXT_BYTES)
        # Bytes: a kill may leave half a character at the end.
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError as error:
        raise TrainingError(
            f"The log {path} cannot be read: {error.strerror or error}.",
            remedy="Check that it may be read, or start a new run in an empty folder.",
        ) from error
    return [_parsed(path, number, line) for number, line in enumerate(lines, start=1)]


def _parsed(path: Path, number: int, line: bytes) -> tuple[str, Record]:
    try:
        text = line.decode()
        record = load_json(text)
        if not isinstance(record, dict) or not _is_record(record):
            raise ValueError("it is no record of numbers with a step")
    except ValueError as error:
        raise TrainingError(
            f"Line {number} of the log {path} is damaged: {error}.",
            safe="The model and the state of the run are not affected.",
            remedy="Delete that line and train again, or start a new run in an empty folder.",
        ) from error
    return text + "\n", record


def _is_record(record: dict[str, object]) -> bool:
    step = record.get("step")
    plain = all(
        isinstance(value, str)
        or (isinstance(value, int | float) and abs(value) <= MOST_WHOLE_NUMBER)
        for value in record.values()
    )
    return plain and isinstance(step, int) and step >= 0


def _unwritable(path: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"The log {path} cannot be written: {error.strerror or error}.",
        safe="The state that was saved last is whole; the run goes on from there.",
        remedy="Make space, check that the folder may be written, and train again.",
    )
