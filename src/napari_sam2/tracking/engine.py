"""`Engine`: the steps of a session that need the network; `NetworkEngine` takes them here.

An engine changes neither labels nor tracks, only what it keeps to be faster next time. The
session's lock guards it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_sam2.detection import DetectionSettings, FrameInput
from napari_sam2.errors import DeviceError, FrameError
from napari_sam2.labels import PackedMask
from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.volume import without
from napari_sam2.network import object_contrast, remaining_contrast
from napari_sam2.prompts import FramePrompt
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.decoding.mask_postprocessing import FrameOutput, MaskFinisher, SharedMasks
from napari_sam2.tracking.decoding.prediction import Conditioning, ObjectPrediction
from napari_sam2.tracking.decoding.prompted_frames import (
    PromptedFramePredictor,
    drawn_conditioning,
)
from napari_sam2.tracking.device import device_error, is_out_of_memory, release_memory
from napari_sam2.tracking.identity_switches import find_identity_switches, find_yielding
from napari_sam2.tracking.images.feature_cache import FeatureCache
from napari_sam2.tracking.images.frame_reader import FrameReader
from napari_sam2.tracking.images.object_window import Framing, WindowedObject, mask_to_input
from napari_sam2.tracking.memory.memory_bank import FrameMemory
from napari_sam2.tracking.memory.object_track import ObjectTrack
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
from napari_sam2.tracking.propagation import (
    FrameUpdate,
    Propagator,
    chunk_size,
    mean_objectness,
)
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.tracking.speed_presets import SPEED_PRESETS
from napari_sam2.types import View

_FRAMES_TOGETHER = 4  # encoded at once on a GPU
_WINDOWS_PER_FRAME = 4  # windows in the cache for each whole frame that it could keep

_Result = TypeVar("_Result")


class PromptedMask(NamedTuple):
    """What a prompt means: the decision about its frame, and the masks that it changes there.

    Attributes
    ----------
    decided : Conditioning
    shared : SharedMasks or None
        Finished masks of the object and of those that it shares pixels with; None where the mask
        is the user's own.
    logits : ndarray of float32, shape (1, Y, X), or None
        Of a mask that is the user's own, if logits are handed out.
    """

    decided: Conditioning
    shared: SharedMasks | None
    logits: NDArray[np.float32] | None = None


class TrackedFrame(NamedTuple):
    """Objects that were tracked into a frame: their predictions and memories, and their masks.

    Attributes
    ----------
    update : FrameUpdate
    output : FrameOutput or None
        Finished masks of the predicted objects by ascending id; None where there are none.
    """

    update: FrameUpdate
    output: FrameOutput | None


class ExampleMask(NamedTuple):
    """A mask, bool (Y, X), of an object that others shall be like, and its frame."""

    frame: int
    mask: NDArray[np.bool_]


class FrameAhead(NamedTuple):
    """What a pass will do in a frame that comes, as things stand.

    Attributes
    ----------
    object_ids : tuple of int
        Objects that will be followed into it, ascending.
    labels : ndarray of int, shape (Y, X)
        A copy of its labels.
    """

    object_ids: tuple[int, ...]
    labels: Labels


class StepInterruptedError(Exception):
    """A step was given up because the propagation is cancelled; nothing has changed."""


class Engine(Protocol):
    """The steps of one session on one stack that need the network."""

    @property
    def unread(self) -> dict[int, FrameError]:
        """Decided frames that could not be attended to, and why; the caller may clear it."""
        ...

    def run(self, step: Callable[[], _Result]) -> _Result:
        """Run a step that changes the state only if it succeeds; failures become `Sam2Error`s."""
        ...

    def decide(
        self,
        track: ObjectTrack,
        frame: int,
        prompt: FramePrompt,
        current: NDArray[np.bool_],
        tracks: Mapping[int, ObjectTrack],
        labels: Labels,
        refines: bool = False,
        rank: int = 0,
    ) -> PromptedMask:
        """Decide a frame from its prompts, and finish the masks that follow from it.

        Parameters
        ----------
        track : ObjectTrack
            The object as it is.
        frame : int
        prompt : FramePrompt
            No mask alone: that needs no network.
        current : ndarray of bool, shape (Y, X)
            The object's mask in that frame so far.
        tracks : mapping of int to ObjectTrack
            All objects.
        labels : ndarray of int, shape (Y, X)
            Of the frame.
        refines : bool
            The prompt only adds to the one that the frame was decided from before.
        rank : int
            Which of the masks that it could mean.
        """
        ...

    def follow(
        self,
        frame: int,
        followed: Sequence[ObjectTrack],
        step: int,
        tracks: Mapping[int, ObjectTrack],
        labels: Labels,
        tentative: Set[int] = frozenset(),
    ) -> TrackedFrame:
        """Track objects into a frame, and finish their masks.

        Parameters
        ----------
        frame : int
        followed : sequence of ObjectTrack
        step : int
            1 forward, -1 backward.
        tracks : mapping of int to ObjectTrack
            All objects.
        labels : ndarray of int, shape (Y, X)
            Of the frame.
        tentative : set of int
            Objects that are absent where the dense heads see none in their place.

        Raises
        ------
        FrameError
            The frame cannot be read.
        """
        ...

    def prefetch(
        self, frame: int, coming: Sequence[int], frame_ahead: Callable[[int], FrameAhead]
    ) -> None:
        """Prepare for the frames of a pass that come after `frame`; see `FrameAhead`."""
        ...

    @property
    def prefetch_frames(self) -> int:
        """How many frames ahead `prefetch` makes use of."""
        ...

    def logits(self, decided: Conditioning) -> NDArray[np.float32] | None:
        """Return the logits (1, Y, X) of a decided frame, if they are handed out."""
        ...

    def propose(
        self,
        frame: int,
        taken: NDArray[np.bool_],
        settings: DetectionSettings,
        examples: Sequence[ExampleMask],
        advance: Callable[[float], None],
    ) -> tuple[Proposal, ...]:
        """Propose new objects on free pixels; see `propose_objects`."""
        ...

    def objectness(self, frame: int, mask: PackedMask) -> float | None:
        """Return the mean probability of being any object in a mask; None without dense heads."""
        ...

    def remaining_contrast(
        self, frame: int, mask: PackedMask, decided_frame: int, decided_mask: PackedMask
    ) -> float:
        """Return what is left of an object's contrast under a mask; see `remaining_contrast`."""
        ...

    def retry_unreadable(self) -> None:
        """Try frames again that could not be read."""
        ...

    def stop_background_work(self) -> None:
        """Stop all work in the background."""
        ...

    def interrupt(self) -> None:
        """Abort a step that is waiting; called from any thread when a pass is cancelled."""
        ...


