"""Prompts as CSV text with one point or box per line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from napari_sam2.errors import PromptError
from napari_sam2.prompts.book import PromptBook
from napari_sam2.prompts.checks import check_coordinate, check_finite, check_frame, check_object_id
from napari_sam2.types import ObjectFrame

COLUMNS = ("frame", "object", "kind", "y", "x", "y2", "x2", "positive")

_REQUIRED = COLUMNS[:5]
_YES = frozenset({"true", "1", "1.0", "yes"})
NO = frozenset({"false", "0", "0.0", "no"})
"""What a cell says that is false, in lower case."""

_LAYOUT = f"The header is {','.join(COLUMNS)}; kind is point or box."


def prompts_from_csv(text: str, shape: Sequence[int]) -> PromptBook:
    """Return the prompts of a CSV table for a stack of `shape` (T, Y, X).

    Columns may come in any order, separated by commas, semicolons or tabs; ``y2`` and ``x2`` are
    needed by boxes only, and an empty ``positive`` means the object. All prompts of an object in
    a frame count as one round of clicking.

    Raises
    ------
    PromptError
        The error names the line and the column.
    """
    book = PromptBook(shape)
    box_lines: dict[ObjectFrame, int] = {}
    clicks: dict[ObjectFrame, tuple[list[tuple[float, float]], list[bool]]] = {}
    for row in _rows(text):
        object_id = row.object_id()
        frame = row.frame(book)
        if row.kind() == "point":
            point = row.coordinate("y", book.shape[1]), row.coordinate("x", book.shape[2])
            points, positive = clicks.setdefault(ObjectFrame(object_id, frame), ([], []))
            points.append(point)
            positive.append(row.positive())
            continue
        first = box_lines.setdefault(ObjectFrame(object_id, frame), row.line)
        if first != row.line:
            raise row.error(
                "object",
                f"object {object_id} already has a box in frame {frame}, in line {first}.",
                "Give the second object its own number.",
            )
        row.refuse_background()
        box = [row.number(name) for name in ("y", "x", "y2", "x2")]
        with row.naming("y2"):
            book.add_box(object_id, frame, box)
    for (object_id, frame), (points, positive) in clicks.items():
        try:
            book.add_points(object_id, frame, points, positive)
        except PromptError as error:
            raise PromptError(
                f"Object {object_id}, frame {frame}: {error.happened}", remedy=error.remedy
            ) from error
    if not len(book):
        raise PromptError("The table holds no prompts.", remedy=_LAYOUT)
    for object_id, frame, prompt in book:
        # A table knows no rounds of clicking: what it holds for a frame counts together.
        book.put(object_id, frame, replace(prompt, rounds=()))
    return book


def prompts_to_csv(book: PromptBook, delimiter: str = ",") -> str:
    """Return the prompts as a CSV table, without the rounds they came in.

    Masks do not fit a table and are a `PromptError`.
    """
    table = io.StringIO()
    writer = csv.writer(table, delimiter=delimiter, lineterminator="\n")
    writer.writerow(COLUMNS)
    for object_id, frame, prompt in book:
        if prompt.mask is not None:
            raise PromptError(
                f"Object {object_id} has a mask in frame {frame}, which CSV cannot hold.",
                remedy="Write the prompts as .json instead.",
            )
        if prompt.box is not None:
            writer.writerow((frame, object_id, "box", *map(repr, prompt.box), ""))
        for (y, x), positive in zip(prompt.points, prompt.positive, strict=True):
            sign = "true" if positive else "false"
            writer.writerow((frame, object_id, "point", repr(y), repr(x), "", "", sign))
    return table.getvalue()


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: dict[str, str]

    def error(self, column: str, complaint: str, remedy: str) -> PromptError:
        return PromptError(f'Line {self.line}, column "{column}": {complaint}', remedy=remedy)

    @contextmanager
    def naming(self, column: str) -> Iterator[None]:
        """Add this line and the column to errors of checks raised inside."""
        try:
            yield
        except PromptError as error:
            raise self.error(column, error.happened, error.remedy) from error

    def cell(self, column: str) -> str:
        return self.cells.get(column, "")

    def number(self, column: str) -> float:
        text = self.cell(column)
        try:
            value = float(text)
        except ValueError:
            complaint = "the number is missing." if not text else f"{text!r} is not a number."
            raise self.error(
                column, complaint, "Write numbers with a decimal point, such as 12.5."
            ) from None
        with self.naming(column):
            return check_finite(value, column)

    def whole_number(self, column: str) -> int:
        value = self.number(column)
        if not value.is_integer():
            raise self.error(column, f"{value:g} is not a whole number.", "Write such as 3.")
        return int(value)

    def object_id(self) -> int:
        with self.naming("object"):
            return check_object_id(self.whole_number("object"))

    def frame(self, book: PromptBook) -> int:
        frame = self.whole_number("frame")
        with self.naming("frame"):
            return check_frame(frame, book.shape[0])

    def coordinate(self, column: str, size: int) -> float:
        value = self.number(column)
        with self.naming(column):
            return check_coordinate(value, size, column)

    def kind(self) -> str:
        kind = self.cell("kind").lower()
        if kind not in ("point", "box"):
            raise self.error("kind", f"{kind!r} is no kind of prompt.", "Write point or box.")
        return kind

    def positive(self) -> bool:
        text = self.cell("positive").lower()
        if text and text not in _YES | NO:
            raise self.error("positive", f"{text!r} is unclear.", "Write true or false.")
        return text not in NO

    def refuse_background(self) -> None:
        if not self.positive():
            raise self.error(
                "positive", "a box cannot mark the background.", "Use background points instead."
            )


def _rows(text: str) -> Iterator[_Row]:
    header_line = text.lstrip("\n\r").partition("\n")[0]
    delimiter = next((mark for mark in ",;\t" if mark in header_line), ",")
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    columns: list[str] = []
    try:
        for values in reader:
            cells = [value.strip() for value in values]
            if not any(cells):
                continue
            if not columns:
                columns = _checked_header([name.lower() for name in cells])
            elif len(cells) > len(columns):
                raise PromptError(
                    f"Line {reader.line_num} has {len(cells)} columns, the header {len(columns)}.",
                    remedy="Write numbers with a decimal point, not a comma. " + _LAYOUT,
                )
            else:
                yield _Row(reader.line_num, dict(zip(columns, cells, strict=False)))
    except csv.Error as error:
        raise PromptError(
            f"Line {reader.line_num} cannot be read as CSV: {error}.", remedy=_LAYOUT
        ) from error
    if not columns:
        raise PromptError("The table is empty.", remedy=_LAYOUT)


def _checked_header(columns: list[str]) -> list[str]:
    missing = [name for name in _REQUIRED if name not in columns]
    unknown = [name for name in columns if name not in COLUMNS]
    if missing or unknown or len(set(columns)) < len(columns):
        wrong = (
            f"lacks the column {missing[0]!r}"
            if missing
            else f"has the unknown column {unknown[0]!r}"
            if unknown
            else "names a column twice"
        )
        raise PromptError(f"Line 1: the header {wrong}.", remedy=_LAYOUT)
    return columns
