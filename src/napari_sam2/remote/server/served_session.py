"""`ServedSession`: the server's part of one client's session: an engine and its caches.

A request contains enough to compute all of the caches again. Methods run while the caller has the
turn on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from napari_sam2.errors import FrameError, Sam2Error
from napari_sam2.labels import PackedMask
from napari_sam2.labels.array_storage import Labels
from napari_sam2.prompts import FramePrompt, PromptBook
from napari_sam2.remote.limits import (
    MOST_BEYOND,
    MOST_HANDLE,
    MOST_OBJECT_ID,
    MOST_RECENT,
    ServerLimits,
)
from napari_sam2.remote.messages import (
    HASH_BYTES,
    Fields,
    Message,
    MessageBuilder,
    MessageError,
    hash_bytes,
    items,
    whole,
)
from napari_sam2.remote.server.frame_cache import CachedFrames, FrameCache, NeededError
from napari_sam2.remote.server.state_cache import (
    SessionStates,
    StateCache,
    memory_bytes,
    new_handle,
    prediction_bytes,
)
from napari_sam2.remote.session_spec import StackSpec
from napari_sam2.remote.values import (
    DecidedValues,
    PredictionValues,
    error_values,
    item_key,
    logits_values,
    mask_values,
    prompt_values,
    read_detection,
    read_mask,
    read_plane,
    read_prompt,
    read_sighting,
    sighting_values,
    window_values,
)
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.decoding.mask_postprocessing import FrameOutput
from napari_sam2.tracking.decoding.prediction import Conditioning, ObjectPrediction
from napari_sam2.tracking.decoding.prompted_frames import needs_no_network
from napari_sam2.tracking.engine import ExampleMask, NetworkEngine
from napari_sam2.tracking.images.object_window import WindowedObject
from napari_sam2.tracking.memory.memory_bank import FrameMemory
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.tracking.model import Model

_MOST_GRID = 128  # points along each side that a search may ask for
_MOST_TOGETHER = 1024


@dataclass(frozen=True, slots=True, eq=False)
class _PlannedFrame:
    """A frame of a pass: the objects that are followed into it, and its labels."""

    frame: int
    object_ids: tuple[int, ...]
    labels: Labels


class _KeptPrediction(ObjectPrediction):
    """A prediction whose tensors are read from a cache, or computed again, on access.

    A session may have thousands of decided frames, of which a step needs a few.
    """

    __slots__ = ("_get",)

    _get: Callable[[], ObjectPrediction]

    def __init__(self, known: PredictionValues, get: Callable[[], ObjectPrediction]) -> None:
        for name in ("iou", "presence", "window", "sighting"):
            object.__setattr__(self, name, getattr(known, name))
        object.__setattr__(self, "_get", get)

    @property
    def logits(self) -> Tensor:
        """Mask logits of the window."""
        return self._get().logits

    @property
    def pointer(self) -> Tensor:
        """Object pointer."""
        return self._get().pointer


class ServedSession:
    """The engine of a session, and its state between requests.

    Parameters
    ----------
    spec : StackSpec
    model : Model
    frames : FrameCache
    states : StateCache
        Shared by all sessions.
    limits : ServerLimits
    """

    def __init__(
        self,
        spec: StackSpec,
        model: Model,
        frames: FrameCache,
        states: StateCache[Any],
        limits: ServerLimits,
    ) -> None:
        self.spec = spec
        self._limits = limits
        self._config = model.config
        self._shape = spec.frame_shape
        self.frames = CachedFrames(frames, spec.n_frames, spec.frame)
        channel_axis = None if spec.frame.shape[2] == 1 else 3
        stack = FrameStack(
            self.frames,
            axis=0,
            channel_axis=channel_axis,
            contrast=list(spec.contrast),
            kind=spec.kind,
        )
        self.engine = NetworkEngine(model, stack, spec.served_settings, spec.keep_logits)
        self._items: StateCache[bytes] = StateCache(limits.item_cache_bytes)
        self._decided: StateCache[Conditioning] = StateCache(limits.item_cache_bytes)
        self._predictions = SessionStates(states, prediction_bytes)
        self._memories = SessionStates(states, memory_bytes)
        self._decided_memories = SessionStates(states, memory_bytes)

    def begin(self, message: Message) -> None:
        """Read the frames and items of a request."""
        fields, blocks = Fields(message.head), message.blocks
        most, last = self._limits.decided, self.spec.n_frames - 1
        keys = {
            whole(frame, 0, last, "frame"): hash_bytes(key, "key")
            for frame, key in fields.items("hashes", most, width=2)
        }
        unreadable = {}
        for frame, text in fields.items("unreadable", most, width=2):
            if not isinstance(text, str):
                raise MessageError("The reason of a frame is no text.")
            unreadable[whole(frame, 0, last, "frame")] = text[:1000]
        self.frames.state(keys, unreadable)
        for at in fields.items("items", most):
            data = blocks[whole(at, 0, len(blocks) - 1, "block")]
            self._items.put(item_key(data), data, len(data))
        self.engine.retry_unreadable()
        self.engine.unread.clear()

    def decide(self, message: Message) -> Message:
        """Decide a frame from its prompts; see `Engine.decide`."""
        fields, blocks = Fields(message.head), message.blocks
        object_id = fields.whole("object_id", 1, MOST_OBJECT_ID)
        frame = fields.whole("frame", 0, self.spec.n_frames - 1)
        prompt = self._checked(object_id, frame, fields.raw("prompt"), blocks)
        if needs_no_network(prompt):
            raise MessageError("A mask that is drawn needs no network.")
        current = read_mask(fields.raw("current"), blocks, self._shape).unpack()
        labels = read_plane(fields.raw("labels"), blocks, self._shape)
        rank, refines = fields.whole("rank", 0, 2), fields.truth("refines")
        tracks, keys = self._tracks(fields)
        track = tracks.get(object_id) or self._track(object_id)
        track.done[frame] = fields.truth("tracked")
        found = self.engine.run(
            lambda: self.engine.decide(track, frame, prompt, current, tracks, labels, refines, rank)
        )
        self._keep_decided_memories(tracks, keys)
        assert found.shared is not None
        builder = MessageBuilder()
        return builder.message(
            {
                **self._decided_values(found.decided, rank),
                "output": _output_values(found.shared.object_ids, found.shared.output, builder),
                "unread": self._unread(),
            }
        )

    def _decided_values(self, decided: Conditioning, rank: int = 0) -> dict[str, Any]:
        """Return the values of a decided frame for the client; tensors stay on the server."""
        prediction = decided.prediction
        assert prediction is not None
        handle = new_handle()
        self._predictions.put(handle, prediction)
        known = PredictionValues(
            handle,
            prediction.iou,
            prediction.presence,
            prediction.window,
            prediction.sighting,
            rank,
        )
        return {
            "window": window_values(decided.window),
            "sighting": sighting_values(decided.sighting),
            "corrects": decided.corrects,
            "prediction": known.values(),
        }

    def follow(self, message: Message) -> Iterator[Message]:
        """Track objects through the planned frames; the turn is taken for each of them."""
        fields, blocks = Fields(message.head), message.blocks
        step = fields.whole("step", -1, 1)
        if step == 0:
            raise MessageError("A step goes forward or backward.")
        plan = self._plan(fields, blocks)
        coming = self._coming(fields, plan)
        tentative = {
            whole(number, 1, MOST_OBJECT_ID, "object")
            for number in fields.items("tentative", self._limits.objects)
        }
        tracks, keys = self._tracks(fields)
        for planned in plan:
            if not tracks.keys() >= set(planned.object_ids):
                raise MessageError("An object is to be followed that is not stated.")
        self._remember(tracks, step, fields, blocks)
        for planned in plan:
            followed = [tracks[number] for number in planned.object_ids]
            # The same frames are encoded together as in a session that is not on a server.
            self.engine.prefetch(planned.frame, coming[planned.frame])
            try:
                yield self._follow(planned, followed, step, tracks, tentative)
            except FrameError as error:
                yield Message({"frame": planned.frame, "error": error_values(error)})
                if error.frame != planned.frame:
                    return
            except Sam2Error as error:
                yield Message({"frame": planned.frame, "error": error_values(error)})
                return
            finally:
                self._keep_decided_memories(tracks, keys)
        self.engine.stop_background_work()

    def propose(self, message: Message, advance: Callable[[float], None]) -> Message:
        """Propose new objects; see `Engine.propose`."""
        fields, blocks = Fields(message.head), message.blocks
        frame = fields.whole("frame", 0, self.spec.n_frames - 1)
        taken = read_mask(fields.raw("taken"), blocks, self._shape).unpack()
        settings = read_detection(fields)
        grid, batch = settings.points_per_side, settings.points_per_batch
        if grid > _MOST_GRID or batch > _MOST_TOGETHER:
            raise MessageError("The search asks for too many points.")
        examples = [
            ExampleMask(
                whole(number, 0, self.spec.n_frames - 1, "frame"),
                read_mask(mask, blocks, self._shape).unpack(),
            )
            for number, mask in fields.items("examples", self._limits.objects, width=2)
        ]
        if not all(each.mask.any() for each in examples):
            raise MessageError("An example has no pixel.")
        found = self.engine.propose(frame, taken, settings, examples, advance)
        builder = MessageBuilder()
        proposals = [
            {
                "mask": mask_values(each.mask, builder),
                "whole": mask_values(each.whole, builder),
                "score": each.score,
                "similarity": each.similarity,
                "agreed": each.agreed,
                "prompt": prompt_values(each.prompt, builder),
                **self._decided_values(each.decided),
            }
            for each in found
        ]
        return builder.message({"proposals": proposals})

    def logits(self, message: Message) -> Message:
        """Return the logits of a decided frame."""
        key = hash_bytes(Fields(message.head).raw("decided"), "key")
        data = self._item(key)
        builder = MessageBuilder()
        found = self.engine.run(lambda: self.engine.logits(self._conditioning(key, data)))
        return builder.message({"logits": logits_values(found, builder)})

    def objectness(self, message: Message) -> Message:
        """Return the mean object probability in a mask."""
        fields = Fields(message.head)
        frame = fields.whole("frame", 0, self.spec.n_frames - 1)
        mask = read_mask(fields.raw("mask"), message.blocks, self._shape)
        return Message({"objectness": self.engine.run(lambda: self.engine.objectness(frame, mask))})

    def remaining_contrast(self, message: Message) -> Message:
        """Return the remaining share of an object's contrast under a mask."""
        fields, last = Fields(message.head), self.spec.n_frames - 1
        frame, decided_frame = (fields.whole(name, 0, last) for name in ("frame", "decided_frame"))
        mask, decided_mask = (
            read_mask(fields.raw(name), message.blocks, self._shape)
            for name in ("mask", "decided_mask")
        )
        left = self.engine.run(
            lambda: self.engine.remaining_contrast(frame, mask, decided_frame, decided_mask)
        )
        return Message({"remaining": left})

    def _checked(
        self, object_id: int, frame: int, value: object, blocks: Sequence[bytes]
    ) -> FramePrompt:
        """Read a prompt that lies in the stack."""
        prompt = read_prompt(value, blocks, self._shape)
        try:
            return PromptBook((self.spec.n_frames, *self._shape)).put(object_id, frame, prompt)
        except Sam2Error as error:
            raise MessageError(f"A prompt is impossible: {error.happened}") from error

    def _plan(self, fields: Fields, blocks: Sequence[bytes]) -> list[_PlannedFrame]:
        plan = []
        for frame, ids, labels in fields.items("plan", self._limits.planned_frames, width=3):
            numbers = [
                whole(number, 1, MOST_OBJECT_ID, "object")
                for number in items(ids, self._limits.objects, "objects")
            ]
            if not numbers or len(set(numbers)) < len(numbers):
                raise MessageError("A planned frame names each of its objects once.")
            if len(numbers) * math.prod(self._shape) > self._limits.mask_pixels:
                raise MessageError("So many objects in so large a frame need too much memory.")
            last = self.spec.n_frames - 1
            at = whole(frame, 0, last, "frame")
            plan.append(_PlannedFrame(at, tuple(numbers), read_plane(labels, blocks, self._shape)))
        return plan

    def _coming(self, fields: Fields, plan: Sequence[_PlannedFrame]) -> dict[int, list[int]]:
        """Return the frames to prefetch after each planned one, in the order of the pass."""
        last, most = self.spec.n_frames - 1, self._limits.planned_frames + MOST_BEYOND
        visits = [whole(each, 0, last, "frame") for each in fields.items("visits", most)]
        if not {each.frame for each in plan} <= set(visits):
            raise MessageError("A planned frame is not visited.")
        # As far as a session looks that reads ahead.
        reach = self.engine.prefetch_frames + self.spec.settings.read_ahead
        return {frame: visits[at + 1 : at + 1 + reach] for at, frame in enumerate(visits)}

    def _tracks(
        self, fields: Fields
    ) -> tuple[dict[int, ObjectTrack], dict[int, Mapping[int, bytes]]]:
        """Return the objects of a request, and the keys of their decided frames."""
        stated = {
            whole(number, 1, MOST_OBJECT_ID, "object"): hash_bytes(key, "key")
            for number, key in fields.items("objects", self._limits.objects, width=2)
        }
        lists = {number: self._items.get(key) for number, key in stated.items()}
        lost = {stated[number] for number, data in lists.items() if data is None}
        decided: dict[int, list[bytes]] = {}
        total = 0
        for number, data in lists.items():
            if data is not None:
                total += len(data) // HASH_BYTES
                if len(data) % HASH_BYTES or not data:
                    raise MessageError("A list of decided frames is damaged.")
                decided[number] = [
                    data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)
                ]
        if total > self._limits.decided:
            raise MessageError(f"There are more than {self._limits.decided} decided frames.")
        known: dict[bytes, Conditioning] = {}
        for key in {key for each in decided.values() for key in each}:
            found = self._decided.get(key)
            if found is None:
                data = self._items.get(key)
                found = None if data is None else self._conditioning(key, data)
            if found is None:
                lost.add(key)
            else:
                known[key] = found
        if lost:
            raise NeededError(items=sorted(lost))
        tracks: dict[int, ObjectTrack] = {}
        keys: dict[int, Mapping[int, bytes]] = {}
        for number, each in decided.items():
            track = tracks[number] = self._track(number)
            keys[number] = {known[key].frame: key for key in each}
            for key in each:
                track.conditioning[known[key].frame] = known[key]
                memory = self._decided_memories.get(key)
                if memory is not None:
                    track.conditioning_memory[memory.frame] = memory
        return tracks, keys

    def _track(self, object_id: int) -> ObjectTrack:
        return ObjectTrack(object_id, self.spec.n_frames, self._config)

    def _item(self, key: bytes) -> bytes:
        data = self._items.get(key)
        if data is None:
            raise NeededError(items=[key])
        return data

    def _conditioning(self, key: bytes, data: bytes) -> Conditioning:
        """Return a decided frame; compute its prediction again if the cache has dropped it."""
        stated = DecidedValues.decode(data, self._shape, self.spec.n_frames)
        prompt, known = stated.prompt, stated.prediction
        prediction: ObjectPrediction | None = None
        if prompt is not None:
            try:
                prompt = PromptBook((self.spec.n_frames, *self._shape)).put(1, stated.frame, prompt)
            except Sam2Error as error:
                raise MessageError(f"A prompt is impossible: {error.happened}") from error
        own = stated.corrects or stated.found  # the prompt alone would not give it again
        again = known is not None and prompt is not None and not own
        if known is not None and prompt is not None and again:
            if not prompt.points and prompt.box is None:
                raise MessageError("A prompt without click and box has no prediction.")
            prediction = _KeptPrediction(known, self._getter(known, stated.frame, prompt))
        elif known is not None:
            # What corrects a tracked frame depends on what was tracked then: once the prediction
            # is gone, its mask counts, as in session files.
            prediction = self._predictions.get(known.handle)
        decided = Conditioning(
            stated.frame,
            stated.pixels,
            stated.window,
            stated.sighting,
            stated.corrects,
            prediction,
            prompt,
            stated.found,
        )
        if known is None or again:
            drawn = 0 if prompt is None or prompt.mask is None else prompt.mask.nbytes
            self._decided.put(key, decided, len(data) + drawn)
        return decided

    def _getter(
        self, known: PredictionValues, frame: int, prompt: FramePrompt
    ) -> Callable[[], ObjectPrediction]:
        def get() -> ObjectPrediction:
            found = self._predictions.get(known.handle)
            if found is None:
                found = self.engine.predicted(frame, prompt, known.rank)
                self._predictions.put(known.handle, found)
            return found

        return get

    def _remember(
        self,
        tracks: Mapping[int, ObjectTrack],
        step: int,
        fields: Fields,
        blocks: Sequence[bytes],
    ) -> None:
        """Add the memories of the frames that the pass has finished to the objects."""
        recent: dict[int, list[tuple[int, int, PackedMask | None, WindowedObject | None]]] = {}
        for number, passed in fields.items("recent", self._limits.objects, width=2):
            if number not in tracks:
                raise MessageError("There are memories of an object that is not stated.")
            recent[number] = []
            for each in items(passed, MOST_RECENT, "recent"):
                frame, handle, mask, seen = items(each, 4, "memory")
                recent[number].append(
                    (
                        whole(frame, 0, self.spec.n_frames - 1, "frame"),
                        whole(handle, 0, MOST_HANDLE, "handle"),
                        None if mask is None else read_mask(mask, blocks, self._shape),
                        read_sighting(seen, self._shape),
                    )
                )
        lost = {
            number
            for number, passed in recent.items()
            if any(self._memories.get(h) is None and mask is None for _, h, mask, _ in passed)
        }
        if lost:
            raise NeededError(memories=sorted(lost))
        for number, passed in recent.items():
            memories = []
            for frame, handle, mask, seen in passed:
                memory = self._memories.get(handle) if handle else None
                if memory is None or memory.frame != frame:
                    assert mask is not None
                    memory = self._memory_of(tracks[number], frame, mask, seen)
                    self._memories.put(handle, memory)
                memories.append(memory)
            tracks[number].remember(step, memories)

    def _memory_of(
        self, track: ObjectTrack, frame: int, mask: PackedMask, seen: WindowedObject | None
    ) -> FrameMemory:
        pixels = mask.unpack()
        return self.engine.run(lambda: self.engine.memory_of(track, frame, pixels, seen))

    def _follow(
        self,
        planned: _PlannedFrame,
        followed: Sequence[ObjectTrack],
        step: int,
        tracks: Mapping[int, ObjectTrack],
        tentative: set[int],
    ) -> Message:
        frame = planned.frame
        tracked = self.engine.run(
            lambda: self.engine.follow(frame, followed, step, tracks, planned.labels, tentative)
        )
        update, builder = tracked.update, MessageBuilder()
        update.remember()
        predictions = []
        for number in sorted(update.predictions):
            prediction = update.predictions[number]
            memory = tracks[number].remembered()[step][-1]
            handle = new_handle()
            self._memories.put(handle, memory)
            predictions.append(
                [
                    number,
                    handle,
                    prediction.iou,
                    prediction.presence,
                    window_values(prediction.window),
                    sighting_values(prediction.sighting),
                ]
            )
        ids = tuple(sorted(update.predictions))
        output = tracked.output
        return builder.message(
            {
                "frame": frame,
                "predictions": predictions,
                "output": None if output is None else _output_values(ids, output, builder),
                "displaced": sorted(update.displaced),
                "ended": sorted(update.ended.items()),
                "stranded": [[n, error_values(e)] for n, e in sorted(update.stranded.items())],
                "unread": self._unread(),
            }
        )

    def _unread(self) -> list[Any]:
        return [[frame, error_values(error)] for frame, error in self.engine.unread.items()]

    def _keep_decided_memories(
        self, tracks: Mapping[int, ObjectTrack], keys: Mapping[int, Mapping[int, bytes]]
    ) -> None:
        for number, frames in keys.items():
            for frame, memory in tracks[number].conditioning_memory.items():
                if frame in frames:
                    self._decided_memories.put(frames[frame], memory)


def _output_values(
    object_ids: Sequence[int], output: FrameOutput, builder: MessageBuilder
) -> dict[str, Any]:
    """Return finished masks as JSON values: disjoint ones, and whole ones where these differ."""
    whole_masks = None
    if output.masks is not output.disjoint:
        whole_masks = [mask_values(PackedMask.of(mask), builder) for mask in output.masks]
    return {
        "object_ids": list(object_ids),
        "disjoint": [mask_values(PackedMask.of(mask), builder) for mask in output.disjoint],
        "masks": whole_masks,
        "logits": logits_values(
            None if output.logits is None else np.asarray(output.logits), builder
        ),
    }
