"""Of several panels, one at a time works on the layers of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakMethod

if TYPE_CHECKING:
    from napari.layers import Labels

TURN = "napari_sam2 turn"
"""Key in the metadata of the labels: the `Turn` of the panel that took them up last."""


class Turn:
    """Lets the panel that works on some layers be asked to leave them; keeps no panel alive.

    Parameters
    ----------
    leave : bound method
        Leaves the layers, if they are worked on.
    """

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave = WeakMethod(leave)

    def is_of_the_same_panel(self, other: Turn) -> bool:
        """Whether both turns would end in the same way."""
        return self._leave == other._leave

    def end(self) -> None:
        """Have the panel leave, if it is still there."""
        leave = self._leave()
        if leave is not None:
            leave()

    def __deepcopy__(self, _memo: dict[int, Any]) -> Turn:
        return self  # a copy of the layer says the same


def take_turn(labels: Labels, leave: Callable[[], None]) -> None:
    """Work on these labels from now on; another panel that does so leaves them."""
    turn, former = Turn(leave), labels.metadata.get(TURN)
    labels.metadata[TURN] = turn
    if isinstance(former, Turn) and not former.is_of_the_same_panel(turn):
        former.end()
