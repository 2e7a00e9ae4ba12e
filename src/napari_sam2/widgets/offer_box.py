"""View: earlier work on the image that can be gone on with."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_sam2.widgets.parts import button


class OfferBox(QWidget):
    """One sentence and a button; not there while there is nothing to offer."""

    def __init__(self) -> None:
        super().__init__()
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.resume = button(
            "Resume",
            "Bring its prompts, accepted masks and names back. Start begins anew; the earlier work "
            "stays in its file.",
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text, 1)
        layout.addWidget(self.resume)
        self.hide()

    def show_work(self, text: str) -> None:
        """Offer work; empty: there is none."""
        self.text.setText(text)
        self.setVisible(bool(text))
