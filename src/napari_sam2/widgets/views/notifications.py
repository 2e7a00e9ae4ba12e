"""Errors and results as napari notifications; progress in napari's activity dock.

Main thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari.utils.notifications import (
    ErrorNotification,
    notification_manager,
    show_error,
    show_info,
    show_warning,
)

from napari_sam2.errors import Sam2Error

_NAMED = 3  # frames whose error is shown in full


def show_done(text: str) -> None:
    """Tell the user that something is done."""
    show_info(text)


def show_problem(error: Exception) -> None:
    """Tell the user about an error: in plain words, or with its traceback if it is a bug."""
    if isinstance(error, Sam2Error):
        show_error(str(error))
    else:
        notification_manager.dispatch(ErrorNotification(error))


def show_moved(trouble: Sam2Error, path: Path) -> None:
    """Tell the user that the session is kept elsewhere from now on, and why."""
    show_warning(f"{trouble.happened} From now on it is kept in {path}. {trouble.remedy}")


def show_missing(names: Sequence[str]) -> None:
    """Tell the user of channels that a session saw, and that are not there."""
    listed = " and ".join(names)
    show_warning(
        f"The session also saw the layer {listed}, and no such layer lies over the image. "
        "Clicks mean less without it: open it, restart, and choose it as a channel."
    )


def show_skipped_masks(reasons: Sequence[str]) -> None:
    """Tell the user of frames whose masks the model did not learn from."""
    show_warning(f"The masks of some frames were left out. {' '.join(reasons[:_NAMED])}")


def show_skipped(reasons: Sequence[str]) -> None:
    """Tell the user of frames that could not be read; all else is done."""
    count = "1 frame was" if len(reasons) == 1 else f"{len(reasons)} frames were"
    more = f" And {len(reasons) - _NAMED} more." if len(reasons) > _NAMED else ""
    show_warning(
        f"{count} skipped, with the labels there as they were. {' '.join(reasons[:_NAMED])}{more} "
        "Run it again to try once more."
    )
