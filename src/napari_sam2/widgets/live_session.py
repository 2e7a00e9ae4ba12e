"""A session that is kept in line with the prompts of the window. Worker thread only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from napari_sam2.errors import DeviceError, Sam2Error
from napari_sam2.prompts import FramePrompt, SessionFile
from napari_sam2.types import FrameMasks, ObjectFrame
from napari_sam2.widgets.session_protocol import Session
from napari_sam2.widgets.spec import PlacedPrompt, Told, Wanted


@dataclass(frozen=True, slots=True, eq=False)
class LiveState:
    """What a `LiveSession` knew at one moment."""

    owner: LiveSession
    session: Any
    known: Mapping[ObjectFrame, FramePrompt]
    refused: Mapping[ObjectFrame, FramePrompt]
    accepted: frozenset[ObjectFrame]


class LiveSession:
    """Keeps a session in line with the prompts of the window.

    The window states what there is, not what has changed; this class finds the difference and
    asks the session for no more than that.

    Parameters
    ----------
    session : Session
        A fresh session.
    on_result : callable, optional
        Told the masks that each prompt gives.
    on_progress : callable, optional
        Told how many of how many frames have been accepted.
    """

    def __init__(
        self,
        session: Session,
        on_result: Callable[[FrameMasks], None] | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.session = session
        self._on_result = on_result or (lambda _result: None)
        self._on_progress = on_progress or (lambda _done, _total: None)
        self._known: dict[ObjectFrame, FramePrompt] = {}
        self._refused: dict[ObjectFrame, FramePrompt] = {}
        self._accepted: set[ObjectFrame] = set()

    def bring_up_to(self, wanted: Wanted) -> list[Sam2Error]:
        """Make these prompts the session's prompts, and these frames its accepted ones.

        A prompt that the session refuses is not offered again with every later click; all
        others are taken in.

        Parameters
        ----------
        wanted : Wanted
            All prompts and acceptance that there are to be.

        Returns
        -------
        list of Sam2Error
            Why prompts were refused.

        Raises
        ------
        DeviceError
            Nothing more can be computed.
        """
        wanted = self._sure(wanted)
        prompts = {placed.place: placed.prompt for placed in wanted.prompts}
        errors: list[Sam2Error] = []
        for place in sorted(self._accepted - wanted.accepted):
            self._attempt(errors, self._unaccept, place)
        # New prompts first: an object whose only click moves to another frame is not lost.
        for place, prompt in prompts.items():
            if prompt in (self._known.get(place), self._refused.get(place)):
                continue
            if place in wanted.accepted:
                # The mask that came of it is accepted: it must not be computed anew.
                self._known[place] = prompt
            elif not self._attempt(errors, self._set, place, prompt):
                self._refused[place] = prompt
        # Frame by frame, so that each is encoded once for all its objects.
        new = sorted(wanted.accepted - self._accepted, key=ObjectFrame.by_frame)
        for done, place in enumerate(new):
            self._on_progress(done, len(new))
            self._attempt(errors, self._accept, place)
        for place in sorted(self._known.keys() - prompts.keys()):
            self._remove(place)
        return errors

    def replay(self, saved: SessionFile, wanted: Wanted) -> Iterator[int]:
        """Take a session file in instead of all that was known; gives how many steps are left.

        `wanted` says in the words of the window what the file holds, so that nothing of it is
        told again.
        """
        self.bring_up_to(Wanted())
        for step in self.session.replay(saved):
            if step.masks is not None:
                self._on_result(step.masks)
            yield step.left
        self._known = {
            placed.place: placed.prompt
            for placed in wanted.prompts
            if self.session.prompts.get(*placed.place) is not None
        }
        self._accepted = set(self.session.accepted)
        self._refused.clear()

    def told(self) -> Told:
        """Return what the session has made of the prompts."""
        session = self.session
        return Told(session.prompts.copy(), dict(self._refused), session.corrected_masks())

    def state(self) -> LiveState:
        """Return what is known now; for `restore`."""
        return LiveState(
            self,
            self.session.snapshot(),
            dict(self._known),
            dict(self._refused),
            frozenset(self._accepted),
        )

    def restore(self, state: LiveState) -> bool:
        """Come back to a state, unless it is that of another session: then return False."""
        if state.owner is not self:
            return False
        self.session.restore(state.session)
        self._known, self._refused = dict(state.known), dict(state.refused)
        self._accepted = set(state.accepted)
        return True

    def learn(self) -> Wanted:
        """Take over what the session has made of prompts and acceptance by itself."""
        self._known = {ObjectFrame(i, frame): prompt for i, frame, prompt in self.session.prompts}
        self._accepted = set(self.session.accepted)
        return self._as_it_is()

    def _as_it_is(self) -> Wanted:
        prompts = tuple(PlacedPrompt(*place, prompt) for place, prompt in self._known.items())
        return Wanted(prompts, frozenset(self._accepted))

    def _sure(self, wanted: Wanted) -> Wanted:
        """Leave the objects as they are of which the window is not sure."""
        unsure, now = wanted.unsure, self._as_it_is()
        if not unsure:
            return wanted
        prompts = (
            *(placed for placed in wanted.prompts if placed.object_id not in unsure),
            *(placed for placed in now.prompts if placed.object_id in unsure),
        )
        accepted = {each for each in wanted.accepted if each.object_id not in unsure}
        accepted |= {each for each in now.accepted if each.object_id in unsure}
        return Wanted(prompts, frozenset(accepted))

    def _attempt(self, errors: list[Sam2Error], step: Callable[..., None], *values: object) -> bool:
        try:
            step(*values)
        except DeviceError:
            raise
        except Sam2Error as error:
            errors.append(error)
            return False
        return True

    def _accept(self, place: ObjectFrame) -> None:
        self._accepted.add(place)  # even if it is refused: it is not offered again
        self.session.accept(*place)

    def _unaccept(self, place: ObjectFrame) -> None:
        self._accepted.discard(place)
        if place in self.session.accepted:
            self.session.unaccept(*place)

    def _remove(self, place: ObjectFrame) -> None:
        if self.session.prompts.get(*place) is not None:
            self.session.remove_prompts(*place)
        del self._known[place]

    def _set(self, place: ObjectFrame, prompt: FramePrompt) -> None:
        """Have one prompt replaced by another; clicks that were only added refine the old one."""
        known, own = self._known.get(place), self.session.prompts.get(*place)
        added = None if known is None else prompt.clicks_since(known)
        new = prompt
        if added:
            # Positions of the session's own prompt may differ by what rounding has left.
            clicks = prompt.points[-added:], prompt.positive[-added:]
            new = FramePrompt(*clicks) if own is None else own.with_clicks(*clicks)
        self._accepted.discard(place)  # a prompt lifts acceptance
        if added != 0:  # else the window only knows of no rounds
            self._on_result(self.session.set_prompt(*place, new))
        self._known[place] = prompt
