"""The objects of a stack as a Qt table model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from qtpy.QtCore import (  # type: ignore[attr-defined]
    QAbstractTableModel,
    QModelIndex,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor, QIcon, QPixmap

from napari_sam2.widgets.object_rows import ObjectRow

_SWATCH_PIXELS = 14
_Role = Qt.ItemDataRole


class Column(NamedTuple):
    """A column of the table: its title, its tooltip, and the text of an object in it."""

    title: str
    tooltip: str
    text: Callable[[ObjectRow], str]


def _lowest(row: ObjectRow) -> str:
    return "" if row.lowest is None else f"{row.lowest:.2f}"


def _accepted(row: ObjectRow) -> str:
    return "all" if row.frames and row.accepted >= row.frames else str(row.accepted or "")


COLUMNS = (
    Column(
        "Id",
        "Label id of the object, and its colour. Untick it to hide the object.",
        lambda row: str(row.object_id),
    ),
    Column("Name", "Double-click or press F2 to name the object.", lambda row: row.name),
    Column(
        "●",
        "Prompts: points, boxes and masks that you gave for it.",
        lambda row: str(row.prompts),
    ),
    Column("Frames", "Frames that it is in.", lambda row: str(row.frames)),
    Column(
        "Score",
        "Lowest score of these frames, 0 to 1: object present times predicted IoU.",
        _lowest,
    ),
    Column("■", "Accepted frames of it.", _accepted),
)
"""All columns, from left to right; the first two can be ticked and edited."""
ID, NAME = 0, 1


class ObjectModel(QAbstractTableModel):
    """One row per object.

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
        super().__init__()
        self._colour = colour
        self._rows: tuple[ObjectRow, ...] = ()

    def show(self, rows: tuple[ObjectRow, ...]) -> None:
        """Show these objects; the selection stays where the objects are the same."""
        if [row.object_id for row in rows] == [row.object_id for row in self._rows]:
            changed = [i for i, row in enumerate(rows) if row != self._rows[i]]
            self._rows = rows
            for i in changed:
                self.dataChanged.emit(self.index(i, 0), self.index(i, len(COLUMNS) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def lengths(self) -> tuple[int, ...]:
        """Return how many characters the longest text of each column has."""
        return tuple(
            max((len(column.text(row)) for row in self._rows), default=0) for column in COLUMNS
        )

    def object_at(self, row: int) -> int:
        """Return the id of the object in a row."""
        return self._rows[row].object_id

    def row_of(self, object_id: int) -> int | None:
        """Return the row of an object; None if it is not there."""
        ids = [row.object_id for row in self._rows]
        return ids.index(object_id) if object_id in ids else None

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of objects."""
        return 0 if parent is not None and parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = _Role.DisplayRole) -> Any:
        """Return titles and tooltips of the columns."""
        if orientation == Qt.Orientation.Horizontal:
            if role == _Role.DisplayRole:
                return COLUMNS[section].title
            if role == _Role.ToolTipRole:
                return COLUMNS[section].tooltip
        return None

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        """Return what a cell shows."""
        row, column = self._rows[index.row()], index.column()
        if role in (_Role.DisplayRole, _Role.EditRole):
            return COLUMNS[column].text(row)
        if role == _Role.DecorationRole and column == ID:
            return _swatch(self._colour(row.object_id))
        if role == _Role.CheckStateRole and column == ID:
            return Qt.CheckState.Unchecked if row.hidden else Qt.CheckState.Checked
        if role == _Role.TextAlignmentRole and column not in (ID, NAME):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == _Role.ToolTipRole:
            return COLUMNS[column].tooltip
        return None

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

    def flags(self, index: QModelIndex) -> Any:
        """Names can be edited, objects ticked."""
        flags = super().flags(index)
        if index.column() == NAME:
            flags |= Qt.ItemFlag.ItemIsEditable
        if index.column() == ID:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        return flags


def _swatch(colour: QColor) -> QIcon:
    """Make a square of a colour that is the same where the row is selected."""
    square = QPixmap(_SWATCH_PIXELS, _SWATCH_PIXELS)
    square.fill(colour)
    icon = QIcon(square)
    icon.addPixmap(square, QIcon.Mode.Selected)
    return icon
