"""The section of found objects: search, progress, choice among similar ones, acceptance.

Main thread only.
"""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QProgressBar

from napari_sam2.widgets.views.base import Fold, Section, button, captioned, row
from napari_sam2.widgets.views.fields import PanelFields

_PARTS = 100  # of the progress bar


class FindSection(Section):
    """Looks for objects, shows how far that is, and what came of it.

    Parameters
    ----------
    fields : PanelFields
    along : bool
        There is a stack to search through.

    Signals
    -------
    find_requested()
        Look for objects in the frame in view.
    like_requested()
        Look for objects like the selected ones.
    cancel_requested()
        Look no further.
    keep_requested(), leave_requested()
        Add the similar objects that are chosen, or none.
    accept_requested(), discard_requested()
        Accept all found objects that nobody has looked at, or take them away.
    """

    find_requested = Signal()
    like_requested = Signal()
    cancel_requested = Signal()
    keep_requested = Signal()
    leave_requested = Signal()
    accept_requested = Signal()
    discard_requested = Signal()

    def __init__(self, fields: PanelFields, *, along: bool = True) -> None:
        super().__init__("Find objects")
        self.search = button(
            "Find objects",
            "Look for objects in the frame in view where none is yet. Each becomes an object with "
            "one point, as if you had clicked it; Undo takes all of them back. Key: F",
        )
        self.like = button(
            "More like these",
            "Look for objects in the frame in view whose size and appearance are like those of the "
            "objects that are selected in the table. You see them before any is added.",
        )
        self.progress = QProgressBar()
        self.progress.setToolTip("How far the search is.")
        self.progress.setRange(0, _PARTS)
        self.cancel = button("Cancel", "Look no further. Nothing is added.")
        self.choice = QLabel()
        self.choice.setWordWrap(True)
        self.keep = button("Add", "Make objects of those that are outlined.")
        self.leave = button("None", "Add none of them.")
        self.accept = button(
            "Accept all found",
            "Accept the masks of all objects that were found and not looked at, as they are. "
            "Key: Shift-A",
        )
        self.discard = button(
            "Throw found away",
            "Take all objects that were found and not looked at out of all frames.",
        )
        self.state = QLabel()
        self.state.setWordWrap(True)
        self._ways = row(self.search, self.like, stretch=(1, 1))
        self._running = row(self.progress, self.cancel, stretch=(1,))
        self._alike = captioned("Alike", fields.similarity.native)
        self._decide = row(self.keep, self.leave, stretch=(1, 1))
        self._found = row(self.accept, self.discard, stretch=(1, 1))
        parts = (self._ways, self._running, self.choice, self._alike, self._decide)
        for part in (*parts, self._found, self.state):
            self.body.addWidget(part)
        fold = Fold("Sizes, part and frames" if along else "Sizes and part")
        to = QLabel("to")
        sizes = fields.min_size.native, to, fields.max_size.native
        fold.add_row("Area in px", *sizes, stretch=(1, 0, 1))
        fold.add_row("", fields.in_view.native)
        if along:
            again = QLabel("every"), fields.look_again.native, QLabel("frames")
            fold.add_row("Again", *again, stretch=(0, 1, 0))
        self.body.addWidget(fold)
        self.search.clicked.connect(lambda _checked: self.find_requested.emit())
        self.like.clicked.connect(lambda _checked: self.like_requested.emit())
        self.cancel.clicked.connect(lambda _checked: self.cancel_requested.emit())
        self.keep.clicked.connect(lambda _checked: self.keep_requested.emit())
        self.leave.clicked.connect(lambda _checked: self.leave_requested.emit())
        self.accept.clicked.connect(lambda _checked: self.accept_requested.emit())
        self.discard.clicked.connect(lambda _checked: self.discard_requested.emit())
        self.show_idle("")
        self.show_found(0)

    def show_idle(self, text: str) -> None:
        """Show that nothing is looked for, and what came of the last search."""
        self._show(self._ways)
        self.show_state(text)

    def show_state(self, text: str) -> None:
        """Say something about the last search; empty: nothing."""
        self.state.setText(text)
        self.state.setVisible(bool(text))

    def show_running(self, done: float) -> None:
        """Show how far a search is, in 0..1."""
        if self._running.isHidden():
            self.cancel.setEnabled(True)
            self.show_state("")
            self._show(self._running)
        self.progress.setValue(round(_PARTS * done))

    def show_cancelling(self) -> None:
        """Show that it stops as soon as it can."""
        self.cancel.setEnabled(False)

    def show_choice(self, count: int, total: int) -> None:
        """Ask how many of the objects that were found are to be added."""
        objects = "1 object" if total == 1 else f"{total} objects"
        self.choice.setText(f"{count} of {objects} of this size would be added.")
        self.keep.setText(f"Add {count}")
        self.keep.setEnabled(count > 0)
        if self._decide.isHidden():
            self.show_state("")
            self._show(self.choice, self._alike, self._decide)

    def show_found(self, count: int) -> None:
        """Offer to accept found objects, or to take them away, where there are any."""
        self._found.setVisible(count > 0)

    def show_possible(self, possible: bool) -> None:
        """Show whether anything can be looked for now."""
        self._ways.setEnabled(possible)
        self._found.setEnabled(possible)

    def _show(self, *parts: object) -> None:
        """Show these parts, and hide all others that come and go."""
        for part in (self._ways, self._running, self.choice, self._alike, self._decide):
            part.setVisible(part in parts)
