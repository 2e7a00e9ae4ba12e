"""Deferred actions run once, can be halted, and run before painting."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication, QWidget

from napari_sam2.widgets.throttle import DelayedCall, halt


class Painted(QWidget):
    """Writes down when it is painted."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self._log = log

    def paintEvent(self, _event: Any) -> None:
        self._log.append("painted")


def test_afterwards_acts_once_after_the_event(qapp: QApplication) -> None:
    parent, calls = QObject(), []
    soon = DelayedCall(parent, lambda: calls.append("acted"))

    soon.start()
    soon.start()

    assert soon.isActive()
    assert calls == []
    qapp.processEvents()
    assert calls == ["acted"]
    assert not soon.isActive()
    soon.start()
    qapp.processEvents()
    assert calls == ["acted", "acted"]


def test_afterwards_can_be_halted(qapp: QApplication) -> None:
    parent, calls = QObject(), []
    soon = DelayedCall(parent, lambda: calls.append("acted"))

    soon.start()
    halt(soon)
    qapp.processEvents()
    assert calls == []

    soon.start()
    halt(soon)
    soon.start()
    qapp.processEvents()
    assert calls == ["acted"]


def test_afterwards_acts_before_painting(qtbot: Any) -> None:
    log: list[str] = []
    widget = Painted(log)
    qtbot.addWidget(widget)
    with qtbot.waitExposed(widget):
        widget.show()
    qtbot.waitUntil(lambda: "painted" in log)
    log.clear()
    soon = DelayedCall(widget, lambda: log.append("acted"))

    widget.update()
    soon.start()
    qtbot.waitUntil(lambda: "painted" in log)

    assert log[:2] == ["acted", "painted"]
