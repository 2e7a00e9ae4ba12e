"""One step of propagation: from the memories of the objects of a frame to new memories.

It runs on the thread that iterates over `TrackingSession.propagate`.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_sam2.errors import FrameError
from napari_sam2.network import ImageFeatures
from napari_sam2.network.logits import ABSENT_LOGIT
from napari_sam2.network.parallel_tasks import map_tasks, tasks_wanted
from napari_sam2.tracking.decoding.brightness import (
    DecidedBrightness,
    KnownBrightness,
    LightHistory,
    deepest_valley,
)
from napari_sam2.tracking.decoding.prediction import (
    Conditioning,
    ObjectPrediction,
    SeenMask,
    absent_prediction,
    decided_logits,
    decided_prediction,
)
from napari_sam2.tracking.decoding.prompt_decoding import encode_memory, seen_from, split_prediction
from napari_sam2.tracking.device import is_out_of_memory, release_memory
from napari_sam2.tracking.images.feature_cache import FeatureCache
from napari_sam2.tracking.images.object_window import Framing, Window, WindowedObject
from napari_sam2.tracking.memory.memory_bank import (
    FrameMemory,
    MemoryLayout,
    MemorySelection,
    RecentMemory,
    nearest_conditioning,
    recall,
)
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.settings import TrackingSettings
from napari_sam2.tracking.speed_presets import SPEED_PRESETS
from napari_sam2.types import StackKind, Unreadable

_MIN_OBJECTNESS = 0.4  # mean object probability under the mask of an object that goes on
_OBJECTS_PER_THREAD = 4  # decoded together
_MAX_TOKENS = 4096  # of all objects of a batch on a CPU; more do not fit into its caches


@dataclass(frozen=True, slots=True, eq=False)
class TrackingTask:
    """One object that is to be tracked into a frame.

    Attributes
    ----------
    object_id : int
    recent : RecentMemory
        Memory that the frame is added to.
    recalled : MemorySelection
    window : Window
        Window of the frame that the model sees.
    seen : WindowedObject or None
        Last known place of the object.
    carried : SeenMask or None
        Its mask there, for networks that carry it along.
    brightness : KnownBrightness or None
        For networks with `relative_brightness`.
    likeness : float
        How much a mask counts that is like the one carried along.
    tentative : bool
        It is absent where the dense heads see no object in its place.
    """

    object_id: int
    recent: RecentMemory
    recalled: MemorySelection
    window: Window
    seen: WindowedObject | None
    carried: SeenMask | None = None
    brightness: KnownBrightness | None = None
    likeness: float = 0.0
    tentative: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class FrameUpdate:
    """Predictions of the objects of a frame, and their new memories.

    Attributes
    ----------
    frame : int
    predictions : dict of int to ObjectPrediction
        By object id.
    displaced : set of int
        Objects that are not among them, and follow one of them: their labels there must go.
    memories : tuple of (RecentMemory, FrameMemory)
    stranded : dict of int to FrameError
        Objects that could not be followed: none of the frames that they begin from can be read.
    ended : dict of int to int
        Objects that another one follows, as this frame shows, and the last frame that is theirs.
    """

    frame: int
    predictions: dict[int, ObjectPrediction]
    displaced: Set[int]
    memories: tuple[tuple[RecentMemory, FrameMemory], ...]
    stranded: dict[int, FrameError]
    ended: Mapping[int, int] = field(default_factory=dict)

    def remember(self) -> None:
        """Add the frame to the memories of the objects; called when its labels are written."""
        for recent, memory in self.memories:
            recent.append(memory)


class PredictedObject(NamedTuple):
    """An object in a tracked frame, and what is remembered of it.

    Attributes
    ----------
    prediction : ObjectPrediction
    tokens : Tensor of bfloat16, shape (h w, memory width)
    history : LightHistory or None
        For networks with `relative_brightness`.
    last : int or None
        Its last frame, where this one shows that another object follows it.
    """

    prediction: ObjectPrediction
    tokens: Tensor
    history: LightHistory | None = None
    last: int | None = None


class Propagator:
    """Carries objects into a frame, in batches of equal memory layout.

    Parameters
    ----------
    model : Model
    cache : FeatureCache
    framing : Framing
        Decides what the model sees of a frame.
    settings : TrackingSettings
    n_frames : int
        Length of the stack: it bounds the pointers' reach, as in the reference.
    kind : StackKind
        What the frames are.

    Attributes
    ----------
    unread : dict of int to FrameError
        Decided frames that could not be attended to, since they cannot be read.
    """

    def __init__(
        self,
        model: Model,
        cache: FeatureCache,
        framing: Framing,
        settings: TrackingSettings,
        n_frames: int,
        kind: StackKind = StackKind.UNKNOWN,
    ) -> None:
        self._model = model
        self._cache = cache
        self._framing = framing
        self._settings = settings
        self._preset = SPEED_PRESETS[settings.speed]
        self._max_pointers = min(n_frames, model.config.max_pointers)
        self._chunk = chunk_size(model, settings)  # less once memory has run out
        self._carries = model.config.carried_masks and framing.follows
        self._deepest_valley = deepest_valley(kind)
        self.unread: dict[int, FrameError] = {}

    def track(
        self,
        frame: int,
        tracks: Sequence[ObjectTrack],
        step: int,
        switched: Callable[[Mapping[int, ObjectPrediction]], Set[int]],
        tentative: Set[int] = frozenset(),
    ) -> FrameUpdate:
        """Predict every object in `frame`; the tracks change only when the result is applied.

        Parameters
        ----------
        frame : int
        tracks : sequence of ObjectTrack
        step : int
            1 forward, -1 backward.
        switched : callable
            Tells from all predictions of the frame which objects follow another one: these are
            absent.
        tentative : set of int
            Objects that are absent where the dense heads see none in their place.

        Raises
        ------
        FrameError
            The frame cannot be read; by setting, also where a frame attended to cannot.
        RuntimeError, MemoryError
            There is not even the memory for one object.
        """
        groups: dict[MemoryLayout, list[TrackingTask]] = defaultdict(list)
        stranded: dict[int, FrameError] = {}
        for track in tracks:
            recent = track.recent(frame, step)
            recalled = self.recall(frame, track, recent)
            if not recalled.spatial:
                stranded[track.object_id] = _lost(track)
                continue
            seen = track.expected(frame, recent)
            window = self._framing.following(seen, track.expected(frame))
            carried = self._carried(track, frame, recent)
            likeness = _likeness(track, frame)
            task = TrackingTask(
                track.object_id,
                recent,
                recalled,
                window,
                seen,
                carried,
                _known_brightness(track, frame, self._recalled_frames(frame, track), recent),
                likeness,
                track.object_id in tentative,
            )
            groups[recalled.layout].append(task)
        tracked: dict[int, PredictedObject] = {}
        openings: dict[Window, Tensor] = {}
        for group in groups.values():
            group.sort(key=_neighbourhood)
            for chunk, objects in self._chunks(frame, group, openings):
                for task, each in zip(chunk, objects, strict=True):
                    tracked[task.object_id] = each
        found = {
            t.object_id: tracked[t.object_id].prediction for t in tracks if t.object_id in tracked
        }
        lost = switched(found)
        for object_id in lost & found.keys():
            found[object_id] = absent_prediction(self._model, found[object_id].window)
            tokens = self._remember(frame, found[object_id], decided=False)
            tracked[object_id] = tracked[object_id]._replace(tokens=tokens)
        kept: list[tuple[RecentMemory, FrameMemory]] = []
        for task in itertools.chain.from_iterable(groups.values()):
            prediction, each = found[task.object_id], tracked[task.object_id]
            seen = prediction.sighting or task.seen
            mask = SeenMask(prediction.logits, prediction.window) if self._carries else None
            memory = FrameMemory(
                frame, each.tokens, prediction.pointer, seen, mask, history=each.history
            )
            kept.append((task.recent, memory))
        ended = {number: each.last for number, each in tracked.items() if each.last is not None}
        return FrameUpdate(frame, found, lost - found.keys(), tuple(kept), stranded, ended)

    def recall(
        self, frame: int, track: ObjectTrack, recent: RecentMemory, without: int | None = None
    ) -> MemorySelection:
        """Return the memories that an object attends to at `frame`, optionally without one frame.

        Decided frames whose memory must still be made and that cannot be read are left out.
        """
        limit = self._preset.conditioning_frames(self._settings.max_conditioning)
        chosen = self._recalled_frames(frame, track, without)
        found = {f: self._conditioning_memory(track, f) for f in chosen}
        memories = {f: memory for f, memory in found.items() if memory is not None}
        gone = [f for f in track.dismissals(frame, recent.step) if recent.reaches(f, frame)]
        known = [self._conditioning_memory(track, f) for f in gone if f != without]
        dismissed = [memory for memory in known if memory is not None]
        while limit is not None and len(track.conditioning_memory) > limit:
            track.conditioning_memory.popitem(last=False)
        config = self._model.config
        return recall(
            frame,
            memories,
            recent,
            config.memory_frames,
            self._max_pointers,
            dismissed,
            self._preset.recent_frames(config),
        )

    def _recalled_frames(
        self, frame: int, track: ObjectTrack, without: int | None = None
    ) -> tuple[int, ...]:
        """Return the decided frames that an object attends to at `frame`."""
        limit = self._preset.conditioning_frames(self._settings.max_conditioning)
        return nearest_conditioning(track.sources(), frame, limit, without)

    def attend(
        self,
        features: ImageFeatures,
        recalls: Sequence[MemorySelection],
        opened: Tensor | None = None,
    ) -> Tensor:
        """Condition the features of N objects (a batch of N or one) on memories of one layout."""
        model = self._model
        split = model.config.pointer_tokens
        memory = [
            torch.cat([*r.spatial, *(pointer.unflatten(0, (split, -1)) for pointer in r.pointers)])
            for r in recalls
        ]
        return model.network.attend_memory(
            features.stride16,
            features.position,
            torch.stack(memory).to(features.stride16.dtype),
            self._positions(features, recalls).to(features.stride16.dtype),
            pointer_tokens=split * recalls[0].layout.pointers,
            opened=opened,
        )

    def _positions(self, features: ImageFeatures, recalls: Sequence[MemorySelection]) -> Tensor:
        """Encode where and when the memories of N objects were, (N, M, memory width)."""
        network, layout = self._model.network, recalls[0].layout
        height, width = features.stride16.shape[2:]
        spatial = [network.memory_position(height, width, slot) for slot in layout.slots]
        position = torch.cat(spatial, dim=1).expand(len(recalls), -1, -1)
        if not layout.pointers:
            return position
        reach = max(1, self._max_pointers - 1)
        ages = torch.tensor([r.distances for r in recalls], device=position.device) / reach
        pointers = network.pointer_position(ages.flatten()).unflatten(0, ages.shape)
        tokens = pointers.repeat_interleave(self._model.config.pointer_tokens, dim=1)
        return torch.cat((position, tokens), dim=1)

    def _carried(self, track: ObjectTrack, frame: int, recent: RecentMemory) -> SeenMask | None:
        """Return the object's mask in the nearest frame that shows it, passed or decided."""
        if not self._carries:
            return None
        latest, decided = recent.latest, track.conditioning.nearest_sighted(frame)
        passed = None if latest is None else latest.mask
        if latest is not None and passed is not None:
            nearer = decided is None or abs(latest.frame - frame) < abs(decided.frame - frame)
            if nearer:
                return passed
        if decided is None:
            return None
        return SeenMask(decided_logits(self._model, decided), decided.window)

    def _conditioning_memory(self, track: ObjectTrack, frame: int) -> FrameMemory | None:
        kept = track.conditioning_memory
        if frame not in kept:
            decided = track.conditioning[frame]
            try:
                prediction = decided_prediction(self._model, self._cache, decided)
                tokens = self._remember(frame, prediction, decided=True)
                brightness = self._brightness(frame, prediction)
            except FrameError as error:
                if self._settings.unreadable is Unreadable.STOP:
                    raise
                self.unread[frame] = error
                return None
            kept[frame] = FrameMemory(frame, tokens, prediction.pointer, brightness=brightness)
        kept.move_to_end(frame)
        return kept[frame]

    def memory_of(self, tracked: Conditioning) -> FrameMemory:
        """Return the memory of a tracked frame of which only the mask is known any more."""
        prediction = decided_prediction(self._model, self._cache, tracked)
        tokens = self._remember(tracked.frame, prediction, decided=False)
        mask = SeenMask(prediction.logits, prediction.window) if self._carries else None
        return FrameMemory(tracked.frame, tokens, prediction.pointer, tracked.sighting, mask)

    def _remember(self, frame: int, prediction: ObjectPrediction, decided: bool) -> Tensor:
        features = self._cache.get(frame, [prediction.window])
        return encode_memory(self._model, features, [prediction], decided)[0]

    def _brightness(self, frame: int, prediction: ObjectPrediction) -> DecidedBrightness | None:
        """Measure the brightness of an object in a decided frame, if the network needs it."""
        if not self._model.config.relative_brightness:
            return None
        return DecidedBrightness.measured(
            self._cache.get(frame, [prediction.window]), prediction.logits, prediction.window
        )

    def _chunks(
        self, frame: int, group: list[TrackingTask], openings: dict[Window, Tensor]
    ) -> Iterator[tuple[list[TrackingTask], list[PredictedObject]]]:
        start = 0
        while start < len(group):
            chunk = group[start : start + self._chunk]
            try:
                objects = self._predict(frame, chunk, openings)
            except (RuntimeError, MemoryError) as error:
                if len(chunk) == 1 or not is_out_of_memory(error):
                    raise
            else:
                yield chunk, objects
                start += len(chunk)
                continue
            # Only here the error has let go of the tensors of the attempt.
            self._chunk = len(chunk) // 2
            release_memory(self._model.device)

    def _predict(
        self, frame: int, chunk: list[TrackingTask], openings: dict[Window, Tensor]
    ) -> list[PredictedObject]:
        """Predict objects and encode their memories; `openings` are shared by equal windows."""
        model = self._model
        windows = [task.window for task in chunk]
        features = self._cache.get(frame, windows)
        if self._framing.follows:
            pieces = pieces_of(len(chunk), features)
            parts = map_tasks(
                lambda each: self._decode(frame, chunk[each[0]], each[1], None), pieces
            )
            return list(itertools.chain.from_iterable(parts))
        if windows[0] not in openings:
            opened = model.network.open_memory(features.stride16, features.position)
            openings[windows[0]] = opened
        return self._decode(frame, chunk, features, openings[windows[0]])

    def _decode(
        self,
        frame: int,
        chunk: list[TrackingTask],
        features: ImageFeatures,
        opened: Tensor | None,
    ) -> list[PredictedObject]:
        """Predict objects from the features of their windows, and encode their memories."""
        model = self._model
        windows = [task.window for task in chunk]
        conditioned = self.attend(features, [task.recalled for task in chunk], opened)
        brightness = KnownBrightness.joined([task.brightness for task in chunk])
        prediction = model.network.predict_masks(
            conditioned,
            features.stride8,
            features.stride4,
            features.finer,
            carried=_as_seen_now(chunk) if self._carries else None,
            likeness=torch.tensor([each.likeness for each in chunk], device=model.device),
            brightness=None if brightness is None else brightness.relative(features),
            multimask=True,
        )
        best = prediction.best()
        histories: list[LightHistory | None] = [None] * len(chunk)
        last: list[int | None] = [None] * len(chunk)
        if brightness is not None:
            best, history, ended = brightness.checked(
                best, features, windows, frame, self._deepest_valley
            )
            histories = [history.of(index) for index in range(len(chunk))]
            last = [None if at < 0 else int(at) for at in ended.tolist()]
        predictions = split_prediction(model, best, windows, self._framing.follows)
        if model.config.dense_heads and any(task.tentative for task in chunk):
            masks = torch.stack([(each.logits > 0).float() for each in predictions])[:, None]
            seen = mean_objectness(model, features, masks)
            for index, task in enumerate(chunk):
                if task.tentative and seen[index] < _MIN_OBJECTNESS:
                    predictions[index] = absent_prediction(model, windows[index])
        tokens = encode_memory(model, features, predictions, decided=False)
        return [
            PredictedObject(each, tokens[index], histories[index], last[index])
            for index, each in enumerate(predictions)
        ]


