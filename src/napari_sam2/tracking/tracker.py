"""`Tracker`: the tracks of all objects of a session, and their steps frame by frame.

It is not safe for several threads; the session's lock guards it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.detection import DetectionSettings, FrameInput
from napari_sam2.errors import DeviceError, FrameError, Sam2Error, SessionError
from napari_sam2.labels import PackedMask
from napari_sam2.prompts import FramePrompt, PromptBook
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.decoding.prediction import (
    Conditioning,
    ObjectPrediction,
    decided_logits,
)
from napari_sam2.tracking.decoding.prompt_decoding import is_ambiguous
from napari_sam2.tracking.decoding.prompted_frames import PromptedFramePredictor
from napari_sam2.tracking.device import device_error, is_out_of_memory, release_memory
from napari_sam2.tracking.identity_switches import find_identity_switches
from napari_sam2.tracking.images.feature_cache import FeatureCache
from napari_sam2.tracking.images.frame_reader import FrameReader
from napari_sam2.tracking.images.image_input import mask_to_input
from napari_sam2.tracking.images.object_window import Framing
from napari_sam2.tracking.label_writer import LabelWriter, merge, nothing_in
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.tracking.merge_split import MergeSplit
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.object_finder import (
    Example,
    Points,
    Predicted,
    Proposal,
    pooled_features,
    propose_objects,
    similarity_to,
)
from napari_sam2.tracking.propagation import Propagator, chunk_size, mean_objectness
from napari_sam2.tracking.schedule import Schedule
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.tracking.speed_presets import SPEED_PRESETS
from napari_sam2.types import FrameMasks, ObjectFrame, Unreadable, View

_CANDIDATES = 3  # masks of the decoder for an ambiguous prompt
_FRAMES_TOGETHER = 4  # encoded at once on a GPU
_FOUND_LIMIT = 2  # frames in a row without an object that nobody has looked at: it has ended
_VIEWS = 4  # windows kept for each frame that would be kept whole

_Result = TypeVar("_Result")


class Tracker:
    """Turns prompts into conditioning frames and carries objects from frame to frame.

    Not for several threads at once: the session sees to that.

    Parameters
    ----------
    model : Model
    stack : FrameStack
    settings : TrackingSettings
    publisher : LabelWriter
        Writer of the masks.

    Attributes
    ----------
    tracks : dict of int to ObjectTrack
    found : set of int
        Objects that were found by themselves and that nobody has looked at. They end where nothing
        looks like an object any more.
    """

    def __init__(
        self, model: Model, stack: FrameStack, settings: TrackingSettings, publisher: LabelWriter
    ) -> None:
        self.tracks: dict[int, ObjectTrack] = {}
        self.found: set[int] = set()
        follows = follows_objects(model, settings)
        model = SPEED_PRESETS[settings.speed].model(model)
        self._model = model
        self._n_frames = stack.n_frames
        self._absent_limit = settings.absent_limit
        self._exclusive = settings.exclusive and not settings.overlap
        self._publisher = publisher
        self._unreadable = settings.unreadable
        cells = model.image_size // 16 if follows and model.config.fine_channels else None
        framing = Framing(stack.frame_shape, model.image_size, follows, cells)
        self._framing = framing
        on_cpu = model.device.type == "cpu"
        together = 1 if follows else settings.encode_ahead or (1 if on_cpu else _FRAMES_TOGETHER)
        self._foresight = together - 1 + settings.read_ahead
        self._reads_ahead = settings.read_ahead > 0
        self._reader = FrameReader(stack, settings.read_attempts, always_ahead=not on_cpu)
        self._cache = FeatureCache(
            model,
            self._reader,
            settings.cached_frames * (_VIEWS if framing.follows else 1),
            None if framing.follows else framing.whole,
            together,
            cells,
        )
        self._propagator = Propagator(model, self._cache, framing, settings, stack.n_frames)
        self._decider = PromptedFramePredictor(
            model, self._cache, self._propagator, framing, settings.obey_clicks
        )
        self._together = chunk_size(model, settings)  # less once memory has run out

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
        current = self._publisher.mask(object_id, frame)
        decided = self._computed(
            lambda: self._decider.from_prompt(track, frame, prompt, current, refines, rank)
        )
        others = {
            other.object_id: other.conditioning[frame]
            for other in self.tracks.values()
            if frame in other.conditioning and other is not track
        }
        accepted = self._publisher.unaccept(object_id, frame)
        try:
            result = self._computed(
                lambda: self._publisher.decided(object_id, decided, others, self._logits_of)
            )
        except Sam2Error:
            if accepted:
                self._publisher.accept(object_id, frame)
            raise
        track.written[frame] = True
        track.condition(replace(decided, pixels=PackedMask.of(result.masks[0])))
        self.tracks[object_id] = track
        return result

    def propose(
        self,
        frame: int,
        taken: NDArray[np.bool_],
        settings: DetectionSettings,
        examples: Sequence[ObjectFrame],
        advance: Callable[[float], None],
    ) -> tuple[Proposal, ...]:
        """Look for new objects on pixels that are not taken; see `propose_objects`."""
        with torch.inference_mode(), self._model.precision():
            known = [self._example(*pair) for pair in examples]
            seen = FrameInput(
                self._model.network,
                self._model.device,
                self._model.image_size,
                self._framing.follows,
                self._reader.read(frame),
            )

            def similarity(predicted: Predicted) -> float | None:
                if not known:
                    return None
                mask = predicted.mask.unpack()
                features = self._appearance(predicted.decided, mask)
                return similarity_to(known, int(mask.sum()), features)

            try:
                return propose_objects(
                    seen,
                    taken,
                    partial(self._clicked, frame),
                    settings,
                    advance,
                    similarity,
                )
            except (RuntimeError, MemoryError) as error:
                raise device_error(error, self._model.name) from error

    def add(self, proposals: Mapping[int, Proposal]) -> None:
        """Make proposals, by their ids, objects of the session on the pixels they were found on."""
        frames: dict[int, dict[int, PackedMask]] = defaultdict(dict)
        for object_id, proposal in proposals.items():
            frames[proposal.decided.frame][object_id] = proposal.mask
        for frame, masks in frames.items():
            self._publisher.put_all(frame, masks)
        for object_id, proposal in proposals.items():
            track = self.tracks.get(object_id) or self.new_track(object_id)
            track.condition(proposal.decided)
            track.written[proposal.decided.frame] = True
            self.tracks[object_id] = track

    def _clicked(
        self,
        frame: int,
        points: Points,
        extents: Sequence[float],
        left_out: Callable[[int], bool],
    ) -> Iterator[Predicted]:
        """Give what clicks of new objects mean; neighbours are decoded together."""
        for batch in self._decider.batches(points, extents):
            waiting, rows = deque(batch), list[int]()
            while waiting or rows:
                while waiting and len(rows) < self._together:
                    row = waiting.popleft()
                    if not left_out(row):  # it may lie in what was found just now
                        rows.append(row)
                part = rows[: self._together]
                if not part:
                    break
                clicks, sizes = [points[row] for row in part], [extents[row] for row in part]
                decide = partial(self._decider.from_clicks, frame, clicks, sizes)
                try:
                    decided = self._computed(decide)
                except DeviceError as error:
                    cause = error.__cause__
                    short = isinstance(cause, Exception) and is_out_of_memory(cause)
                    if len(part) == 1 or not short:
                        raise
                    self._together = len(part) // 2
                    continue
                rows = rows[len(part) :]
                for row, each in zip(part, decided, strict=True):
                    yield Predicted(row, each, self._publisher.finished(each))

    def objectness(self, frame: int, mask: PackedMask) -> float | None:
        """Return the mean probability of being any object in a mask; None without dense heads."""
        if not self._model.config.dense_heads:
            return None
        pixels = mask.unpack()

        def look() -> float:
            window = self._framing.of_mask(pixels)
            features = self._cache.get(frame, [window])
            inside = mask_to_input(pixels, window, self._model.image_size, self._model.device)
            return mean_objectness(self._model, features, inside)[0]

        return self._computed(look)

    def _example(self, object_id: int, frame: int) -> Example:
        mask = self._publisher.mask(object_id, frame)
        decided = self.as_drawn(self.new_track(0), frame, mask)
        return Example(int(mask.sum()), self._appearance(decided, mask))

    def _appearance(self, decided: Conditioning, mask: NDArray[np.bool_]) -> Tensor:
        """Return the pooled features of an object in the window that fits it."""
        window = self._framing.of_mask(mask)
        features = self._cache.get(decided.frame, [window])
        inside = mask_to_input(mask, window, self._model.image_size, self._model.device)
        return pooled_features(features, inside)

    def accept(self, object_id: int, frame: int) -> None:
        """Fix an object in a frame as the labels show it, and condition the object on it.

        An object that is only in the labels so far becomes one of the session. Nothing is
        computed before a frame attends to this one.
        """
        track = self.tracks.get(object_id)
        if track is None and self._publisher.mask(object_id, frame).any():
            track = self.new_track(object_id)
        self._accept(track or self.track(object_id), frame)

    def restore(self, object_id: int, frame: int, mask: NDArray[np.bool_]) -> None:
        """Bring an accepted frame back from a file, whether or not it can be read now."""
        self._publisher.put(object_id, frame, mask)
        self._accept(self.tracks.get(object_id) or self.new_track(object_id), frame)

    def recorrect(
        self, object_id: int, frame: int, prompt: FramePrompt, mask: NDArray[np.bool_]
    ) -> None:
        """Restore a corrected frame from a file, with the mask that the correction gave."""
        track = self.tracks.get(object_id) or self.new_track(object_id)
        self._publisher.put(object_id, frame, mask)
        track.condition(replace(self.as_drawn(track, frame, mask), prompt=prompt))
        track.written[frame] = True
        self.tracks[object_id] = track

    def _accept(self, track: ObjectTrack, frame: int) -> None:
        mask = self._publisher.mask(track.object_id, frame)
        decided = self.as_drawn(track, frame, mask)
        self._publisher.accept(track.object_id, frame)
        track.accept(decided)
        self.tracks[track.object_id] = track

    def as_drawn(self, track: ObjectTrack, frame: int, mask: NDArray[np.bool_]) -> Conditioning:
        """Return the decision that an object is in a frame just where a mask (Y, X) is."""
        return self._computed(lambda: self._decider.from_mask(frame, mask, track.expected(frame)))

    def regroup(self, plan: Callable[[], MergeSplit]) -> PromptBook:
        """Move pixels between objects, or change nothing on failure; return the prompts."""
        change = self._computed(plan)
        self._computed(lambda: self._publisher.regroup(change))
        for object_id in (change.old, change.new):
            self.tracks.pop(object_id, None)
        self.tracks |= {track.object_id: track for track in change.tracks}
        return change.prompts

    def reopen(self, object_id: int, frame: int) -> None:
        """Take a frame for tracked only that was decided before; its labels stay."""
        track = self.track(object_id)
        track.conditioning.pop(frame, None)
        track.conditioning_memory.pop(frame, None)
        track.done[frame] = True

    def candidates(self, prompt: FramePrompt) -> int:
        """Return how many masks a prompt could mean."""
        ambiguous = prompt.mask is None and is_ambiguous(prompt, self._model)
        return _CANDIDATES if ambiguous else 1

    def release(self, object_id: int, frame: int) -> None:
        """Undo the decision about a frame; an object without any decided frame is gone."""
        track = self.track(object_id)
        if ObjectFrame(object_id, frame) not in self._publisher.accepted:
            track.release(frame)
            self._publisher.erase(object_id, frame)
        if not track.conditioning:
            self.forget(object_id)

    def forget(self, object_id: int) -> None:
        """Remove an object, its labels included."""
        track = self.tracks.pop(object_id)
        for frame in np.flatnonzero(track.written):
            self._publisher.unaccept(object_id, int(frame))
            self._publisher.erase(object_id, int(frame))

    def erase(self, track: ObjectTrack, frames: range) -> None:
        """Take an object out of frames that the user did not decide; they count as not tracked."""
        track.done[frames.start : frames.stop] = False
        track.forget_recent()
        for frame in frames:
            decided = frame in track.conditioning
            if not decided and self._publisher.mask(track.object_id, frame).any():
                self._publisher.erase(track.object_id, frame)
                track.written[frame] = False

    def visit(self, frame: int, schedule: Schedule) -> FrameMasks:
        """Compute one frame of a pass and return its results."""
        given, tracked = schedule.split(frame, self.tracks)
        coming = schedule.ahead(self.tracks, self._foresight)
        self._cache.expect(frame, coming, self._reads_ahead)
        schedule.shown.update(ObjectFrame(track.object_id, frame) for track in given)
        parts = self._computed(
            lambda: [
                self._publisher.given(t.object_id, t.conditioning[frame], self._logits_of)
                for t in given
            ]
        )
        if tracked:
            try:
                parts.append(self._follow(frame, tracked, schedule))
            except FrameError as error:
                if self._unreadable is Unreadable.STOP or error.frame != frame:
                    raise
                schedule.skipped[frame] = error
                parts.append(nothing_in(frame, self._publisher.volume.shape, error))
        return merge(frame, parts)

    def _follow(self, frame: int, tracks: list[ObjectTrack], schedule: Schedule) -> FrameMasks:
        """Track objects into a frame; nothing changes if that fails."""
        strays = partial(self._strays, frame)
        advance = self._computed(
            lambda: self._propagator.track(frame, tracks, schedule.step, strays, self.found)
        )
        schedule.stranded |= advance.stranded
        predictions = advance.predictions
        if not predictions:
            reason = next(iter(advance.stranded.values()))
            return nothing_in(frame, self._publisher.volume.shape, reason)
        result = self._computed(
            lambda: self._publisher.tracked(frame, predictions, advance.displaced)
        )
        advance.remember()
        for track in [each for each in tracks if each.object_id in predictions]:
            track.done[frame] = track.written[frame] = True
            self._watch(track, frame, predictions[track.object_id].present, schedule)
        return result

    def new_track(self, object_id: int) -> ObjectTrack:
        """Return an empty track, which is not yet one of the tracker's."""
        return ObjectTrack(object_id, self._n_frames, self._model.config)

    def _logits_of(self, decided: Conditioning) -> Tensor:
        return decided_logits(self._model, decided)

    def _strays(self, frame: int, predictions: Mapping[int, ObjectPrediction]) -> set[int]:
        """Return which objects follow another one, predicted ones and others in the labels."""
        if not self._exclusive:
            return set()
        occupied = self._publisher.volume.without(frame, predictions.keys())
        distances = {i: track.distance_to_decision(frame) for i, track in self.tracks.items()}
        return find_identity_switches(predictions, occupied, distances)

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
                self._publisher.erase(track.object_id, ahead)

    @property
    def unread(self) -> dict[int, FrameError]:
        """Decided frames that could not be attended to, and why; the caller may clear it."""
        return self._propagator.unread

    def forgive(self) -> None:
        """Try frames again that could not be read."""
        self._reader.forgive()

    def rest(self) -> None:
        """Stop all work in the background."""
        self._cache.rest()

    def _computed(self, step: Callable[[], _Result]) -> _Result:
        """Run a step that changes the state only if it succeeds.

        If memory runs out, all cached features are released and the step runs once more. Errors of
        torch become a `DeviceError`.
        """
        try:
            return self._attempt(step)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise device_error(error, self._model.name) from error
        # Only here the error has let go of the tensors of the attempt.
        self._cache.shrink()
        release_memory(self._model.device)
        try:
            return self._attempt(step)
        except (RuntimeError, MemoryError) as error:
            raise device_error(error, self._model.name) from error

    def _attempt(self, step: Callable[[], _Result]) -> _Result:
        with torch.inference_mode(), self._model.precision():
            return step()


def follows_objects(model: Model, settings: TrackingSettings) -> bool:
    """Tell whether the model sees windows that follow objects, not whole frames."""
    if settings.view is View.AUTO:
        return model.config.object_windows or SPEED_PRESETS[settings.speed].follows
    return settings.view is View.OBJECT


def approximations(model: Model, settings: TrackingSettings) -> tuple[str, ...]:
    """Return the approximations of the chosen speed with a model; empty if it is exact."""
    follows = follows_objects(model, settings)
    return SPEED_PRESETS[settings.speed].describe(model, settings.max_conditioning, follows)
