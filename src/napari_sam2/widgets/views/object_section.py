"""The section of objects: table and buttons.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QItemSelectionModel, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractButton, QAbstractItemView, QHeaderView, QTableView

from napari_sam2.widgets.state.object_records import ObjectRow
from napari_sam2.widgets.views.base import Section, button, row
from napari_sam2.widgets.views.object_table_model import (
    COLUMNS,
    ID,
    NAME,
    ObjectTableModel,
    in_order,
)

_ROW_PIXELS = 22
_LEAST_ROWS = 4
_SHARE = 0.3  # of the height of the panel


class ObjectSection(Section):
    """A table of objects, and what can be done to them.

    Signals
    -------
    object_requested(int)
        The user selected this object.
    rename_requested(int, str), hide_requested(int, bool)
        For one object.
    delete_requested(tuple)
        Take these objects away.
    merge_requested(int, tuple)
        Make the other objects a part of the first.
    split_requested(int)
        Make an object of its own of what this one is from the current frame on.
    selection_changed()
        Other rows are selected.
    """

    object_requested = Signal(int)
    rename_requested = Signal(int, str)
    hide_requested = Signal(int, bool)
    delete_requested = Signal(object)
    merge_requested = Signal(int, object)
    split_requested = Signal(int)
    selection_changed = Signal()

    def __init__(self, colour: Callable[[int], QColor]) -> None:
        super().__init__("Objects")
        self.model = ObjectTableModel(colour)
        self.table = _table(self.model)
        self.delete = button("Delete", "Take the selected objects out of all frames, with prompts.")
        self.merge = button(
            "Merge", "Make one object of all selected ones; the first one keeps its id."
        )
        self.split = button(
            "Split off",
            "From this frame on, the object is another one: it gets an id of its own.",
        )
        self.body.addWidget(self.table)
        self.body.addWidget(row(self.delete, self.merge, self.split, stretch=(1, 1, 1)))
        self.model.rename_requested.connect(self.rename_requested)
        self.model.hide_requested.connect(self.hide_requested)
        self._selection = QItemSelectionModel(self.model)
        self.table.setSelectionModel(self._selection)
        self._selection.selectionChanged.connect(self._selected)
        self.delete.clicked.connect(lambda: self.delete_requested.emit(self.chosen))
        self.merge.clicked.connect(
            lambda: self.merge_requested.emit(self.chosen[0], self.chosen[1:])
        )
        self.split.clicked.connect(lambda: self.split_requested.emit(self.chosen[0]))
        self._quiet = False
        self._lengths: tuple[int, ...] = ()
        self._rows: tuple[ObjectRow, ...] = ()
        self._sorted_by, self._largest_first = ID, False
        header = self.table.horizontalHeader()
        if header is not None:
            header.sectionClicked.connect(self._sort_by)
        self.fit_to(0)
        self._show_possible()

    @property
    def order(self) -> tuple[int, ...]:
        """All objects as the table lists them, from top to bottom."""
        return self.model.object_ids

    @property
    def chosen(self) -> tuple[int, ...]:
        """Selected objects, ascending."""
        rows = self._selection.selectedRows()
        return tuple(sorted([self.model.object_at(index.row()) for index in rows]))

    def show_objects(self, rows: tuple[ObjectRow, ...], current: int) -> None:
        """Show these objects; they stay where they are until there are others."""
        known, order = {row.object_id: row for row in rows}, self.model.object_ids
        stays = known.keys() == set(order)
        ordered = tuple(map(known.__getitem__, order)) if stays else self._in_order(rows)
        if not stays or ordered != self._rows or not self._selection.hasSelection():
            self._rows = ordered
            self._show_rows(current)

    def sort(self) -> None:
        """Sort the rows anew by the column that was chosen, with the values of now."""
        rows = self._in_order(self._rows)
        if rows != self._rows:
            self._rows = rows
            self._show_rows(0)

    def fit_to(self, height: int) -> None:
        """Take a share of the height of the panel, in pixels."""
        rows = max(_LEAST_ROWS, round(_SHARE * height / _ROW_PIXELS) - 1)
        self.table.setFixedHeight((rows + 1) * _ROW_PIXELS + 8)

    def _in_order(self, rows: tuple[ObjectRow, ...]) -> tuple[ObjectRow, ...]:
        return in_order(rows, self._sorted_by, largest_first=self._largest_first)

    def _sort_by(self, column: int) -> None:
        """Sort by a column; by the same one again, the other way round."""
        again = column == self._sorted_by
        down = not self._largest_first if again else COLUMNS[column].largest_first
        self._sorted_by, self._largest_first = column, down
        # Qt's own arrow would take room in every column.
        self.model.show_order(column, down=down)
        self._lengths = ()
        self._fit_columns()
        self.sort()

    def _show_rows(self, current: int) -> None:
        chosen, before = self._selection.selectedRows(), self.model.object_ids
        ids = tuple([before[index.row()] for index in chosen])
        self._quiet = True
        self.model.show(self._rows)
        self._fit_columns()
        if not self._selection.hasSelection():
            self._select(tuple(sorted(ids)) or (current,))
            self._show_possible()
        self._quiet = False

    def show_current(self, object_id: int) -> None:
        """Select the object that prompts are for, unless it is one of several selected."""
        if object_id not in self.chosen:
            self._quiet = True
            self._select((object_id,))
            self._quiet = False
            self._show_possible()

    def _fit_columns(self) -> None:
        """Make the columns as wide as their texts, where these are longer or shorter than before.

        A header that does so by itself does it a little later: the table is then painted twice.
        """
        lengths = self.model.lengths()
        if lengths != self._lengths:
            self._lengths = lengths
            self.table.ensurePolished()
            for column in range(len(lengths)):
                if column != NAME:
                    self.table.resizeColumnToContents(column)

    def _select(self, object_ids: tuple[int, ...]) -> None:
        self._selection.clear()
        flags = QItemSelectionModel.SelectionFlag
        for number in object_ids:
            at = self.model.row_of(number)
            if at is not None:
                index = self.model.index(at, 0)
                self._selection.select(index, flags.Select | flags.Rows)
                self._selection.setCurrentIndex(index, flags.NoUpdate)
                self.table.scrollTo(index)

    def _selected(self, *_selection: object) -> None:
        self._show_possible()
        self.selection_changed.emit()
        if not self._quiet and len(self.chosen) == 1:
            self.object_requested.emit(self.chosen[0])

    def _show_possible(self) -> None:
        count = len(self._selection.selectedRows())
        self.delete.setEnabled(count > 0)
        self.merge.setEnabled(count > 1)
        self.split.setEnabled(count == 1)


def _table(model: ObjectTableModel) -> QTableView:
    table = QTableView()
    table.setModel(model)
    table.setAccessibleName("Objects")
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
    # Any other key is a key of the panel, and no letter of a name.
    triggers = QAbstractItemView.EditTrigger
    table.setEditTriggers(triggers.DoubleClicked | triggers.EditKeyPressed)
    table.setShowGrid(False)
    table.setTabKeyNavigation(False)
    rows, columns = QHeaderView(Qt.Orientation.Vertical), QHeaderView(Qt.Orientation.Horizontal)
    table.setVerticalHeader(rows)
    table.setHorizontalHeader(columns)
    rows.hide()
    rows.setDefaultSectionSize(_ROW_PIXELS)
    columns.setMinimumSectionSize(26)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.setTextElideMode(Qt.TextElideMode.ElideRight)
    columns.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    columns.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
    corner = table.findChild(QAbstractButton)
    if corner is not None:
        corner.setToolTip("Select all objects.")
    columns.setSectionsClickable(True)
    return table
