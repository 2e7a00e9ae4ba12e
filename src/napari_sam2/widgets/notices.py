"""Errors as napari notifications that say what to do."""

from __future__ import annotations

from napari.utils.notifications import ErrorNotification, notification_manager, show_error

from napari_sam2.errors import Sam2Error


def show_problem(error: Exception) -> None:
    """Tell the user about an error: in plain words, or with its traceback if it is a bug."""
    if isinstance(error, Sam2Error):
        show_error(str(error))
    else:
        notification_manager.dispatch(ErrorNotification(error))
