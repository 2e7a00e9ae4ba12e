"""The section of Adapt: button, progress, result.

Main thread only.
"""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFrame, QLabel, QProgressBar, QVBoxLayout

from napari_sam2.widgets.views.base import bring_into_view, button, row
from napari_sam2.widgets.views.fields import PanelFields

_TIP = (
    "The model learns from the accepted and prompted masks of this image, and is used from then on "
    "if it is better on masks that it did not learn from. Undo brings the former model back."
)
_PARTS = 1000  # of the progress bar


class AdaptSection(QFrame):
    """A button, what it is about to do, how far that is, and what came of it.

    Parameters
    ----------
    fields : PanelFields

    Signals
    -------
    asked()
        The user thinks of adapting the model.
    adapt_requested(float)
        Adapt it, in so many minutes.
    cancel_requested()
        Adapt it no further.
    """

    asked = Signal()
    adapt_requested = Signal(float)
    cancel_requested = Signal()

    def __init__(self, fields: PanelFields) -> None:
        super().__init__()
        self.adapt = button("Adapt…", _TIP)
        self.state = QLabel()
        self.state.setWordWrap(True)
        self.question = QLabel()
        self.question.setWordWrap(True)
        self.minutes = fields.minutes
        self.begin = button("Adapt", _TIP)
        self.leave = button("Not now", "Leave the model as it is.")
        self.progress = QProgressBar()
        self.progress.setToolTip("How far the adaptation is. Work can go on meanwhile.")
        self.progress.setRange(0, _PARTS)
        self.cancel = button("Cancel", "Adapt no further. The model stays as it is.")
        self._offer = row(self.adapt, self.state, stretch=(0, 1))
        self._choice = row(self.minutes.native, self.begin, self.leave, stretch=(3, 2, 2))
        self._running = row(self.progress, self.cancel, stretch=(1,))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for part in (self._offer, self.question, self._choice, self._running):
            layout.addWidget(part)
        self.adapt.clicked.connect(lambda _checked: self.asked.emit())
        self.begin.clicked.connect(lambda _checked: self.adapt_requested.emit(self.minutes.value))
        self.leave.clicked.connect(lambda _checked: self.show_idle())
        self.cancel.clicked.connect(lambda _checked: self.cancel_requested.emit())
        self._reason, self._result = "", ""
        self.show_idle()

    @property
    def asking(self) -> bool:
        """Whether the user is asked for more."""
        return not self._choice.isHidden()

    def show_possible(self, reason: str) -> None:
        """Show why it is not possible now; empty: it is."""
        if reason != self._reason:
            self._reason = reason
            self._show_state()
            if reason and self.asking:
                self.show_idle()

    def show_idle(self) -> None:
        """Show that nothing is asked and nothing runs."""
        self._show(self._offer)
        self._show_state()

    def show_question(self, text: str) -> None:
        """Say what would be done, and ask whether to."""
        self.question.setText(text)
        self._show(self.question, self._choice)
        bring_into_view(self)

    def show_running(self, text: str, fraction: float) -> None:
        """Show the progress; `text` names the current activity."""
        if self._running.isHidden():
            self.cancel.setEnabled(True)
            self._show(self._running)
        self.progress.setValue(round(_PARTS * fraction))
        self.progress.setFormat(text)

    def show_cancelling(self) -> None:
        """Show that it stops as soon as it can."""
        self.cancel.setEnabled(False)

    def show_result(self, text: str) -> None:
        """Say what came of it."""
        self._result = text
        self.show_idle()

    def _show_state(self) -> None:
        self.adapt.setEnabled(not self._reason)
        self.adapt.setToolTip(f"{self._reason} {_TIP}" if self._reason else _TIP)
        self.state.setText(self._result or self._reason)

    def _show(self, *parts: object) -> None:
        """Show these parts, and hide all others."""
        for part in (self._offer, self.question, self._choice, self._running):
            part.setVisible(part in parts)