class NetworkEngine:
    """Takes the steps with a network that is in this process.

    Parameters
    ----------
    model : Model
    stack : FrameStack
    settings : TrackingSettings
    keep_logits : bool
        Hand out logits at full resolution too.
    """

    def __init__(
        self, model: Model, stack: FrameStack, settings: TrackingSettings, keep_logits: bool = False
    ) -> None:
        framing = framing_of(model, settings, stack.frame_shape)
        cells = framing.cells
        model = SPEED_PRESETS[settings.speed].model(model)
        self._model = model
        self._frame_shape = stack.frame_shape
        self._n_frames = stack.n_frames
        self._exclusive = settings.exclusive and not settings.overlap
        self._framing = framing
        on_cpu = model.device.type == "cpu"
        together = 1 if framing.follows else settings.encode_ahead
        together = together or (1 if on_cpu else _FRAMES_TOGETHER)
        self.prefetch_frames = together - 1 + settings.read_ahead
        self._reads_ahead = settings.read_ahead > 0
        self.reader = FrameReader(stack, settings.read_attempts, always_ahead=not on_cpu)
        self.cache = FeatureCache(
            model,
            self.reader,
            settings.cached_frames * (_WINDOWS_PER_FRAME if framing.follows else 1),
            None if framing.follows else framing.whole,
            together,
            cells,
        )
        self.propagator = Propagator(
            model, self.cache, framing, settings, stack.n_frames, stack.kind
        )
        self._decider = PromptedFramePredictor(
            model, self.cache, self.propagator, framing, settings.obey_clicks
        )
        self._finisher = MaskFinisher(model, settings, keep_logits)
        self._clicks_together = chunk_size(model, settings)  # less once memory has run out

    @property
    def unread(self) -> dict[int, FrameError]:
        """Decided frames that could not be attended to, and why; the caller may clear it."""
        return self.propagator.unread

    def decide(
        self,
        track: ObjectTrack,
        frame: int,
        prompt: FramePrompt,
        current: NDArray[np.bool_],
        tracks: Mapping[int, ObjectTrack],
        labels: Labels,
        refines: bool = False,
        rank: int = 0,
    ) -> PromptedMask:
        """Decide a frame from its prompts; see `Engine`."""
        decided = self._decider.from_prompt(track, frame, prompt, current, refines, rank)
        others = {
            other.object_id: other.conditioning[frame]
            for other in tracks.values()
            if other is not track and frame in other.conditioning
        }
        shared = self._finisher.decided(track.object_id, decided, others, labels)
        return PromptedMask(decided, shared)

    def follow(
        self,
        frame: int,
        followed: Sequence[ObjectTrack],
        step: int,
        tracks: Mapping[int, ObjectTrack],
        labels: Labels,
        tentative: Set[int] = frozenset(),
    ) -> TrackedFrame:
        """Track objects into a frame; see `Engine`."""

        def identity_switches(predictions: Mapping[int, ObjectPrediction]) -> set[int]:
            return self.identity_switches(frame, predictions, tracks, labels)

        update = self.propagator.track(frame, followed, step, identity_switches, tentative)
        if not update.predictions:
            return TrackedFrame(update, None)
        free = update.displaced
        if self._exclusive:
            free = free | find_yielding(update.predictions, labels, _distances(frame, tracks))
        output = self._finisher.tracked(update.predictions, labels, free)
        return TrackedFrame(update, output)

    def identity_switches(
        self,
        frame: int,
        predictions: Mapping[int, ObjectPrediction],
        tracks: Mapping[int, ObjectTrack],
        labels: Labels,
    ) -> set[int]:
        """Return which objects follow another one, predicted ones and others in the labels."""
        if not self._exclusive:
            return set()
        occupied = without(labels, predictions.keys())
        return find_identity_switches(predictions, occupied, _distances(frame, tracks))

    def prefetch(
        self,
        frame: int,
        coming: Sequence[int],
        frame_ahead: Callable[[int], FrameAhead] | None = None,
    ) -> None:
        """Prepare for the frames of a pass that come after `frame`."""
        self.cache.prefetch(frame, coming, self._reads_ahead)

    def logits(self, decided: Conditioning) -> NDArray[np.float32] | None:
        """Return the logits (1, Y, X) of a decided frame, if they are handed out."""
        return self._finisher.logits(decided)

    def propose(
        self,
        frame: int,
        taken: NDArray[np.bool_],
        settings: DetectionSettings,
        examples: Sequence[ExampleMask],
        advance: Callable[[float], None],
    ) -> tuple[Proposal, ...]:
        """Propose new objects on free pixels; see `propose_objects`."""
        with torch.inference_mode(), self._model.precision():
            known = [self._example(each) for each in examples]
            seen = FrameInput(
                self._model.network,
                self._model.device,
                self._model.image_size,
                self._framing.follows,
                self.reader.read(frame),
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

    def predicted(self, frame: int, prompt: FramePrompt, rank: int = 0) -> ObjectPrediction:
        """Return what the network makes of the clicks and the box of a new object."""
        decided = self._first_decision(frame, prompt, rank)
        assert decided.prediction is not None
        return decided.prediction

    def memory_of(
        self,
        track: ObjectTrack,
        frame: int,
        mask: NDArray[np.bool_],
        seen: WindowedObject | None = None,
    ) -> FrameMemory:
        """Return the memory of a frame that an object was tracked through, from its mask there.

        Parameters
        ----------
        track : ObjectTrack
        frame : int
        mask : ndarray of bool, shape (Y, X)
        seen : WindowedObject, optional
            Where it was seen when it was tracked; as near as can be told from the mask by default.
        """
        drawn = drawn_conditioning(
            self._framing, frame, mask, seen or track.expected(frame, without=frame)
        )
        if seen is not None:
            drawn = replace(drawn, window=seen.window, sighting=seen if mask.any() else None)
        return self.propagator.memory_of(drawn)

    def _first_decision(self, frame: int, prompt: FramePrompt, rank: int = 0) -> Conditioning:
        """Decide a frame from the prompt of a new object."""
        nothing = np.zeros(self._frame_shape, dtype=bool)
        return self._decider.from_prompt(self._nobody(), frame, prompt, nothing, False, rank)

    def _clicked(
        self,
        frame: int,
        points: Points,
        extents: Sequence[float],
        left_out: Callable[[int], bool],
    ) -> Iterator[Predicted]:
        """Yield the predictions of clicks on new objects; neighbours are decoded together."""
        for batch in self._decider.batches(points, extents):
            waiting, rows = deque(batch), list[int]()
            while waiting or rows:
                while waiting and len(rows) < self._clicks_together:
                    row = waiting.popleft()
                    if not left_out(row):  # it may lie in what was found just now
                        rows.append(row)
                part = rows[: self._clicks_together]
                if not part:
                    break
                clicks, sizes = [points[row] for row in part], [extents[row] for row in part]
                decide = partial(self._decider.from_clicks, frame, clicks, sizes)
                try:
                    decided = self.run(decide)
                except DeviceError as error:
                    cause = error.__cause__
                    short = isinstance(cause, Exception) and is_out_of_memory(cause)
                    if len(part) == 1 or not short:
                        raise
                    self._clicks_together = len(part) // 2
                    continue
                rows = rows[len(part) :]
                for row, each in zip(part, decided, strict=True):
                    yield Predicted(row, each, self._finisher.mask_of(each, self._frame_shape))

    def objectness(self, frame: int, mask: PackedMask) -> float | None:
        """Return the mean probability of being any object in a mask; None without dense heads."""
        if not self._model.config.dense_heads:
            return None
        pixels = mask.unpack()
        window = self._framing.of_mask(pixels)
        features = self.cache.get(frame, [window])
        inside = mask_to_input(pixels, window, self._model.image_size, self._model.device)
        return mean_objectness(self._model, features, inside)[0]

    def remaining_contrast(
        self, frame: int, mask: PackedMask, decided_frame: int, decided_mask: PackedMask
    ) -> float:
        """Return what is left of an object's contrast under a mask; see `remaining_contrast`."""
        contrast = object_contrast(*self._under(decided_frame, decided_mask))
        return float(remaining_contrast(*self._under(frame, mask), contrast))

    def _under(self, frame: int, mask: PackedMask) -> tuple[Tensor, Tensor]:
        """Return the pixels of the window that fits a mask, and the mask in it."""
        pixels = mask.unpack()
        window = self._framing.of_mask(pixels)
        inside = mask_to_input(pixels, window, self._model.image_size, self._model.device)
        return self.cache.get(frame, [window]).pixels, inside > 0

    def _nobody(self) -> ObjectTrack:
        return ObjectTrack(0, self._n_frames, self._model.config)

    def _example(self, shown: ExampleMask) -> Example:
        decided = drawn_conditioning(self._framing, shown.frame, shown.mask, None)
        return Example(int(shown.mask.sum()), self._appearance(decided, shown.mask))

    def _appearance(self, decided: Conditioning, mask: NDArray[np.bool_]) -> Tensor:
        """Return the pooled features of an object in the window that fits it."""
        window = self._framing.of_mask(mask)
        features = self.cache.get(decided.frame, [window])
        inside = mask_to_input(mask, window, self._model.image_size, self._model.device)
        return pooled_features(features, inside)

    def retry_unreadable(self) -> None:
        """Try frames again that could not be read."""
        if self.reader.failed:
            self.reader.retry_unreadable()

    def stop_background_work(self) -> None:
        """Stop all work in the background."""
        self.cache.stop_background_work()

    def interrupt(self) -> None:
        """Do nothing: no step of this engine waits."""

    def run(self, step: Callable[[], _Result]) -> _Result:
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
        self.cache.shrink()
        release_memory(self._model.device)
        try:
            return self._attempt(step)
        except (RuntimeError, MemoryError) as error:
            raise device_error(error, self._model.name) from error

    def _attempt(self, step: Callable[[], _Result]) -> _Result:
        with torch.inference_mode(), self._model.precision():
            return step()


def framing_of(model: Model, settings: TrackingSettings, frame_shape: tuple[int, int]) -> Framing:
    """Return how a model sees frames of a shape, at the speed of the settings."""
    follows = follows_objects(model, settings)
    size = SPEED_PRESETS[settings.speed].model(model).image_size
    cells = size // 16 if follows and model.config.fine_channels else None
    return Framing(frame_shape, size, follows, cells)


def follows_objects(model: Model, settings: TrackingSettings) -> bool:
    """Return whether the model sees windows that follow objects, not whole frames."""
    if settings.view is View.AUTO:
        return model.config.object_windows or SPEED_PRESETS[settings.speed].follows
    return settings.view is View.OBJECT


def approximations(model: Model, settings: TrackingSettings) -> tuple[str, ...]:
    """Return the approximations of the chosen speed with a model; empty if it is exact."""
    follows = follows_objects(model, settings)
    return SPEED_PRESETS[settings.speed].describe(model, settings.max_conditioning, follows)


def _distances(frame: int, tracks: Mapping[int, ObjectTrack]) -> dict[int, int]:
    """Return how many frames away the nearest decided frame of each object is."""
    return {i: track.distance_to_decision(frame) for i, track in tracks.items()}
