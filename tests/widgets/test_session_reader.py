"""A session file that is dropped on the window offers to go on with it."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from panel_page import PanelPage
from qtpy.QtWidgets import QMessageBox

from napari_sam2.errors import PromptError
from napari_sam2.prompts import FramePrompt, PromptBook, SessionFile, write_session
from napari_sam2.widgets.session_reader import find_panel, offer_session, open_session


@pytest.fixture
def session(tmp_path):
    """A session of the stack of the panels here."""
    book = PromptBook((6, 40, 50))
    book.put(7, 1, FramePrompt(((26, 30),)))
    path = tmp_path / "cells.sam2.json"
    write_session(SessionFile(book, axis=0), path)
    return path


def question_of(panel: PanelPage) -> QMessageBox | None:
    found = panel.widget.findChildren(QMessageBox)
    return found[-1] if found else None


@pytest.mark.gl
def test_dropped_session_goes_on_when_the_user_agrees(docked, session, qtbot):
    names = [layer.name for layer in docked.viewer.layers]
    assert docked.viewer.open(session, plugin="napari-sam2") == []
    qtbot.waitUntil(lambda: question_of(docked) is not None)
    question = question_of(docked)
    assert session.name in question.text()
    assert "blobs" in question.text()
    assert len(docked.points) == 0, "nothing happens unasked"
    question.button(QMessageBox.StandardButton.Yes).click()
    docked.wait_idle()
    assert docked.points_layer.features["object"].tolist() == [7]
    assert (docked.labels[1] == 7).any()
    assert [layer.name for layer in docked.viewer.layers] == names


@pytest.mark.gl
def test_dropped_session_is_left_alone_when_the_user_refuses(docked, session):
    number = docked.start_number
    question = offer_session(docked.viewer, session)
    question.button(QMessageBox.StandardButton.No).click()
    docked.wait_idle()
    assert docked.start_number == number
    assert len(docked.points) == 0


@pytest.mark.gl
def test_panel_is_opened_for_a_session_and_says_that_the_image_is_missing(
    make_napari_viewer, session, qtbot, our_threads
):
    viewer = make_napari_viewer()
    viewer.add_labels(np.zeros((6, 40, 50), int))
    notification_manager.records.clear()
    viewer.open(session, plugin="napari-sam2")
    qtbot.waitUntil(lambda: find_panel(viewer) is not None)
    assert offer_session(viewer, session) is None
    assert "no image is open" in notification_manager.records[-1].message
    find_panel(viewer).parent().destroyOnClose()
    qtbot.waitUntil(lambda: not our_threads(), timeout=60_000)


def test_session_without_a_window_is_refused(session, monkeypatch):
    monkeypatch.setattr("napari.current_viewer", lambda: None)
    with pytest.raises(PromptError, match="no viewer"):
        open_session(str(session))
