"""A session together with what it has been told: lives in the worker thread only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from napari_sam2.errors import DeviceError, Sam2Error
from napari_sam2.prompts import FramePrompt
from napari_sam2.types import Direction, FrameMasks
from napari_sam2.widgets.messages import Prompts, SessionSpec


class Session(Protocol):
    """The part of `napari_sam2.TrackingSession` that the window uses."""

    def add_points(
        self,
        object_id: int,
        frame: int,
        points: tuple[tuple[float, float], ...],
        positive: tuple[bool, ...],
    ) -> FrameMasks:
        """Take clicks in; fill the labels of the frame."""
        ...

    def add_box(
        self, object_id: int, frame: int, box: tuple[float, float, float, float]
    ) -> FrameMasks:
        """Take a box in; fill the labels of the frame."""
        ...

    def set_points(
        self,
        object_id: int,
        frame: int,
        points: tuple[tuple[float, float], ...],
        positive: tuple[bool, ...],
    ) -> FrameMasks:
        """Replace the clicks of a frame; fill its labels."""
        ...

    def remove_prompts(self, object_id: int, frame: int | None = None) -> None:
        """Forget the prompts of an object in a frame."""
        ...

    def propagate(self, direction: Direction) -> Iterator[FrameMasks]:
        """Follow all objects; fill the labels frame by frame."""
        ...

    def planned_frames(self, direction: Direction) -> int:
        """Return how many results `propagate` will give."""
        ...

    def cancel(self) -> None:
        """Stop propagating within one frame; from any thread."""
        ...


SessionOpener = Callable[[SessionSpec, Callable[[str], None]], Session]
"""Opens the session of a spec; is given a function that tells the user what it is busy with."""


class LiveSession:
    """Keeps a session in line with the prompts of the window.

    The window states what there is, not what has changed; this class finds the difference and
    asks the session for no more than that.

    Parameters
    ----------
    session : Session
        A fresh session.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self._known: dict[tuple[int, int], FramePrompt] = {}
        self._refused: dict[tuple[int, int], FramePrompt] = {}

    def bring_up_to(self, prompts: Prompts) -> list[Sam2Error]:
        """Make these prompts the session's prompts.

        A prompt that the session refuses is not offered again with every later click; all
        others are taken in.

        Parameters
        ----------
        prompts : tuple of PlacedPrompt
            All prompts that there are to be.

        Returns
        -------
        list of Sam2Error
            Why prompts were refused.

        Raises
        ------
        DeviceError
            Nothing more can be computed.
        """
        wanted = {placed.place: placed.prompt for placed in prompts}
        errors: list[Sam2Error] = []
        # New prompts first: an object whose only click moves to another frame is not lost.
        for place, prompt in wanted.items():
            if prompt in (self._known.get(place), self._refused.get(place)):
                continue
            try:
                self._tell(*place, prompt)
            except DeviceError:
                raise
            except Sam2Error as error:
                self._refused[place] = prompt
                errors.append(error)
        for place in sorted(self._known.keys() - wanted.keys()):
            self._remove(*place)
        return errors

    def _remove(self, object_id: int, frame: int) -> None:
        self.session.remove_prompts(object_id, frame)
        del self._known[object_id, frame]

    def _tell(self, object_id: int, frame: int, prompt: FramePrompt) -> None:
        """Have one prompt replaced by another, keeping what the session made of the old one."""
        place = object_id, frame
        known = self._known.get(place)
        if known is not None and _lacks_a_part(known, prompt):
            self._remove(object_id, frame)
            known = None
        known = self._tell_box(place, known, prompt)
        self._tell_points(place, known, prompt)
        self._known[place] = prompt

    def _tell_box(
        self, place: tuple[int, int], known: FramePrompt | None, prompt: FramePrompt
    ) -> FramePrompt | None:
        if prompt.box is None or (known is not None and known.box == prompt.box):
            return known
        self.session.add_box(*place, prompt.box)
        box_only = FramePrompt(box=prompt.box)
        self._known[place] = box_only if known is None else replace(known, box=prompt.box)
        return self._known[place]

    def _tell_points(
        self, place: tuple[int, int], known: FramePrompt | None, prompt: FramePrompt
    ) -> None:
        old = 0 if known is None else len(known.points)
        if known is not None and _clicks(prompt)[:old] != _clicks(known):
            self.session.set_points(*place, prompt.points, prompt.positive)
        elif old < len(prompt.points):
            # Clicks that refine a mask start from that mask: only the new ones are told.
            self.session.add_points(*place, prompt.points[old:], prompt.positive[old:])


def _clicks(prompt: FramePrompt) -> list[tuple[tuple[float, float], bool]]:
    return list(zip(prompt.points, prompt.positive, strict=True))


def _lacks_a_part(known: FramePrompt, prompt: FramePrompt) -> bool:
    """Whether the box or all the points are gone, which the session cannot be told apart."""
    no_box = known.box is not None and prompt.box is None
    return no_box or bool(known.points and not prompt.points)