def pieces_of(count: int, features: ImageFeatures) -> list[tuple[slice, ImageFeatures]]:
    """Divide objects into pieces that are each decoded by one thread, with their features.

    On a CPU with one thread, and elsewhere, all of them are one piece. Where threads decode a
    piece together instead, they wait for each other longer than they compute.

    Parameters
    ----------
    count : int
        Number of objects.
    features : ImageFeatures
        Of their windows, or of one window for all.
    """
    if features.stride16.device.type != "cpu" or not tasks_wanted():
        return [(slice(0, count), features)]
    alike = len(features.stride16) == 1
    slices = [
        slice(at, min(at + _OBJECTS_PER_THREAD, count))
        for at in range(0, count, _OBJECTS_PER_THREAD)
    ]
    return [(each, features if alike else features.frames(each)) for each in slices]


def chunk_size(model: Model, settings: TrackingSettings) -> int:
    """Return how many objects go through the network together."""
    if model.device.type != "cpu":
        return settings.object_chunk
    tokens = (model.image_size // 16) ** 2
    return max(1, min(settings.object_chunk, _MAX_TOKENS // tokens))


def mean_objectness(model: Model, features: ImageFeatures, masks: Tensor) -> list[float]:
    """Return how probable any object is under masks, by the dense heads, in 0..1.

    Parameters
    ----------
    model : Model
        Its network has dense heads.
    features : ImageFeatures
        Of the windows of N masks, or of one window for all.
    masks : Tensor, shape (N, 1, S, S)
        1 inside and 0 outside.
    """
    objects = model.network.dense_heads(features)[0].objects.sigmoid()
    inside = F.interpolate(masks, size=objects.shape[2:], mode="area")
    under = (objects * inside).sum(dim=(1, 2, 3)) / inside.sum(dim=(1, 2, 3)).clamp(min=1e-6)
    means: list[float] = under.tolist()
    return means


def _neighbourhood(task: TrackingTask) -> tuple[int, int, int]:
    """Sort objects so that those whose windows share a tile are neighbours."""
    window = task.window
    return window.height, window.top // window.height, window.left // window.height


def _as_seen_now(chunk: Sequence[TrackingTask]) -> Tensor | None:
    """Return the masks that objects carry along as their windows see them, (N, 1, h, w)."""
    masks = [
        None if each.carried is None else seen_from(*each.carried, each.window) for each in chunk
    ]
    known = next((mask for mask in masks if mask is not None), None)
    if known is None:
        return None
    nothing = torch.full_like(known, ABSENT_LOGIT)
    return torch.stack([nothing if mask is None else mask for mask in masks])[:, None]


def _known_brightness(
    track: ObjectTrack, frame: int, attended: Iterable[int], recent: RecentMemory
) -> KnownBrightness | None:
    """Return what is known of an object's brightness from the decided frames that it attends to."""
    decided, kept = track.conditioning.nearest_sighted(frame), track.conditioning_memory
    nearest = None if decided is None else kept.get(decided.frame)
    memories = [kept.get(each) for each in attended]
    known = [each.brightness for each in memories if each is not None]
    return KnownBrightness.of(
        None if nearest is None else nearest.brightness,
        [each for each in known if each is not None],
        _light_history(track, recent),
    )


def _light_history(track: ObjectTrack, recent: RecentMemory) -> LightHistory | None:
    """Return how an object's light changed since the last decided frame.

    Between two frames that show it an object is there, however its light goes: None.
    """
    sources, latest = track.sources(), recent.latest
    last = sources[-1] if recent.step > 0 else sources[0]  # in the direction of the pass
    if latest is None or not last * recent.step < latest.frame * recent.step:
        return None
    return latest.history


def _likeness(track: ObjectTrack, frame: int) -> float:
    """Return how much masks count that are like the one before, from the nearest decided frame."""
    decided = track.conditioning.nearest_sighted(frame)
    return 1.0 if decided is not None and decided.definite else 0.0


def _lost(track: ObjectTrack) -> FrameError:
    """Return the error that none of an object's decided frames can be read any more."""
    frames = sorted(track.conditioning)
    return FrameError(
        f"Object {track.object_id} cannot be followed: frame {frames[0]}, which it begins from, "
        "cannot be read any more.",
        frame=frames[0],
        safe="The labels computed so far are kept.",
        remedy="Prompt it in another frame, or propagate the other objects only.",
    )
