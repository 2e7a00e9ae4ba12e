"""Writing of measurement tables: CSV with a header of comments, and Parquet."""

from __future__ import annotations

import csv
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from napari_sam2._atomic import writing
from napari_sam2.errors import MeasurementError

if TYPE_CHECKING:
    from pandas import DataFrame

_CSV = {".csv": ",", ".tsv": "\t"}
_PARQUET = ".parquet"
_TITLE = "napari-sam2 measurements"


def check_table_path(path: Path) -> None:
    """Check the path of a table before the work.

    Raises
    ------
    MeasurementError
        Its suffix is unknown, or what it needs is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in (*_CSV, _PARQUET):
        raise MeasurementError(
            f"A table cannot be written as {path.name}.",
            remedy="Name the file .csv, .tsv or .parquet.",
        )
    if suffix == _PARQUET and find_spec("pyarrow") is None:
        raise MeasurementError(
            "Parquet files need pyarrow, which is not installed.",
            remedy="python -m pip install pyarrow, or name the file .csv.",
        )


def is_measured(path: Path) -> bool:
    """Return whether a CSV file is a table that `write_table` has written."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.readline(len(_TITLE) + 2) == f"# {_TITLE}"


def write_table(table: DataFrame, path: str | PathLike[str]) -> None:
    """Write a table of `measure` to a file, whole or not at all.

    A CSV file begins with lines of ``#`` that name scale and units; read it with
    ``pandas.read_csv(path, comment="#")``. Texts are quoted where one of them has a ``#``. A
    Parquet file keeps ``attrs``.

    Parameters
    ----------
    table : pandas.DataFrame
    path : path
        ``.csv``, ``.tsv`` or ``.parquet``.

    Raises
    ------
    MeasurementError
        The suffix is unknown, or the file cannot be written; a former file is unchanged.
    """
    path = Path(path)
    check_table_path(path)
    suffix = path.suffix.lower()
    with writing(path, "The table", MeasurementError) as temporary:
        if suffix == _PARQUET:
            table.to_parquet(temporary, index=False)
            return
        with temporary.open("x", encoding="utf-8", newline="") as file:
            file.writelines(f"# {line}\n" for line in header_of(table))
            table.to_csv(
                file,
                sep=_CSV[suffix],
                index=False,
                lineterminator="\n",
                quoting=csv.QUOTE_NONNUMERIC if _has_hash(table) else csv.QUOTE_MINIMAL,
            )


def _has_hash(table: DataFrame) -> bool:
    """Return whether a text of the table would be read as a comment."""
    texts = table.select_dtypes(["object", "string"])
    return any("#" in name for name in table.columns) or any(
        "#" in str(value) for column in texts for value in table[column].unique()
    )


def header_of(table: DataFrame) -> list[str]:
    """Return the lines that describe a table: axes, scale, channels and the unit of each column."""
    about = table.attrs
    lines = [f"{_TITLE}, one row per object and frame"]
    if about.get("scale"):
        sizes = ", ".join(f"{size:g}" for size in about["scale"])
        lines.append(f"scale of the axes {about['axes']}: {sizes}")
    by_unit: dict[str, list[str]] = {}
    for column, unit in about.get("units", {}).items():
        by_unit.setdefault(unit, []).append(column)
    lines += [f"unit {unit}: {', '.join(columns)}" for unit, columns in by_unit.items()]
    return [line.replace("\n", " ") for line in lines]
