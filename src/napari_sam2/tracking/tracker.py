"""`Tracker`: the tracks of all objects of a session, and their steps frame by frame.

It is not safe for several threads; the session's lock guards it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_sam2.detection import DetectionSettings
from napari_sam2.errors import FrameError, SessionError
from napari_sam2.labels import PackedMask
from napari_sam2.prompts import FramePrompt, PromptBook
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.decoding.prediction import Conditioning
from napari_sam2.tracking.decoding.prompt_decoding import is_ambiguous
from napari_sam2.tracking.decoding.prompted_frames import (
    drawn_conditioning,
    drawn_prompt,
    needs_no_network,
)
from napari_sam2.tracking.engine import (
    Engine,
    ExampleMask,
    FrameAhead,
    NetworkEngine,
    PromptedMask,
    framing_of,
)
from napari_sam2.tracking.label_writer import LabelWriter, merge, nothing_in
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.tracking.merge_split import MergeSplit
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.object_finder import Proposal
from napari_sam2.tracking.schedule import Schedule
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.types import FrameMasks, ObjectFrame, Unreadable

_CANDIDATES = 3  # masks of the decoder for an ambiguous prompt
_FOUND_LIMIT = 2  # frames in a row without a tentative found object; then it has ended


class Tracker:
    """Turns prompts into conditioning frames and carries objects from frame to frame.

    Not for several threads at once: the session sees to that.

    Parameters
    ----------
    model : Model
    stack : FrameStack
    settings : TrackingSettings
    label_writer : LabelWriter
        Writer of the masks.
    keep_logits : bool
        Results contain logits at full resolution.

    Attributes
    ----------
    tracks : dict of int to ObjectTrack
    found : set of int
        Tentative objects: found by a search and not reviewed yet. They end where the dense heads
        see no object under their mask.
    engine : Engine
        Takes the steps that need the network.
    """

    def __init__(
        self,
        model: Model,
        stack: FrameStack,
        settings: TrackingSettings,
        label_writer: LabelWriter,
        keep_logits: bool = False,
    ) -> None:
        self.tracks: dict[int, ObjectTrack] = {}
        self.found: set[int] = set()
        self._model = model
        self._n_frames = stack.n_frames
        self._absent_limit = settings.absent_limit
        self._overlap = settings.overlap
        self._label_writer = label_writer
        self._framing = framing_of(model, settings, stack.frame_shape)
        self._unreadable = settings.unreadable
        self.engine: Engine = (
            NetworkEngine(model, stack, settings, keep_logits)
            if model.elsewhere is None
            else model.elsewhere.engine(model, stack, settings, keep_logits)
        )

    def track(self, object_id: int) -> ObjectTrack:
        """Return an object that has prompted or accepted frames."""
        try:
            return self.tracks[object_id]
        except KeyError:
            raise SessionError(
                f"There is no object {object_id} in this session.",
                remedy=f"Objects with prompts: {tuple(sorted(self.tracks)) or 'none yet'}.",
            ) from None

    def decide(
        self,
        object_id: int,
        frame: int,
        prompt: FramePrompt,
        refines: bool = False,
        rank: int = 0,
    ) -> FrameMasks:
        """Predict a prompted frame, write it, and condition the object on it.

        `refines`: the prompt only adds to the one the frame was decided from before; `rank`:
        which of the masks it could mean.
        """
        track = self.tracks.get(object_id)
        if track is None:
            track = self.new_track(object_id)
        volume = self._label_writer.volume
        current, labels = volume.mask(object_id, frame), volume.frame(frame)
        given = track, frame, prompt, current, self.tracks, labels, refines, rank
        drawn = needs_no_network(prompt)
        step = partial(self._drawn, *given[:3]) if drawn else partial(self.engine.decide, *given)
        prompted = self.engine.run(step)
        others = self._decided_beside(object_id, frame)
        before, known = track.copy(), track.conditioning.get(frame)
        chosen = rank > 0 or (refines and known is not None and known.chosen)
        accepted = self._label_writer.unaccept(object_id, frame)
        try:
            with volume.all_or_nothing():
                result = self.engine.run(
                    partial(self._label_writer.decided, object_id, prompted, others)
                )
                track.written[frame] = True
                pixels = PackedMask.of(result.masks[0])
                track.condition(replace(prompted.decided, pixels=pixels, chosen=chosen))
                self.tracks[object_id] = track
        except BaseException:  # an interruption too leaves nothing half done
            if object_id in self.tracks:
                self.tracks[object_id] = before
            if accepted:
                self._label_writer.accept(object_id, frame)
            raise
        return result

    def _decided_beside(self, object_id: int, frame: int) -> dict[int, Conditioning]:
        """Return what is decided of other objects in a frame."""
        return {
            other.object_id: other.conditioning[frame]
            for other in self.tracks.values()
            if other.object_id != object_id and frame in other.conditioning
        }

    def propose(
        self,
        frame: int,
        taken: NDArray[np.bool_],
        settings: DetectionSettings,
        examples: Sequence[ObjectFrame],
        advance: Callable[[float], None],
    ) -> tuple[Proposal, ...]:
        """Propose new objects on free pixels; see `propose_objects`."""
        shown = [ExampleMask(each.frame, self._label_writer.mask(*each)) for each in examples]
        return self.engine.propose(frame, taken, settings, shown, advance)

    def add(self, proposals: Mapping[int, Proposal]) -> None:
        """Add proposals as objects of the session, each with its id and its pixels."""
        frames: dict[int, dict[int, PackedMask]] = defaultdict(dict)
        for object_id, proposal in proposals.items():
            frames[proposal.decided.frame][object_id] = proposal.mask
        for frame, masks in frames.items():
            self._label_writer.put_all(frame, masks)
        for object_id, proposal in proposals.items():
            track = self.tracks.get(object_id) or self.new_track(object_id)
            track.condition(proposal.decided)
            track.written[proposal.decided.frame] = True
            self.tracks[object_id] = track

    def objectness(self, frame: int, mask: PackedMask) -> float | None:
        """Return the mean probability of being any object in a mask; None without dense heads."""
        if not self._model.config.dense_heads:
            return None
        return self.engine.run(lambda: self.engine.objectness(frame, mask))

    def remaining_contrast(self, object_id: int, frame: int, mask: PackedMask) -> float:
        """Return what is left under a mask of an object's contrast; 1 where that is not known.

        Its contrast is that of the nearest decided frame that shows it.
        """
        decided = self.tracks[object_id].conditioning.nearest_sighted(frame)
        if decided is None or not self._model.config.relative_brightness:
            return 1.0
        known = decided.frame, decided.pixels
        return self.engine.run(lambda: self.engine.remaining_contrast(frame, mask, *known))

    def accept(self, object_id: int, frame: int) -> None:
        """Fix an object in a frame as the labels show it, and condition the object on it.

        An object that is only in the labels so far becomes one of the session. Nothing is
        computed before a frame attends to this one.
        """
        track = self.tracks.get(object_id)
        if track is None and self._label_writer.mask(object_id, frame).any():
            track = self.new_track(object_id)
        self._accept(track or self.track(object_id), frame)

    def restore(self, object_id: int, frame: int, mask: NDArray[np.bool_]) -> None:
        """Restore an accepted frame from a file, also if the frame cannot be read now."""
        self._label_writer.put(object_id, frame, mask)
        self._accept(self.tracks.get(object_id) or self.new_track(object_id), frame)

    def recorrect(
        self, object_id: int, frame: int, prompt: FramePrompt, mask: NDArray[np.bool_]
    ) -> None:
        """Restore a prompted frame from a file, with the mask that the prompt gave.

        It leaves the pixels of drawn masks to them, as files of before do not say.
        """
        track = self.tracks.get(object_id) or self.new_track(object_id)
        others = self._decided_beside(object_id, frame)
        taken = [number for number, other in others.items() if other.binding]
        self._label_writer.put(object_id, frame, mask & ~self._label_writer.pixels(frame, taken))
        if needs_no_network(prompt):
            drawn = drawn_prompt(self._framing, track, frame, prompt)
            decided = replace(drawn, pixels=PackedMask.of(mask))
        else:
            decided = replace(self.as_drawn(track, frame, mask), prompt=prompt)
        track.condition(decided)
        track.written[frame] = True
        self.tracks[object_id] = track

    def _accept(self, track: ObjectTrack, frame: int) -> None:
        mask = self._label_writer.mask(track.object_id, frame)
        decided = self.as_drawn(track, frame, mask)
        self._label_writer.accept(track.object_id, frame)
        track.accept(decided)
        self.tracks[track.object_id] = track

    def as_drawn(self, track: ObjectTrack, frame: int, mask: NDArray[np.bool_]) -> Conditioning:
        """Return the decision that an object is in a frame just where a mask (Y, X) is."""
        seen = track.expected(frame, without=frame)
        return self.engine.run(lambda: drawn_conditioning(self._framing, frame, mask, seen))

    def regroup(self, plan: Callable[[], MergeSplit]) -> PromptBook:
        """Move pixels between objects, or change nothing on failure; return the prompts."""
        change = self.engine.run(plan)
        self.engine.run(lambda: self._label_writer.regroup(change))
        for object_id in (change.old, change.new):
            self.tracks.pop(object_id, None)
        self.tracks |= {track.object_id: track for track in change.tracks}
        return change.prompts

    def reopen(self, object_id: int, frame: int) -> None:
        """Mark a frame as tracked or not, as before it was accepted; its labels stay.

        An object without any other decided frame is gone, and what was tracked from this one.
        """
        track = self.track(object_id)
        if not track.conditioning.keys() - {frame}:
            others = np.flatnonzero(track.written).tolist()
            others.remove(frame)
            self._label_writer.remove({object_id: others})
            del self.tracks[object_id]
            return
        track.conditioning.pop(frame)
        track.conditioning_memory.pop(frame, None)
        if not track.done[frame]:
            track.changed_decisions.add(frame)

    def candidates(self, prompt: FramePrompt) -> int:
        """Return how many masks a prompt could mean."""
        ambiguous = prompt.mask is None and is_ambiguous(prompt, self._model)
        return _CANDIDATES if ambiguous else 1

    def release(self, object_id: int, frame: int) -> None:
        """Undo the decision about a frame; an object without any decided frame is gone."""
        track = self.track(object_id)
        accepted = ObjectFrame(object_id, frame) in self._label_writer.accepted
        if not accepted and not track.conditioning.keys() - {frame}:
            self.forget((object_id,))
        elif not accepted:
            self._label_writer.erase(object_id, frame)
            track.release(frame)

    def forget(self, object_ids: Collection[int]) -> None:
        """Remove objects, their labels included, or change nothing on failure."""
        tracks = [self.tracks[object_id] for object_id in object_ids]
        self._label_writer.remove({t.object_id: np.flatnonzero(t.written).tolist() for t in tracks})
        for track in tracks:
            del self.tracks[track.object_id]

    def erase(self, track: ObjectTrack, frames: range) -> None:
        """Remove an object from undecided frames; they count as not tracked."""
        track.done[frames.start : frames.stop] = False
        track.forget_recent()
        for frame in frames:
            decided = frame in track.conditioning
            if not decided and self._label_writer.mask(track.object_id, frame).any():
                self._label_writer.erase(track.object_id, frame)
                track.written[frame] = False

    def visit(self, frame: int, schedule: Schedule) -> FrameMasks:
        """Compute one frame of a pass and return its results."""
        given, tracked = schedule.split(frame, self.tracks)

        def frame_ahead(ahead: int) -> FrameAhead:
            _, followed = schedule.split(ahead, self.tracks)
            ids = tuple(track.object_id for track in followed)
            return FrameAhead(ids, self._label_writer.volume.frame(ahead))

        self.engine.prefetch(
            frame, schedule.ahead(self.tracks, self.engine.prefetch_frames), frame_ahead
        )
        schedule.shown.update(ObjectFrame(track.object_id, frame) for track in given)
        parts = self.engine.run(lambda: [self._given(track, frame) for track in given])
        if tracked:
            try:
                parts.append(self._follow(frame, tracked, schedule))
            except FrameError as error:
                if self._unreadable is Unreadable.STOP or error.frame != frame:
                    raise
                schedule.skipped[frame] = error
                parts.append(nothing_in(frame, self._label_writer.volume.shape, error))
        return merge(frame, parts)

    def _follow(self, frame: int, tracks: list[ObjectTrack], schedule: Schedule) -> FrameMasks:
        """Track objects into a frame; nothing changes if that fails."""
        labels = self._label_writer.volume.frame(frame)
        tracked = self.engine.run(
            lambda: self.engine.follow(
                frame, tracks, schedule.step, self.tracks, labels, self.found
            )
        )
        update = tracked.update
        schedule.stranded |= update.stranded
        predictions = update.predictions
        if not predictions:
            reason = next(iter(update.stranded.values()))
            return nothing_in(frame, self._label_writer.volume.shape, reason)
        result = self.engine.run(lambda: self._label_writer.tracked(tracked))
        update.remember()
        for track in [each for each in tracks if each.object_id in predictions]:
            track.done[frame] = track.written[frame] = True
            self._watch(track, frame, predictions[track.object_id].present, schedule)
            if track.object_id in update.ended:
                self._cut(track, update.ended[track.object_id], frame)
        return result

    def new_track(self, object_id: int) -> ObjectTrack:
        """Return an empty track, which is not yet one of the tracker's."""
        return ObjectTrack(object_id, self._n_frames, self._model.config)

    def corrected_masks(self, prompts: PromptBook) -> dict[ObjectFrame, PackedMask]:
        """Return the masks that prompts alone would not give again, by object and frame.

        A prompt that corrects a tracked frame, often one click on the background, means nothing
        without what was tracked; the mask of a found object was cut and judged together with all
        others; a prompt does not say which of its masks was chosen; and a drawn mask does not say
        what was drawn there before it, whose pixels it left alone.
        """
        found = {}
        for object_id, frame, prompt in prompts:
            decided = self.tracks[object_id].conditioning[frame]
            if prompt.mask is not None:
                if needs_no_network(prompt) and not decided.pixels.equals(prompt.mask):
                    found[ObjectFrame(object_id, frame)] = decided.pixels
            elif decided.corrects or decided.found or decided.chosen:
                found[ObjectFrame(object_id, frame)] = self._left_of(object_id, decided)
        return found

    def _left_of(self, object_id: int, decided: Conditioning) -> PackedMask:
        """Return what is left of a mask after others were drawn over it."""
        if self._overlap:
            return decided.pixels
        box, part = decided.pixels.part()
        labels = self._label_writer.volume.view(decided.frame)
        left = part & (labels[box] == object_id)
        # Without any pixel it would tell that the object is not there.
        return PackedMask.within(box, left, labels.shape) if left.any() else decided.pixels

    def _drawn(self, track: ObjectTrack, frame: int, prompt: FramePrompt) -> PromptedMask:
        """Decide a frame from a prompt that is a mask alone."""
        drawn = drawn_prompt(self._framing, track, frame, prompt)
        return PromptedMask(drawn, None, self.engine.logits(drawn))

    def _given(self, track: ObjectTrack, frame: int) -> FrameMasks:
        decided = track.conditioning[frame]
        return self._label_writer.decided_result(
            track.object_id, decided, self.engine.logits(decided)
        )

    def _watch(self, track: ObjectTrack, frame: int, present: bool, schedule: Schedule) -> None:
        """Stop following an object that has been absent for too long."""
        track.absent_run = 0 if present else track.absent_run + 1
        limit = _FOUND_LIMIT if track.object_id in self.found else self._absent_limit
        if limit is None or track.absent_run < limit:
            return
        track.absent_run = 0
        for ahead in schedule.rest_of_run(track, frame):
            track.done[ahead] = True
            if track.written[ahead]:
                self._label_writer.erase(track.object_id, ahead)

    def _cut(self, track: ObjectTrack, last: int, frame: int) -> None:
        """Erase an object between its last frame and the one that shows where it ended."""
        step = 1 if frame > last else -1
        for passed in range(last + step, frame, step):
            if passed not in track.conditioning:  # prompts may come meanwhile
                self._label_writer.erase(track.object_id, passed)

    @property
    def unread(self) -> dict[int, FrameError]:
        """Decided frames that could not be attended to, and why; the caller may clear it."""
        return self.engine.unread

    def stop_background_work(self) -> None:
        """Stop all work in the background."""
        self.engine.stop_background_work()
