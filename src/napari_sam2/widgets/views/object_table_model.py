"""The Qt model of the object table.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from qtpy.QtCore import QModelIndex, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QIcon, QPixmap, QStandardItem, QStandardItemModel

from napari_sam2.widgets.state.object_records import ObjectRow

_SWATCH_PIXELS = 14
_NUMBERS = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_Role = Qt.ItemDataRole


FOUND = "new"
"""Marks objects that were found automatically and that nobody has looked at."""


OUTDATED = "↻"
"""Marks objects with masks that are out of date."""


class TableColumn(NamedTuple):
    """A column of the table.

    Attributes
    ----------
    title, tooltip : str
    text : callable
        Returns the text of an object in it.
    key : callable
        Returns what its rows are sorted by.
    largest_first : bool
        Whether the first click on the title puts the largest values on top.
    """

    title: str
    tooltip: str
    text: Callable[[ObjectRow], str]
    key: Callable[[ObjectRow], Any]
    largest_first: bool = True


def _lowest(row: ObjectRow) -> str:
    return "" if row.lowest is None else f"{row.lowest:.2f}"


def _id(row: ObjectRow) -> str:
    born = "" if row.parent is None else f" ← {row.parent}"
    return f"{row.object_id}{born}{' →' if row.divides else ''}"


def _frames(row: ObjectRow) -> str:
    return f"{row.frames} {OUTDATED}" if row.outdated else str(row.frames)


def _accepted(row: ObjectRow) -> str:
    if row.found:
        return FOUND
    return "all" if row.frames and row.accepted >= row.frames else str(row.accepted or "")


COLUMNS = (
    TableColumn(
        "Id",
        "Label id of the object, and its colour. Untick it to hide the object. ← names the object "
        "that it comes from, and → marks one that divides.",
        _id,
        lambda row: row.object_id,
        largest_first=False,
    ),
    TableColumn(
        "Name",
        "Double-click or press F2 to name the object.",
        lambda row: row.name,
        lambda row: (not row.name, row.name.casefold()),
        largest_first=False,
    ),
    TableColumn(
        "●",
        "Prompts: clicks, lines, boxes and masks that you gave for it.",
        lambda row: str(row.prompts),
        lambda row: row.prompts,
    ),
    TableColumn(
        "Frames",
        f"Frames that it is in. {OUTDATED}: some of its masks are older than its prompts; "
        "propagate again to bring them up to date.",
        _frames,
        lambda row: row.frames,
    ),
    TableColumn(
        "Score",
        "Lowest score of these frames, 0 to 1: object present times predicted IoU.",
        _lowest,
        lambda row: 2.0 if row.lowest is None else row.lowest,
        largest_first=False,
    ),
    TableColumn(
        "▲",
        "Doubtful frames, which deserve a second look. D goes to the next one.",
        lambda row: str(row.doubtful or ""),
        lambda row: row.doubtful,
    ),
    TableColumn(
        "■",
        f"Accepted frames of it. {FOUND}: found by itself, and nobody has looked at it yet.",
        _accepted,
        lambda row: row.accepted,
    ),
)
"""All columns, from left to right; the first two can be ticked and edited."""
ID, NAME = 0, 1


def in_order(
    rows: Iterable[ObjectRow], column: int, *, largest_first: bool
) -> tuple[ObjectRow, ...]:
    """Sort rows by a column; those that are equal there stay in the order of their ids."""
    by_id = sorted(rows, key=lambda row: row.object_id)
    return tuple(sorted(by_id, key=COLUMNS[column].key, reverse=largest_first))


class ObjectTableModel(QStandardItemModel):
    """One row per object.

    The cells are items of Qt's: painting the table calls nothing of Python.

    Attributes
    ----------
    object_ids : tuple of int
        All objects, from top to bottom.

    Signals
    -------
    rename_requested(int, str)
        The user gave an object another name.
    hide_requested(int, bool)
        The user wants an object hidden, or shown.
    """

    rename_requested = Signal(int, str)
    hide_requested = Signal(int, bool)

    def __init__(self, colour: Callable[[int], QColor]) -> None:
        super().__init__(0, len(COLUMNS))
        self._colour = colour
        self._rows: tuple[ObjectRow, ...] = ()
        self.object_ids: tuple[int, ...] = ()
        self._items: list[list[QStandardItem]] = []
        for number, column in enumerate(COLUMNS):
            header = QStandardItem(column.title)
            header.setToolTip(f"{column.tooltip} Click to sort by it.")
            self.setHorizontalHeaderItem(number, header)

    def show(self, rows: tuple[ObjectRow, ...]) -> None:
        """Show these objects; the selection stays where the objects are the same."""
        before, self._rows = self._rows, rows
        ids = tuple([row.object_id for row in rows])
        if ids != self.object_ids:
            self.object_ids = ids
            self.setRowCount(0)
            self._items = [self._new_items(row) for row in rows]
            for items in self._items:
                self.appendRow(items)
            return
        for number, (old, row) in enumerate(zip(before, rows, strict=True)):
            if row != old:
                self._show_row(number, row, old)

    def show_order(self, column: int, *, down: bool) -> None:
        """Show by which column the rows are sorted, and whether the largest value is on top."""
        for number, each in enumerate(COLUMNS):
            arrow = "" if number != column else " ↓" if down else " ↑"
            self.setHeaderData(number, Qt.Orientation.Horizontal, each.title + arrow)

    def lengths(self) -> tuple[int, ...]:
        """Return how many characters the longest text of each column has."""
        longest = [0] * len(COLUMNS)
        for items in self._items:
            for column, item in enumerate(items):
                longest[column] = max(longest[column], len(item.text()))
        return tuple(longest)

    def object_at(self, row: int) -> int:
        """Return the id of the object in a row."""
        return self._rows[row].object_id

    def row_of(self, object_id: int) -> int | None:
        """Return the row of an object; None if it is not there."""
        ids = self.object_ids
        return ids.index(object_id) if object_id in ids else None

    def setData(self, index: QModelIndex, value: Any, role: int = _Role.EditRole) -> bool:
        """Ask for another name, or for an object to be hidden or shown."""
        number = self.object_at(index.row())
        if index.column() == NAME and role == _Role.EditRole:
            self.rename_requested.emit(number, str(value).strip())
            return True
        if index.column() == ID and role == _Role.CheckStateRole:
            self.hide_requested.emit(number, Qt.CheckState(value) != Qt.CheckState.Checked)
            return True
        return False

    def _new_items(self, row: ObjectRow) -> list[QStandardItem]:
        items = []
        for number, column in enumerate(COLUMNS):
            item = QStandardItem(column.text(row))
            item.setToolTip(column.tooltip)
            item.setEditable(number == NAME)
            if number not in (ID, NAME):
                item.setTextAlignment(_NUMBERS)
            items.append(item)
        items[ID].setIcon(_swatch(self._colour(row.object_id)))
        items[ID].setCheckable(True)
        items[ID].setCheckState(_ticked(row))
        return items

    def _show_row(self, number: int, row: ObjectRow, before: ObjectRow) -> None:
        items = self._items[number]
        for item, column in zip(items, COLUMNS, strict=True):
            text = column.text(row)
            if item.text() != text:
                item.setText(text)
        if row.hidden != before.hidden:
            items[ID].setCheckState(_ticked(row))


def _ticked(row: ObjectRow) -> Qt.CheckState:
    return Qt.CheckState.Unchecked if row.hidden else Qt.CheckState.Checked


def _swatch(colour: QColor) -> QIcon:
    """Make a square of a colour that is the same where the row is selected."""
    square = QPixmap(_SWATCH_PIXELS, _SWATCH_PIXELS)
    square.fill(colour)
    icon = QIcon(square)
    icon.addPixmap(square, QIcon.Mode.Selected)
    return icon
