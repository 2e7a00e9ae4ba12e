"""The objects of a stack as a Qt table model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
_COLUMNS = (
    ("Id", "Label id of the object, and its colour. Untick it to hide the object."),
    ("Name", "Double-click or press F2 to name the object."),
    ("●", "Prompts: points, boxes and masks that you gave for it."),
    ("Frames", "Frames that it is in."),
    ("Score", "Lowest score of these frames, 0 to 1: object present times predicted IoU."),
    ("■", "Accepted frames of it."),
)
ID, NAME, PROMPTS, FRAMES, LOWEST, ACCEPTED = range(len(_COLUMNS))


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
                self.dataChanged.emit(self.index(i, 0), self.index(i, len(_COLUMNS) - 1))
            return
        self.beginResetModel()
        self._rows = rows
        self.endResetModel()

    def lengths(self) -> tuple[int, ...]:
        """Return how many characters the longest text of each column has."""
        columns = range(len(_COLUMNS))
        return tuple(max((len(_text(row, c)) for row in self._rows), default=0) for c in columns)

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
        return 0 if parent is not None and parent.isValid() else len(_COLUMNS)

    def headerData(self, section: int, orientation: Any, role: int = _Role.DisplayRole) -> Any:
        """Return titles and tooltips of the columns."""
        if orientation == Qt.Orientation.Horizontal:
            if role == _Role.DisplayRole:
                return _COLUMNS[section][0]
            if role == _Role.ToolTipRole:
                return _COLUMNS[section][1]
        return None

    def data(self, index: QModelIndex, role: int = _Role.DisplayRole) -> Any:
        """Return what a cell shows."""
        row, column = self._rows[index.row()], index.column()
        if role in (_Role.DisplayRole, _Role.EditRole):
            return _text(row, column)
        if role == _Role.DecorationRole and column == ID:
            return _swatch(self._colour(row.object_id))
        if role == _Role.CheckStateRole and column == ID:
            return Qt.CheckState.Unchecked if row.hidden else Qt.CheckState.Checked
        if role == _Role.TextAlignmentRole and column not in (ID, NAME):
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role == _Role.ToolTipRole:
            return _COLUMNS[column][1]
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


def _text(row: ObjectRow, column: int) -> str:
    match column:
        case 0:
            return str(row.object_id)
        case 1:
            return row.name
        case 2:
            return str(row.prompts)
        case 3:
            return str(row.frames)
        case 4:
            return "" if row.lowest is None else f"{row.lowest:.2f}"
        case _:
            done = row.frames and row.accepted >= row.frames
            return "all" if done else str(row.accepted or "")
