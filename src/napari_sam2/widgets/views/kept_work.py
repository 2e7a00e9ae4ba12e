"""The dialog *Kept work*: results on disk, their sizes, and buttons to open and delete them.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QLocale, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QHeaderView,
    QLabel,
    QMessageBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_sam2.labels.store.kept_work import KeptWork
from napari_sam2.widgets.views.base import button, clock, row

_COLUMNS = ("Name", "Folder", "Size", "Last change")


class KeptWorkDialog(QDialog):
    """Lists kept work; asks for one to be opened or deleted.

    Signals
    -------
    open_requested(Path)
        Open this session file.
    delete_requested(Path)
        Delete this folder of results; the user has agreed.
    """

    open_requested = Signal(object)
    delete_requested = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Kept work")
        self._work: tuple[KeptWork, ...] = ()
        self.table = QTableWidget(0, len(_COLUMNS))
        self.table.setHorizontalHeaderLabels(_COLUMNS)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        rows, columns = self.table.verticalHeader(), self.table.horizontalHeader()
        if rows is not None and columns is not None:
            rows.hide()
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setStretchLastSection(True)
        self.total = QLabel("Looking…")
        self.resume = button("Open", "Resume this work on the image that the panel shows.")
        self.delete = button(
            "Delete…", "Delete its labels and scores from the disk. The session file stays."
        )
        self.done_button = button("Close", "Close this window.")
        layout = QVBoxLayout(self)
        layout.addWidget(self.table)
        layout.addWidget(self.total)
        layout.addWidget(row(self.resume, self.delete, self.done_button, stretch=(1, 1, 1)))
        self.table.itemSelectionChanged.connect(self._selected)
        self.resume.clicked.connect(lambda _checked: self._ask_to_open())
        self.delete.clicked.connect(lambda _checked: self._ask_to_delete())
        self.done_button.clicked.connect(lambda _checked: self.close())
        self.resize(640, 320)
        self._selected()

    def show_work(self, work: Sequence[KeptWork]) -> None:
        """Show these pieces of work."""
        self._work = tuple(work)
        locale = QLocale()
        self.table.setRowCount(len(self._work))
        for at, each in enumerate(self._work):
            texts = (
                each.name,
                str(each.path.parent),
                locale.formattedDataSize(each.size),
                clock(each.modified),
            )
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(str(each.path))
                self.table.setItem(at, column, item)
        size = locale.formattedDataSize(sum(each.size for each in self._work))
        count = len(self._work)
        self.total.setText(
            f"{count} piece{'' if count == 1 else 's'} of work, {size} on disk."
            if count
            else "No labels or scores are kept in the folders of this work."
        )
        self._selected()

    def _chosen(self) -> KeptWork | None:
        at = self.table.currentRow()
        chosen = bool(self.table.selectedItems())
        return self._work[at] if chosen and 0 <= at < len(self._work) else None

    def _selected(self) -> None:
        chosen = self._chosen()
        self.resume.setEnabled(chosen is not None and chosen.session is not None)
        self.delete.setEnabled(chosen is not None)

    def _ask_to_open(self) -> None:
        chosen = self._chosen()
        if chosen is not None and chosen.session is not None:
            self.open_requested.emit(chosen.session)
            self.close()

    def _ask_to_delete(self) -> None:
        chosen = self._chosen()
        if chosen is None:
            return
        size = QLocale().formattedDataSize(chosen.size)
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self,
            "Delete kept work",
            f"Delete the labels and scores of {chosen.name} ({size})?\n\nPrompts, names and "
            "accepted masks stay in its session file; other frames would have to be computed "
            "again.",
            buttons.Yes | buttons.No,
            buttons.No,
        )
        if answer == buttons.Yes:
            self.delete_requested.emit(chosen.path)
