"""The section of review: timeline, doubtful frames, acceptance.

Main thread only.
"""

from __future__ import annotations

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QAction  # type: ignore[attr-defined]
from qtpy.QtWidgets import QLabel, QMenu

from napari_sam2.widgets.state.object_records import ObjectSeries
from napari_sam2.widgets.views.base import Section, button, row, running_text
from napari_sam2.widgets.views.timeline import MARKS, Timeline

# A sign and its meaning stay in one line.
_LEGEND = "&nbsp;&nbsp; ".join(
    f"<span style='color: {colour.name()}'>{sign}</span>&nbsp;{meaning.replace(' ', '&nbsp;')}"
    for sign, meaning, colour in MARKS
)


_SUMMARY_LINES = 3


class ReviewSection(Section):
    """A timeline, and buttons to go from doubt to doubt and to accept.

    Signals
    -------
    frame_requested(int)
        Go to this frame.
    doubt_requested(int), prompted_requested(int)
        Go to the next doubtful or prompted frame: 1 forwards, -1 backwards.
    accept_requested(str)
        Accept "frame" (all objects in it), "here" (the object in it), "object" or "all".
    """

    frame_requested = Signal(int)
    doubt_requested = Signal(int)
    prompted_requested = Signal(int)
    accept_requested = Signal(str)

    def __init__(self) -> None:
        super().__init__("Review")
        self.timeline = Timeline()
        self.legend = QLabel(_LEGEND)
        self.legend.setWordWrap(True)
        self.legend.setToolTip(
            "Bars: score of each frame. Line: area of the object. Hatched: the mask is older than "
            "the prompts it follows from. Click to go to a frame."
        )
        self.summary = running_text(_SUMMARY_LINES)
        # What does not fit stands in its tooltip: the buttons below stay where they are.
        self.summary.setFixedHeight(self.summary.minimumHeight())
        self.doubt = button(
            "Next doubtful",
            "Go to the next frame that deserves a second look: of this object, then of the others "
            "in the order of the table. Key: D; back: Shift-D",
        )
        self.prompted = button(
            "Next prompted", "Go to the next frame with a prompt. Key: E; back: Shift-E"
        )
        self.accept = button("Accept", "Accepted masks are never overwritten. Key A: this frame")
        self.menu = QMenu(self.accept)
        for what, title in _ACCEPT:
            action = QAction(title, self.menu)
            action.triggered.connect(lambda _=False, what=what: self.accept_requested.emit(what))
            self.menu.addAction(action)
        self.accept.setMenu(self.menu)
        self.body.addWidget(self.timeline)
        self.body.addWidget(self.legend)
        self.body.addWidget(self.summary)
        self.body.addWidget(row(self.doubt, self.prompted, self.accept, stretch=(1, 1, 1)))
        self.timeline.frame_requested.connect(self.frame_requested)
        self.doubt.clicked.connect(lambda: self.doubt_requested.emit(1))
        self.prompted.clicked.connect(lambda: self.prompted_requested.emit(1))

    def show_series(self, series: ObjectSeries, frame: int) -> None:
        """Show an object and the frame in view."""
        self.timeline.show_series(series, frame)
        text = series.describe(frame)
        self.summary.setText(text)
        self.summary.setToolTip(text)
        self.prompted.setEnabled(bool(series.prompted))
        if series.doubtful:
            self.show_doubts(True)

    def show_doubts(self, any_doubts: bool) -> None:
        """Show whether any frame of any object is doubtful."""
        self.doubt.setEnabled(any_doubts)


_ACCEPT = (
    ("here", "This object in this frame"),
    ("frame", "All objects in this frame"),
    ("object", "This object in all frames"),
    ("all", "Everything"),
)
