"""A table of the prompts of many stacks, told apart by its column ``stack``. Any thread."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from napari_sam2._limits import MOST_TEXT_BYTES, check_file
from napari_sam2.errors import PromptError

STACK_COLUMN = "stack"


def split_table(path: Path) -> Mapping[str, str] | None:
    """Return the rows of each stack of a table as a table of its own, without the column ``stack``.

    Parameters
    ----------
    path : Path
        A .csv or .tsv file of prompts.

    Returns
    -------
    mapping of str to str, or None
        From what the column says to the text of a table; None if there is no such column: then
        all rows are meant for every stack.

    Raises
    ------
    PromptError
        The file cannot be read, or a row does not say which stack it is for.
    """
    try:
        check_file(path, MOST_TEXT_BYTES)
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PromptError(
            f"{path} cannot be read: {error}.",
            remedy="Check the path, and that it is a table of prompts, saved as UTF-8.",
        ) from error
    header_line = text.lstrip("\n\r").partition("\n")[0]
    delimiter = next((mark for mark in ",;\t" if mark in header_line), ",")
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    column: int | None = None
    header: list[str] = []
    rows: dict[str, list[list[str]]] = {}
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not header:
                header = [cell.strip().lower() for cell in cells]
                if STACK_COLUMN not in header:
                    return None
                column = header.index(STACK_COLUMN)
                continue
            stack = cells[column].strip() if column is not None and column < len(cells) else ""
            if not stack:
                raise PromptError(
                    f'{path.name}: Line {reader.line_num}, column "{STACK_COLUMN}": it says '
                    "nothing.",
                    remedy="Write the file name of the stack in every row, or leave the column out "
                    "if all rows are meant for every stack.",
                )
            rows.setdefault(stack, []).append(cells)
    except csv.Error as error:
        raise PromptError(
            f"{path.name}: Line {reader.line_num} cannot be read as CSV: {error}."
        ) from error
    if column is None:
        return None
    return {stack: _table(header, each, column) for stack, each in rows.items()}


def _table(header: list[str], rows: list[list[str]], column: int) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for cells in (header, *rows):
        writer.writerow([cell for number, cell in enumerate(cells) if number != column])
    return text.getvalue()
