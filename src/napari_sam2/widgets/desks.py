"""All that works on a workspace while it is open, begun and ended together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from napari_sam2.widgets.brush import Brush
from napari_sam2.widgets.keys import Keys
from napari_sam2.widgets.object_desk import ObjectDesk
from napari_sam2.widgets.prompting import Prompting
from napari_sam2.widgets.review_desk import ReviewDesk
from napari_sam2.widgets.sources import LabelSources
from napari_sam2.widgets.tools import TOOLS

if TYPE_CHECKING:
    from napari import Viewer

    from napari_sam2.widgets.beat import Beat
    from napari_sam2.widgets.dialogue import Dialogue
    from napari_sam2.widgets.views import Views
    from napari_sam2.widgets.workspace import Workspace


class Desks:
    """Prompting, objects, review, brush and keys of one panel.

    Parameters
    ----------
    viewer : Viewer
    views : Views
    dialogue : Dialogue
    actions : dict of str to callable
        What the keys do that concern the panel as a whole.
    beat : Beat
        In time with which table and timeline change.
    """

    def __init__(
        self,
        viewer: Viewer,
        views: Views,
        dialogue: Dialogue,
        actions: dict[str, Callable[[], None]],
        beat: Beat,
    ) -> None:
        self._dialogue = dialogue
        self.prompting = Prompting(viewer, views.prompts)
        self.objects = ObjectDesk(dialogue, self.prompting, views.objects, beat)
        self.review = ReviewDesk(dialogue, self.prompting, views.review, beat)
        self._brush = Brush(dialogue)
        self._sources = LabelSources(viewer, dialogue, self.prompting, views.prompts)
        self._keys = Keys(viewer, actions | self._actions(), propagates=views.propagates)
        views.prompts.candidate_requested.connect(self.objects.next_candidate)
        dialogue.changed.connect(self.take_ids)

    def attach(self, workspace: Workspace) -> None:
        """Begin to work on a workspace."""
        self.take_ids()
        self._keys.attach(workspace)
        self.prompting.attach(workspace)
        self.objects.attach(workspace)
        self._brush.attach(workspace)
        self._sources.attach(workspace)

    def detach(self, workspace: Workspace | None) -> None:
        """Leave it; touches no view."""
        self.prompting.detach()
        self._keys.detach()
        self._brush.detach()
        self._sources.detach()
        self.review.stop()
        if workspace is not None:
            self.objects.detach(workspace)

    def close(self) -> None:
        """Listen to the viewer no longer."""
        self.prompting.close()
        self._sources.close()

    def slider_moved(self) -> None:
        """Show what belongs to the frame in view."""
        self.objects.soon()
        self.review.show()

    def take_ids(self) -> None:
        """Learn which objects there are."""
        workspace = self._dialogue.workspace
        here = None if workspace is None else workspace.here()
        known = () if here is None else self._dialogue.shelf.objects(here[0])
        self.prompting.taken = self._dialogue.prompts.object_ids | frozenset(known)

    def _actions(self) -> dict[str, Callable[[], None]]:
        prompting, review = self.prompting, self.review
        actions: dict[str, Callable[[], None]] = {
            "next_object": prompting.next_object,
            "background": prompting.toggle_background,
            "candidate": self.objects.next_candidate,
            "doubt": review.next_doubtful,
            "doubt_back": lambda: review.next_doubtful(-1),
            "prompted": review.next_prompted,
            "prompted_back": lambda: review.next_prompted(-1),
            "accept": lambda: review.accept("here"),
        }
        return actions | {
            tool.name: partial(prompting.choose_tool, tool.name) for tool in TOOLS if tool.key
        }
