"""The list of keys, as a small window of its own."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from napari_sam2.widgets.keymap import MOUSE, shortcuts


def key_list(parent: QWidget, *, propagates: bool) -> QDialog:
    """Make the list; it is shown, closed and freed by Qt."""
    dialog = QDialog(parent)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setWindowTitle("SAM 2: keys")
    rows = [*MOUSE, *((_shown(each.key), each.meaning) for each in shortcuts(propagates))]
    cells = "".join(
        f"<tr><td style='padding-right: 18px'><b>{key}</b></td><td>{meaning}</td></tr>"
        for key, meaning in rows
    )
    layout = QVBoxLayout(dialog)
    layout.addWidget(QLabel(f"<table cellpadding='2'>{cells}</table>"))
    layout.addWidget(QLabel("Keys work while the image has the focus: click it once."))
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    buttons.rejected.connect(dialog.close)
    layout.addWidget(buttons)
    return dialog


def _shown(key: str) -> str:
    return key.replace("Control", "Ctrl").replace("Escape", "Esc")
