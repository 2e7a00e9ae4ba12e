"""The search of one frame for objects that a session does not have yet.

It runs on the session's thread and leaves the session unchanged; `TrackingSession.add_proposals`
adds what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_sam2.detection import DetectionSettings, is_clearer
from napari_sam2.errors import FrameError
from napari_sam2.labels import LabelsVolume, PackedMask
from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.masks import box_of
from napari_sam2.network import FADED
from napari_sam2.stack import FrameStack, StackKind
from napari_sam2.tracking.followed_objects import match_followed
from napari_sam2.tracking.lost_objects import find_last_masks, find_remnants, match_lost
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.object_finder import GOOD, Fate, Origin, Proposal, mark_unlikely
from napari_sam2.tracking.tracker import Tracker
from napari_sam2.types import Division, ObjectFrame, Region

_DEFAULT_SETTINGS = DetectionSettings()
_FAIR = 1.5  # times `min_score`: a mask of this score may replace one that was followed


@dataclass(frozen=True, slots=True)
class SearchTarget:
    """The frame and part to search, and the objects to find.

    Attributes
    ----------
    frame : int
    settings : DetectionSettings
    examples : tuple of ObjectFrame
        Find only objects like these.
    region : Region or None
        The part to search; None is all of the frame.
    also_searched : tuple of int
        Leave out objects that stand out far more in one of these frames, which are searched too.
    """

    frame: int
    settings: DetectionSettings = _DEFAULT_SETTINGS
    examples: tuple[ObjectFrame, ...] = ()
    region: Region | None = None
    also_searched: tuple[int, ...] = ()


class FrameSearch:
    """Finds objects in the frames of a session.

    Parameters
    ----------
    model : Model
    stack : FrameStack
    tracker : Tracker
    volume : LabelsVolume
        The labels of the session.
    divisions : callable
        Returns the divisions of the session.
    """

    def __init__(
        self,
        model: Model,
        stack: FrameStack,
        tracker: Tracker,
        volume: LabelsVolume,
        divisions: Callable[[], Sequence[Division]],
    ) -> None:
        self._dense = model.config.dense_heads
        self._stack, self._tracker, self._volume = stack, tracker, volume
        self._divisions = divisions

    def propose(
        self, target: SearchTarget, advance: Callable[[float], None]
    ) -> tuple[Proposal, ...]:
        """Propose better masks of followed objects, then new objects, then unlikely ones.

        Parameters
        ----------
        target : SearchTarget
        advance : callable
            Called with the share of the work that is done, in 0..1; may raise to end the search.
        """
        frame, settings = target.frame, target.settings
        labels = self._volume.frame(frame)
        taken = labels != 0
        if target.region is not None:
            outside = np.ones_like(taken)
            outside[target.region.slices] = False
            taken |= outside
        followed = frozenset() if target.examples else self._followed(target, labels)
        # Pixels of followed objects are searched too: there may be a better mask of them.
        avoided = taken & ~np.isin(labels, list(followed))
        found = self._tracker.propose(frame, avoided, settings, target.examples, advance)
        again: tuple[Proposal, ...] = ()
        if followed:
            beside = [_outside_objects(each, labels, settings.max_overlap) for each in found]
            there = [each for each, new in zip(found, beside, strict=True) if new is None]
            again = tuple(self._propose_followed(target, labels, there, followed, advance))
            found = tuple(each for each in beside if each is not None)
        found = self._clearest_here(found, frame, target.also_searched)
        # The grid finds what its method, as published, finds.
        if settings.min_size is None and not target.examples and self._dense:
            found = mark_unlikely(found, labels, self._brightness(frame), settings)
        kept = tuple(each for each in found if not each.unlikely)
        others = tuple(each for each in found if each.unlikely)
        return again + self._with_lost(frame, kept) + others

    def _followed(self, target: SearchTarget, labels: Labels) -> frozenset[int]:
        """Return the tentative found objects that were followed into a frame and not decided there.

        Only in time-lapses, where cells divide and change. In z-stacks and stacks of unknown kind
        the result is empty: another mask in the place of an object may be another object.
        """
        if self._stack.kind is not StackKind.TIME_LAPSE or not self._dense:
            return frozenset()
        tracks, dividing = self._tracker.tracks, {each.parent for each in self._divisions()}
        outside = np.ones_like(labels, dtype=bool)
        outside[(target.region or Region(0, 0, *labels.shape)).slices] = False
        cut = set(np.unique(labels[outside]).tolist())
        return frozenset(
            number
            for number in np.unique(labels).tolist()
            if number in tracks
            and number in self._tracker.found
            and number not in dividing
            and number not in cut
            and target.frame not in tracks[number].conditioning
        )

    def _propose_followed(
        self,
        target: SearchTarget,
        labels: Labels,
        found: Sequence[Proposal],
        followed: frozenset[int],
        advance: Callable[[float], None],
    ) -> Iterator[Proposal]:
        """Propose better masks, children and parents of followed objects."""
        frame, least = target.frame, target.settings.min_score
        found = [each for each in found if each.score >= _FAIR * least]
        matches = match_followed(labels, followed, [each.mask for each in found])
        good = [each.score >= GOOD * least for each in found]
        for number, object_id in matches.renewed.items():
            yield replace(found[number], continues=object_id)
        for object_id, numbers in matches.divided.items():
            before, after = self._decided(object_id, frame)
            if before and not after and all(good[number] for number in numbers):
                begins = self._first_apart(target, {object_id}, (before[-1], frame), advance)
                origin = Origin(object_id, begins)
                yield from (replace(found[number], origin=origin) for number in numbers)
        born = {child for each in self._divisions() for child in each.children}
        for number, children in matches.joined.items():
            known = [self._decided(each, frame) for each in children]
            backward = all(after and not before for before, after in known)
            if backward and good[number] and not born & set(children):
                apart = min(after[0] for _, after in known)
                begins = self._first_apart(target, set(children), (frame, apart), advance)
                yield replace(found[number], fate=Fate(children, begins))

    def _decided(self, object_id: int, frame: int) -> tuple[list[int], list[int]]:
        """Return the decided frames of an object before and after a frame, ascending."""
        frames = sorted(self._tracker.tracks[object_id].conditioning)
        return [each for each in frames if each < frame], [each for each in frames if each > frame]

    def _first_apart(
        self,
        target: SearchTarget,
        object_ids: set[int],
        between: tuple[int, int],
        advance: Callable[[float], None],
    ) -> int:
        """Find the first frame after a division by bisection.

        Parameters
        ----------
        target : SearchTarget
        object_ids : set of int
            The parent, or its two children.
        between : (int, int)
            A frame before the division, and a later one after it.
        advance : callable
            May raise to end the search.
        """
        together, apart = between
        while apart - together > 1:
            middle = (together + apart) // 2
            labels = self._volume.frame(middle)
            taken = ~_around(np.isin(labels, list(object_ids)), labels == 0)
            try:
                found = self._tracker.propose(
                    middle, taken, target.settings, (), lambda _done: advance(1.0)
                )
            except FrameError:
                break  # nobody can tell
            fair = [each for each in found if each.score >= _FAIR * target.settings.min_score]
            matches = match_followed(labels, object_ids, [each.mask for each in fair])
            one = not matches.divided if len(object_ids) == 1 else bool(matches.joined)
            together, apart = (middle, apart) if one else (together, middle)
        return apart

    def _clearest_here(
        self, proposals: tuple[Proposal, ...], frame: int, others: tuple[int, ...]
    ) -> tuple[Proposal, ...]:
        """Leave out objects that stand out far more in another frame; skip unreadable frames."""
        if not proposals or not others:
            return proposals
        here = self._brightness(frame)
        for other in others:
            try:
                there = self._brightness(other)
            except FrameError:
                continue
            proposals = tuple(each for each in proposals if not is_clearer(each.mask, here, there))
        return proposals

    def _brightness(self, frame: int) -> NDArray[np.float32]:
        """Return the mean of the channels of a frame, (Y, X)."""
        grey: NDArray[np.float32] = self._stack.read(frame).mean(axis=2)
        return grey

    def _with_lost(self, frame: int, proposals: tuple[Proposal, ...]) -> tuple[Proposal, ...]:
        """Mark proposals that continue lost objects; leave out remnants of ended ones."""
        tracks = self._tracker.tracks
        found = self._tracker.found & tracks.keys()
        may_be = frozenset(i for i in found if frame not in tracks[i].conditioning)
        if not may_be or not proposals:
            return proposals
        lost = list(find_last_masks(frame, may_be, self._stack.n_frames, self._volume.frame))
        masks = [each.mask for each in proposals]
        known = match_lost(frame, masks, lost, self._seen)
        ended = find_remnants(
            masks, lost, lambda object_id, mask: self._faded(object_id, frame, mask)
        )
        return tuple(
            replace(each, continues=known.get(number))
            for number, each in enumerate(proposals)
            if number not in ended
        )

    def _faded(self, object_id: int, frame: int, mask: PackedMask) -> bool:
        """Return whether an object has lost nearly all of its contrast under a mask in a frame."""
        try:
            return self._tracker.remaining_contrast(object_id, frame, mask) < FADED
        except FrameError:
            return False

    def _seen(self, frame: int, mask: PackedMask) -> float | None:
        """Return the mean object probability in a mask; None if the frame cannot be read."""
        try:
            return self._tracker.objectness(frame, mask)
        except FrameError:
            return None


def _around(objects: NDArray[np.bool_], free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels of objects, and the free ones at most half the objects' extent away."""
    found = objects.copy()
    box = box_of(objects)
    if box is not None:
        reach = [(side.stop - side.start) // 2 for side in box]
        grown = tuple(
            slice(max(0, side.start - by), side.stop + by)
            for side, by in zip(box, reach, strict=True)
        )
        found[grown] |= free[grown]
    return found


def _outside_objects(proposal: Proposal, labels: Labels, most: float) -> Proposal | None:
    """Remove the pixels of objects from a proposal; None if they exceed a fraction `most` of it."""
    box, part = proposal.mask.part()
    free = part & (labels[box] == 0)
    if np.count_nonzero(free) < (1 - most) * np.count_nonzero(part):
        return None
    mask = PackedMask.within(box, free, proposal.mask.shape)
    return replace(proposal, mask=mask, decided=replace(proposal.decided, pixels=mask))
