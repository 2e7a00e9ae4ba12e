"""The section of results: tracks layer, measurements with a plot, divisions.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QCheckBox, QComboBox, QLabel

from napari_sam2.widgets.views.base import Fold, button, row
from napari_sam2.widgets.views.results.column_plot import ColumnPlot


class ResultsSection(Fold):
    """Shows results while the labels change.

    Signals
    -------
    tracks_toggled(bool), measuring_toggled(bool)
        The user wants a Tracks layer, or measurements.
    column_chosen(str)
        Plot this column.
    divide_requested()
        The selected objects divide in the frame in view.
    undivide_requested()
        The current object does not divide.
    proposals_requested()
        Look for divisions.
    cancel_requested()
        Look no further for them.
    answer_requested(bool)
        Accept the division that is proposed, or refuse it.
    """

    tracks_toggled = Signal(bool)
    measuring_toggled = Signal(bool)
    column_chosen = Signal(str)
    divide_requested = Signal()
    undivide_requested = Signal()
    proposals_requested = Signal()
    cancel_requested = Signal()
    answer_requested = Signal(bool)

    def __init__(self) -> None:
        super().__init__("Tracks and measurements")
        self.divide = button(
            "Divides here",
            "The selected parent ends, and the selected daughters begin, in this frame. Key: Y",
        )
        self.undivide = button("No division", "The selected objects do not divide after all.")
        self.search = button(
            "Find divisions", "Follow objects backward to where they come from, and propose."
        )
        self.proposal = QLabel()
        self.proposal.setWordWrap(True)
        self.accept = button("Accept", "The object divides so. Undo takes it back.")
        self.refuse = button("Refuse", "It does not, and is not proposed again.")
        self._answer = row(self.proposal, self.accept, self.refuse, stretch=(1,))
        self.tracks = QCheckBox("Tracks layer")
        self.tracks.setToolTip("Show the tracks of all objects in a layer that follows the labels.")
        self.measuring = QCheckBox("Measure")
        self.measuring.setToolTip(
            "Keep napari's features table of the labels filled for the frame in view, and plot."
        )
        self.column = QComboBox()
        self.column.setToolTip("What is plotted over time for the selected objects.")
        self.column.setAccessibleName("Plotted column")
        self.plot = ColumnPlot()
        self.body.addWidget(row(self.divide, self.undivide, self.search, stretch=(1, 1, 1)))
        self.body.addWidget(self._answer)
        self.body.addWidget(row(self.tracks, self.measuring, self.column, stretch=(0, 0, 1)))
        self.body.addWidget(self.plot)
        self.divide.clicked.connect(lambda _checked: self.divide_requested.emit())
        self.undivide.clicked.connect(lambda _checked: self.undivide_requested.emit())
        self.search.clicked.connect(lambda _checked: self._search_clicked())
        self.accept.clicked.connect(lambda _checked: self.answer_requested.emit(True))
        self.refuse.clicked.connect(lambda _checked: self.answer_requested.emit(False))
        self.tracks.toggled.connect(self.tracks_toggled)
        self.measuring.toggled.connect(self._measuring_toggled)
        self.column.textActivated.connect(self.column_chosen)
        self.show_searching(None)
        self.show_proposal("")
        self._show_plot(False)

    def show_columns(self, columns: Sequence[str]) -> str:
        """Offer these columns; return the one that is chosen."""
        before = self.column.currentText()
        if [self.column.itemText(i) for i in range(self.column.count())] != list(columns):
            self.column.clear()
            self.column.addItems(list(columns))
            if before in columns:
                self.column.setCurrentText(before)
            elif "area" in columns:
                self.column.setCurrentText("area")
        return self.column.currentText()

    def show_proposal(self, text: str) -> None:
        """Show a proposed division; empty: there is none."""
        self.proposal.setText(text)
        self._answer.setVisible(bool(text))

    def show_searching(self, done: float | None) -> None:
        """Show how much of the search for divisions is done, in 0..1; None: nothing is searched."""
        self._searching = done is not None
        self.search.setText("Find divisions" if done is None else f"Cancel ({done:.0%})")

    def _search_clicked(self) -> None:
        (self.cancel_requested if self._searching else self.proposals_requested).emit()

    def _measuring_toggled(self, ticked: bool) -> None:
        self._show_plot(ticked)
        self.measuring_toggled.emit(ticked)

    def _show_plot(self, shown: bool) -> None:
        self.column.setVisible(shown)
        self.plot.setVisible(shown)
