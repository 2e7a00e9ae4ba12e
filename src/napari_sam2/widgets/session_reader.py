"""The reader of session files: a session dropped on the window offers to go on with it.

Main thread only. The reader itself reads nothing: the panel reads the file, in a thread of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import napari
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QMessageBox

from napari_sam2.errors import PromptError
from napari_sam2.prompts import SESSION_SUFFIX
from napari_sam2.widgets.stack_panel import StackPanel
from napari_sam2.widgets.state.settings import PLUGIN
from napari_sam2.widgets.views.notifications import show_problem

if TYPE_CHECKING:
    from napari.viewer import Viewer

_WIDGET = "SAM 2: segment stack"
_NO_LAYERS: list[tuple[None]] = [(None,)]  # as napari and npe2 define it


def get_reader(path: str | list[str]) -> Callable[[str], list[tuple[None]]] | None:
    """Return the reader of a session file; None for any other path, as napari asks for.

    Parameters
    ----------
    path : str or list of str
        A list is a stack of files, which sessions are not.
    """
    is_session = isinstance(path, str) and path.lower().endswith(SESSION_SUFFIX)
    return open_session if is_session else None


def open_session(path: str) -> list[tuple[None]]:
    """Ask in the panel of the current viewer whether to go on with a session; returns at once.

    Parameters
    ----------
    path : str
        A session file, which is read only when the user has agreed.

    Returns
    -------
    list
        No layers, in napari's notation.

    Raises
    ------
    PromptError
        There is no window to go on in.
    """
    viewer = napari.current_viewer()
    if viewer is None:
        raise PromptError(
            f"{Path(path).name} is a session, and there is no viewer to go on with it.",
            safe="Nothing has changed.",
            remedy="Open the image in napari first, or replay it with `napari-sam2 segment`.",
        )
    # When napari has finished opening: a panel that is opened meanwhile would be part of that.
    QTimer.singleShot(0, partial(offer_session, viewer, Path(path)))
    return _NO_LAYERS


def offer_session(viewer: Viewer, path: Path) -> QMessageBox | None:
    """Ask whether to go on with a session on the image that is chosen in the panel.

    Parameters
    ----------
    viewer : Viewer
        Its panel is opened if there is none yet.
    path : Path

    Returns
    -------
    QMessageBox or None
        The question, which does not wait for the answer; None without an image to go on with.
    """
    panel = find_panel(viewer)
    if panel is None:
        _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, _WIDGET)
    image = panel.settings.image.value
    if image is None:
        show_problem(
            PromptError(
                f"{path.name} is a session, and no image is open.",
                safe="Nothing has changed.",
                remedy="Open the image that it was made for, then open the session again.",
            )
        )
        return None
    buttons = QMessageBox.StandardButton
    question = QMessageBox(
        QMessageBox.Icon.Question,
        "Open session",
        f"Go on with the session {path.name} on the image {image.name}?",
        buttons.Yes | buttons.No,
        panel,
    )
    question.setTextFormat(Qt.TextFormat.PlainText)  # names come from outside
    question.setInformativeText("Work that is under way in the panel ends; its layers stay.")
    question.accepted.connect(partial(panel.open_requested.emit, path))
    question.finished.connect(question.deleteLater)
    question.open()
    return question


def find_panel(viewer: Any) -> StackPanel | None:
    """Return the panel in a dock of a viewer's window; None if there is none."""
    docked = viewer.window.dock_widgets.values()
    return next((each for each in docked if isinstance(each, StackPanel)), None)
