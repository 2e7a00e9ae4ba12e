"""The propagation that is under way, as the panel and napari's activity dock show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_sam2.widgets.activity import Activity

if TYPE_CHECKING:
    from napari_sam2.widgets.prompt_reading import Place
    from napari_sam2.widgets.run_box import RunBox


class RunDisplay:
    """Knows which stack is being propagated, and shows how far it is.

    Attributes
    ----------
    place : tuple or None
        The stack; None while nothing runs.
    total : int
        Frames to do; 0 while that is not known.
    """

    def __init__(self, box: RunBox) -> None:
        self._box, self._activity = box, Activity()
        self.place: Place | None = None
        self.total = 0

    def begin(self, place: Place) -> None:
        """Show a run that has been asked for."""
        self.place, self.total = place, 0
        self._box.show_running(0, 0)

    def start(self, total: int, description: str) -> None:
        """Show a run that will give `total` frames."""
        self.total = total
        self._box.show_running(0, total)
        self._activity.start(total, description)

    def move_to(self, done: int) -> None:
        """Show that so many frames are done."""
        self._box.show_running(done, self.total)
        self._activity.done = done

    def end(self, *, views_alive: bool) -> None:
        """Show that nothing runs any more."""
        self.place = None
        self._activity.end()
        if views_alive:
            self._box.show_idle()
