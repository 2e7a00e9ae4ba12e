"""The dialog of kept work, and the question before a window is closed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QMainWindow, QMessageBox

from napari_sam2.labels.store.kept_work import KeptWork
from napari_sam2.widgets.views.close_guard import CloseGuard
from napari_sam2.widgets.views.kept_work import KeptWorkDialog
from napari_sam2.widgets.views.panel_view import PanelView

WORK = (
    KeptWork(Path("/data/cells.sam2.zarr"), 3_000_000, time.time(), Path("/data/cells.sam2.json")),
    KeptWork(Path("/data/old.sam2.zarr"), 2_000, time.time() - 1e6, None),
)


@pytest.fixture
def dialog(qtbot):
    dialog = KeptWorkDialog()
    qtbot.addWidget(dialog)
    dialog.show_work(WORK)
    return dialog


def answering(button: QMessageBox.StandardButton | str):
    """Answer the next question, as soon as it is asked."""

    def answer() -> None:
        box = QApplication.activeModalWidget()
        if not isinstance(box, QMessageBox):
            QTimer.singleShot(10, answer)
        elif isinstance(button, str):
            next(b for b in box.buttons() if b.text() == button).click()
        else:
            box.button(button).click()

    QTimer.singleShot(10, answer)


def test_it_lists_names_sizes_and_the_sum(dialog):
    assert [dialog.table.item(at, 0).text() for at in (0, 1)] == ["cells", "old"]
    assert "MB" in dialog.table.item(0, 2).text() or "MiB" in dialog.table.item(0, 2).text()
    assert dialog.total.text().startswith("2 pieces of work")
    assert not dialog.resume.isEnabled()
    assert not dialog.delete.isEnabled()


def test_only_work_with_a_session_file_can_be_opened(dialog, qtbot):
    dialog.table.selectRow(1)
    assert not dialog.resume.isEnabled()
    dialog.table.selectRow(0)
    with qtbot.waitSignal(dialog.open_requested) as signal:
        dialog.resume.click()
    assert signal.args == [WORK[0].session]


@pytest.mark.parametrize("agrees", [True, False])
def test_nothing_is_deleted_without_a_yes(dialog, agrees):
    asked = []
    dialog.delete_requested.connect(asked.append)
    dialog.table.selectRow(1)
    buttons = QMessageBox.StandardButton
    answering(buttons.Yes if agrees else buttons.No)
    dialog.delete.click()
    assert asked == ([WORK[1].path] if agrees else [])


@pytest.fixture
def window(qtbot):
    """A main window whose closing by the user is pretended by napari's own mark."""
    window = QMainWindow()
    window._quit_app = True
    panel = PanelView()
    window.setCentralWidget(panel)
    qtbot.addWidget(window)
    return window, panel


def test_with_everything_on_disk_nothing_is_asked(window, qtbot):
    shown, panel = window
    guard = CloseGuard(panel, lambda: "")
    guard.watch(True)
    shown.show()
    assert shown.close()
    assert guard.parent() is panel


@pytest.mark.parametrize(
    ("answer", "closes"), [("Keep working", False), ("Close without saving", True)]
)
def test_work_that_is_not_on_disk_is_asked_about(window, qtbot, answer, closes):
    shown, panel = window
    guard = CloseGuard(panel, lambda: "Autosave is off.")
    guard.watch(True)
    shown.show()
    answering(answer)
    assert shown.close() is closes
    shown._quit_app = False  # a script is not asked
    shown.show()
    assert shown.close()


def test_while_nothing_can_be_lost_no_event_of_the_window_is_looked_at(window, monkeypatch):
    shown, panel = window
    guard, seen = CloseGuard(panel, lambda: ""), []
    look = CloseGuard.eventFilter
    monkeypatch.setattr(
        CloseGuard, "eventFilter", lambda *args: seen.append(args[1]) or look(*args)
    )
    shown.show()
    assert shown.close()
    assert not seen
    guard.watch(True)
    shown.show()
    assert set(seen) == {shown}
    seen.clear()
    guard.watch(False)
    assert shown.close()
    assert not seen
