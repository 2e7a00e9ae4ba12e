"""`RemoteEngine`: takes the network steps of a session on a server.

A request names all objects, with their prompted and accepted frames, by content hash, and contains
the items whose hashes the server does not know. So every step can go to another server.

The session's lock guards the engine; only `interrupt` may be called from any thread.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_sam2.detection import DetectionSettings
from napari_sam2.errors import FrameError, RemoteError
from napari_sam2.labels import PackedMask
from napari_sam2.labels.array_storage import Labels
from napari_sam2.labels.masks import Box
from napari_sam2.prompts import FramePrompt
from napari_sam2.remote.channel import (
    Channel,
    InterruptedWaitError,
    Need,
    NeededByServerError,
)
from napari_sam2.remote.frame_sender import FrameSender
from napari_sam2.remote.limits import MOST_BEYOND, MOST_OBJECT_ID
from napari_sam2.remote.messages import Fields, Message, MessageBuilder, MessageError, whole
from napari_sam2.remote.session_spec import ModelSpec, StackSpec
from napari_sam2.remote.stack_file import StackFile
from napari_sam2.remote.values import (
    DecidedValues,
    PredictionValues,
    Shape,
    item_key,
    mask_values,
    plane_values,
    prompt_values,
    read_error,
    read_logits,
    read_mask,
    read_prompt,
    read_sighting,
    read_window,
    settings_values,
    sighting_values,
)
from napari_sam2.stack import FrameStack
from napari_sam2.tracking.decoding.mask_postprocessing import FrameOutput, SharedMasks
from napari_sam2.tracking.decoding.prediction import Conditioning, ObjectPrediction
from napari_sam2.tracking.device import device_error
from napari_sam2.tracking.engine import (
    ExampleMask,
    FrameAhead,
    PromptedMask,
    StepInterruptedError,
    TrackedFrame,
)
from napari_sam2.tracking.memory.memory_bank import FrameMemory, RecentMemory
from napari_sam2.tracking.memory.object_track import ObjectTrack
from napari_sam2.tracking.model import Model
from napari_sam2.tracking.object_finder import Proposal
from napari_sam2.tracking.propagation import FrameUpdate
from napari_sam2.tracking.settings import TrackingSettings

_PLANNED = 16  # frames that are asked for at once
_ROUNDS = 100  # of one request, in each of which the server says what it lacks
_NOTHING = torch.zeros(0, 0)  # stands for logits that stay on the server

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, eq=False)
class RemotePrediction(ObjectPrediction):
    """A prediction whose tensors stay on the server.

    Attributes
    ----------
    known : PredictionValues
    """

    known: PredictionValues = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class RemoteMemory(FrameMemory):
    """A memory whose tensors stay on the server.

    Attributes
    ----------
    handle : int
        The server's number of the memory.
    """

    handle: int = field(kw_only=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Statement:
    """All objects of a session: the hash of each, and the items that these refer to."""

    objects: tuple[tuple[int, bytes], ...]
    items: Mapping[bytes, bytes]
    frames: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _PlannedFrame:
    """A frame of a pass and its objects to compute."""

    frame: int
    ahead: FrameAhead

    def values(self, builder: MessageBuilder) -> list[Any]:
        """Return it as JSON values."""
        ids, labels = self.ahead
        return [self.frame, list(ids), plane_values(labels, builder)]


@dataclass(slots=True, eq=False)
class _Stream:
    """The frames of a pass that the server streams.

    Attributes
    ----------
    plan : list of _PlannedFrame
        Frames that have not arrived yet.
    step : int
    objects : tuple
        All objects, as in the request.
    events : generator of Message
    latest : dict of int to FrameMemory
        The newest memory of each object on the server.
    """

    plan: list[_PlannedFrame]
    step: int
    objects: tuple[tuple[int, bytes], ...]
    events: Generator[Message]
    latest: dict[int, FrameMemory | None]

    def leads_to(
        self,
        frame: int,
        step: int,
        labels: Labels,
        statement: _Statement,
        recents: Mapping[int, RecentMemory],
    ) -> bool:
        """Return whether the next event is the expected one."""
        if not self.plan or self.step != step or self.objects != statement.objects:
            return False
        coming = self.plan[0]
        if coming.frame != frame or coming.ahead.object_ids != tuple(recents):
            return False
        for number, recent in recents.items():
            if recent.latest is not None and recent.latest is not self.latest.get(number):
                return False
        return np.array_equal(coming.ahead.labels, labels)


class RemoteEngine:
    """Takes the steps of one session on a server; see `napari_sam2.tracking.engine.Engine`.

    Parameters
    ----------
    channel : Channel
    known : (ModelSpec, str)
        The model, and the digest of its weights.
    model : Model
        Its outline.
    stack : FrameStack
    settings : TrackingSettings
    keep_logits : bool
    source : StackFile, optional
        The file of the stack, for a server that can read the same file.

    Attributes
    ----------
    unread : dict of int to FrameError
        Decided frames that could not be attended to.
    """

    def __init__(
        self,
        channel: Channel,
        known: tuple[ModelSpec, str],
        model: Model,
        stack: FrameStack,
        settings: TrackingSettings,
        keep_logits: bool,
        source: StackFile | None = None,
    ) -> None:
        self._channel = channel
        self._model = model
        self._shape: Shape = stack.frame_shape
        self._n_frames = stack.n_frames
        self._keep_logits = keep_logits
        self._pointer = torch.zeros(model.config.width)
        self._sender = FrameSender(channel, stack, settings.read_attempts, source)
        self._spec = StackSpec(
            secrets.token_hex(16),
            *known,
            stack.n_frames,
            self._sender.head,
            self._sender.contrast,
            settings,
            keep_logits,
            stack.kind,
        ).values()
        self._planned = min(_PLANNED, channel.info.planned_frames)
        self.prefetch_frames = self._planned - 1 + MOST_BEYOND
        self.unread: dict[int, FrameError] = {}
        self._items: dict[tuple[int, int], tuple[Conditioning, bytes, bytes]] = {}
        self._there: set[bytes] = set()  # items that the server has
        self._stream: _Stream | None = None
        self._coming: tuple[int, ...] = ()
        self._tentative: list[int] = []
        self._frame_ahead: Callable[[int], FrameAhead] | None = None
        self._interrupted = threading.Event()

    def run(self, step: Callable[[], _Result]) -> _Result:
        """Run a step; lack of memory here becomes a `DeviceError`."""
        try:
            return step()
        except MemoryError as error:
            raise device_error(error, self._model.name) from error

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
        self._interrupted.clear()
        self._close_stream()
        statement = self._statement(tracks)

        def state(builder: MessageBuilder) -> dict[str, Any]:
            return {
                "object_id": track.object_id,
                "frame": frame,
                "prompt": prompt_values(prompt, builder),
                "current": mask_values(PackedMask.of(current), builder),
                "labels": plane_values(labels, builder),
                "refines": refines,
                "rank": rank,
                "tracked": bool(track.done[frame]),
            }

        answer = self._ask("/v1/decide", statement, [frame], state)
        with self._channel.checked_answer():
            return self._prompted(answer, track.object_id, frame, prompt, current, tracks)

    def _prompted(
        self,
        answer: Message,
        object_id: int,
        frame: int,
        prompt: FramePrompt,
        current: NDArray[np.bool_],
        tracks: Mapping[int, ObjectTrack],
    ) -> PromptedMask:
        fields, blocks = Fields(answer.head), answer.blocks
        self._take_unread(fields)
        decided = self._decided(fields, frame, PackedMask.of(current), prompt)
        ids, output = self._output(fields.raw("output"), blocks)
        if object_id not in ids or not tracks.keys() >= set(ids) - {object_id}:
            raise MessageError("The masks are of other objects.")
        return PromptedMask(decided, SharedMasks(ids, output))

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
        statement = self._statement(tracks)
        doubted = sorted(tentative & tracks.keys())
        if doubted != self._tentative:
            self._close_stream()
        self._tentative = doubted
        recents = {track.object_id: track.recent(frame, step) for track in followed}
        stream = self._stream
        if stream is not None and not stream.leads_to(frame, step, labels, statement, recents):
            self._close_stream()
        here = _PlannedFrame(frame, FrameAhead(tuple(recents), labels))
        lost: set[int] = set()  # objects whose memories the server has lost

        def attempt() -> Message:
            for _ in range(_ROUNDS):
                try:
                    if self._stream is None:
                        self._stream = self._open(here, step, tracks, statement, lost)
                    event = next(self._stream.events)
                    self._there |= statement.items.keys()
                    return event
                except NeededByServerError as needed:
                    self._close_stream()
                    lost.update(needed.need.memories)
                    self._supply(needed.need)
                except StopIteration:
                    self._close_stream()  # the server has worked on it for long enough
                except BaseException:
                    self._close_stream()
                    raise
            raise _never_enough()

        event = self._retry(attempt)
        assert self._stream is not None
        self._stream.plan.pop(0)
        try:
            with self._channel.checked_answer():
                return self._tracked(event, frame, step, followed)
        except BaseException:
            self._close_stream()
            raise

    def prefetch(
        self, frame: int, coming: Sequence[int], frame_ahead: Callable[[int], FrameAhead]
    ) -> None:
        """Record the frames of a pass that come after `frame`."""
        self._coming, self._frame_ahead = tuple(coming), frame_ahead

    def logits(self, decided: Conditioning) -> NDArray[np.float32] | None:
        """Return the logits (1, Y, X) of a decided frame; None unless results contain logits."""
        if not self._keep_logits:
            return None
        self._close_stream()
        data = _stated(decided)
        key = item_key(data)
        statement = _Statement((), {key: data}, (decided.frame,))
        answer = self._ask("/v1/logits", statement, [], lambda _: {"decided": key.hex()})
        with self._channel.checked_answer():
            return read_logits(answer.head.get("logits"), answer.blocks, 1, self._shape)

    def propose(
        self,
        frame: int,
        taken: NDArray[np.bool_],
        settings: DetectionSettings,
        examples: Sequence[ExampleMask],
        advance: Callable[[float], None],
    ) -> tuple[Proposal, ...]:
        """Propose new objects on free pixels; see `propose_objects`."""
        self._interrupted.clear()
        self._close_stream()
        frames = {frame, *(each.frame for each in examples)}

        def state(builder: MessageBuilder) -> dict[str, Any]:
            shown = [
                [each.frame, mask_values(PackedMask.of(each.mask), builder)] for each in examples
            ]
            return {
                "frame": frame,
                "taken": mask_values(PackedMask.of(taken), builder),
                "settings": settings_values(settings),
                "examples": shown,
            }

        statement = _Statement((), {}, ())

        def attempt() -> Message:
            for _ in range(_ROUNDS):
                self._sender.ensure(sorted(frames), self._interrupted.is_set)
                message = self._message(statement, frames, state)
                events = self._channel.stream("/v1/propose", message)
                try:
                    for event in events:
                        if "progress" not in event.head:
                            return event
                        advance(Fields(event.head).number("progress"))
                except NeededByServerError as needed:
                    self._supply(needed.need)
                    frames.update(needed.need.frames)
                finally:
                    events.close()
            raise _never_enough()

        answer = self._retry(attempt)
        if frame in self._sender.unreadable:
            raise self._sender.unreadable[frame]
        advance(1.0)
        with self._channel.checked_answer():
            return tuple(
                self._proposal(frame, Fields(each), answer.blocks)
                for each in Fields(answer.head).items("proposals", MOST_OBJECT_ID)
            )

    def objectness(self, frame: int, mask: PackedMask) -> float | None:
        """Return the mean probability of being any object in a mask; None without dense heads."""
        self._close_stream()
        answer = self._ask(
            "/v1/objectness",
            _Statement((), {}, ()),
            [frame],
            lambda builder: {"frame": frame, "mask": mask_values(mask, builder)},
        )
        with self._channel.checked_answer():
            fields = Fields(answer.head)
            return fields.number("objectness") if fields.has("objectness") else None

    def remaining_contrast(
        self, frame: int, mask: PackedMask, decided_frame: int, decided_mask: PackedMask
    ) -> float:
        """Return the remaining share of an object's contrast; see `remaining_contrast`."""
        self._close_stream()
        answer = self._ask(
            "/v1/remaining_contrast",
            _Statement((), {}, ()),
            sorted({frame, decided_frame}),
            lambda builder: {
                "frame": frame,
                "mask": mask_values(mask, builder),
                "decided_frame": decided_frame,
                "decided_mask": mask_values(decided_mask, builder),
            },
        )
        with self._channel.checked_answer():
            return Fields(answer.head).number("remaining")

    def retry_unreadable(self) -> None:
        """Let frames that could not be read be tried again."""
        self._sender.retry_unreadable()
        self._interrupted.clear()

    def stop_background_work(self) -> None:
        """Stop all work in the background."""
        self._close_stream()
        self._sender.stop_background_work()

    def interrupt(self) -> None:
        """Stop waiting for a server that does not answer."""
        self._interrupted.set()

    def _open(
        self,
        here: _PlannedFrame,
        step: int,
        tracks: Mapping[int, ObjectTrack],
        statement: _Statement,
        lost: set[int],
    ) -> _Stream:
        """Open a stream of this frame and the next planned ones."""
        plan = [here]
        visits = [here.frame, *(frame for frame in self._coming if frame != here.frame)]
        for frame in visits[1 : self._planned]:
            ahead = None if self._frame_ahead is None else self._frame_ahead(frame)
            if ahead is not None and ahead.object_ids:
                plan.append(_PlannedFrame(frame, ahead))
        passed = {
            number: self._remembered(tracks[number], step, number in lost)
            for number in sorted({n for each in plan for n in each.ahead.object_ids})
        }
        self._sender.ensure([here.frame], self._interrupted.is_set)
        self._sender.prefetch(visits[1:])

        def state(builder: MessageBuilder) -> dict[str, Any]:
            return {
                "step": step,
                "visits": visits,
                "tentative": self._tentative,
                "plan": [
                    [
                        each.frame,
                        list(each.ahead.object_ids),
                        plane_values(each.ahead.labels, builder),
                    ]
                    for each in plan
                ],
                "recent": [
                    [
                        number,
                        [
                            self._memory_values(number, memory, number in lost, builder)
                            for memory in memories
                        ],
                    ]
                    for number, memories in passed.items()
                ],
            }

        frames = set(visits)
        if lost:
            frames |= {m.frame for number in lost for m in passed.get(number, ())}
        message = self._message(statement, frames, state)
        events = self._channel.stream("/v1/follow", message)
        latest: dict[int, FrameMemory | None] = {
            number: memories[-1] if memories else None for number, memories in passed.items()
        }
        return _Stream(plan, step, statement.objects, events, latest)

    def _remembered(self, track: ObjectTrack, step: int, lost: bool) -> tuple[RemoteMemory, ...]:
        """Return the recent memories of an object; memories from a store get handles.

        Memories that the server has lost are encoded again, at most for as many frames as have
        spatial memories.
        """
        memories = track.remembered().get(step, ())
        kept = memories[-(self._model.config.memory_frames - 1) :] if lost else memories
        known = tuple(
            each
            if isinstance(each, RemoteMemory)
            else RemoteMemory(
                each.frame,
                None,
                self._pointer,
                each.sighting,
                handle=secrets.randbits(62) + 1,
            )
            for each in kept
        )
        if known != memories:
            track.remember(step, known)
        return known

    def _memory_values(
        self, number: int, memory: RemoteMemory, lost: bool, builder: MessageBuilder
    ) -> list[Any]:
        mask = None
        if lost and self._frame_ahead is not None:
            shown = self._frame_ahead(memory.frame).labels == number
            mask = mask_values(PackedMask.of(shown), builder)
        return [memory.frame, memory.handle, mask, sighting_values(memory.sighting)]

    def _tracked(
        self,
        event: Message,
        frame: int,
        step: int,
        followed: Sequence[ObjectTrack],
    ) -> TrackedFrame:
        fields = Fields(event.head)
        if fields.whole("frame", 0, frame) != frame:
            raise MessageError("The server answers about another frame.")
        if fields.has("error"):
            error = read_error(fields.raw("error"))
            if isinstance(error, FrameError) and error.frame in self._sender.unreadable:
                error = self._sender.unreadable[error.frame]
            raise error
        self._take_unread(fields)
        tracks = {track.object_id: track for track in followed}
        predictions: dict[int, ObjectPrediction] = {}
        memories: list[tuple[RecentMemory, FrameMemory]] = []
        assert self._stream is not None
        for number, handle, iou, presence, window, sighting in fields.items(
            "predictions", len(tracks), width=6
        ):
            known = PredictionValues.of([handle, iou, presence, window, sighting, 0], self._shape)
            if number not in tracks:
                raise MessageError("The server has tracked another object.")
            predictions[number] = self._as_prediction(known)
            recent = tracks[number].recent(frame, step)
            seen = known.sighting or tracks[number].expected(frame, recent)
            memory = RemoteMemory(frame, None, self._pointer, seen, handle=known.handle)
            memories.append((recent, memory))
            self._stream.latest[number] = memory
        displaced = {
            whole(each, 1, MOST_OBJECT_ID, "object")
            for each in fields.items("displaced", MOST_OBJECT_ID)
        }
        stranded = {}
        for number, value in fields.items("stranded", len(tracks), width=2):
            error = read_error(value)
            if isinstance(error, FrameError):
                stranded[whole(number, 1, MOST_OBJECT_ID, "object")] = error
        ended = {
            whole(number, 1, MOST_OBJECT_ID, "object"): whole(last, 0, self._n_frames - 1, "frame")
            for number, last in fields.items("ended", len(tracks), width=2)
        }
        update = FrameUpdate(frame, predictions, displaced, tuple(memories), stranded, ended)
        if not predictions:
            return TrackedFrame(update, None)
        ids, output = self._output(fields.raw("output"), event.blocks)
        if ids != tuple(sorted(predictions)):
            raise MessageError("The masks are of other objects.")
        return TrackedFrame(update, output)

    def _proposal(self, frame: int, fields: Fields, blocks: Sequence[bytes]) -> Proposal:
        mask = read_mask(fields.raw("mask"), blocks, self._shape)
        whole_mask = read_mask(fields.raw("whole"), blocks, self._shape)
        prompt = read_prompt(fields.raw("prompt"), blocks, self._shape)
        decided = self._decided(fields, frame, mask, prompt, found=True)
        alike = fields.number("similarity") if fields.has("similarity") else None
        score, agreed = fields.number("score"), fields.truth("agreed")
        return Proposal(mask, whole_mask, score, alike, prompt, decided, agreed=agreed)

    def _decided(
        self,
        fields: Fields,
        frame: int,
        mask: PackedMask,
        prompt: FramePrompt,
        found: bool = False,
    ) -> Conditioning:
        """Read the decided frame that the server predicted from a prompt."""
        return Conditioning(
            frame,
            mask,
            read_window(fields.raw("window"), self._shape),
            read_sighting(fields.raw("sighting"), self._shape),
            fields.truth("corrects"),
            self._as_prediction(PredictionValues.of(fields.raw("prediction"), self._shape)),
            prompt,
            found,
        )

    def _as_prediction(self, known: PredictionValues) -> RemotePrediction:
        return RemotePrediction(
            _NOTHING,
            known.iou,
            known.presence,
            self._pointer,
            known.window,
            known.sighting,
            known=known,
        )

    def _output(
        self, value: object, blocks: Sequence[bytes]
    ) -> tuple[tuple[int, ...], FrameOutput]:
        """Read finished masks."""
        fields = Fields(value)
        ids = tuple(
            whole(each, 1, MOST_OBJECT_ID, "object")
            for each in fields.items("object_ids", MOST_OBJECT_ID)
        )
        packed = [
            read_mask(each, blocks, self._shape) for each in fields.items("disjoint", len(ids))
        ]
        if len(packed) != len(ids) or not ids:
            raise MessageError("A mask is missing.")
        disjoint = np.zeros((len(ids), *self._shape), dtype=bool)
        boxes: list[Box | None] = []
        for index, mask in enumerate(packed):
            boxes.append(None)
            if mask.any():
                box, part = mask.part()
                disjoint[(index, *box)] = part
                boxes[-1] = box
        masks = disjoint
        if fields.has("masks"):
            wholes = fields.items("masks", len(ids))
            masks = np.stack([read_mask(each, blocks, self._shape).unpack() for each in wholes])
            if masks.shape != disjoint.shape:
                raise MessageError("A mask is missing.")
        logits = read_logits(fields.raw("logits"), blocks, len(ids), self._shape)
        return ids, FrameOutput(disjoint, masks, logits, boxes)

    def _take_unread(self, fields: Fields) -> None:
        for frame, value in fields.items("unread", MOST_OBJECT_ID, width=2):
            error = read_error(value)
            number = whole(frame, 0, MOST_OBJECT_ID, "frame")
            if isinstance(error, FrameError):
                self.unread[number] = self._sender.unreadable.get(number, error)

    def _statement(self, tracks: Mapping[int, ObjectTrack]) -> _Statement:
        """Return the statement of all objects; unchanged items are not encoded again."""
        items: dict[bytes, bytes] = {}
        objects = []
        before, self._items = self._items, {}
        for number, track in tracks.items():
            keys = []
            for frame, decided in track.conditioning.items():
                known = before.get((number, frame))
                if known is None or known[0] is not decided:
                    data = _stated(decided)
                    known = decided, item_key(data), data
                self._items[number, frame] = known
                items[known[1]] = known[2]
                keys.append(known[1])
            listed = b"".join(keys)
            key = item_key(listed)
            items[key] = listed
            objects.append((number, key))
        frames = tuple({frame for _, frame in self._items})
        return _Statement(tuple(objects), items, frames)

    def _ask(
        self,
        path: str,
        statement: _Statement,
        frames: Sequence[int],
        state: Callable[[MessageBuilder], dict[str, Any]],
    ) -> Message:
        """Send a request, and what the server lacks, until it answers."""
        wanted = set(frames)
        try:
            for _ in range(_ROUNDS):
                self._sender.ensure(sorted(wanted), self._interrupted.is_set)
                for frame in set(frames) & self._sender.unreadable.keys():
                    raise self._sender.unreadable[frame]
                message = self._message(statement, wanted, state)
                try:
                    answer = self._channel.request("POST", path, message, self._interrupted.is_set)
                except NeededByServerError as needed:
                    self._supply(needed.need)
                    wanted |= set(needed.need.frames)
                    continue
                self._there |= statement.items.keys()
                return answer
        except InterruptedWaitError as error:
            raise RemoteError(
                f"Waiting for the server {self._channel.url} was cancelled.",
                safe="Prompts and labels are here, nothing is lost.",
            ) from error
        raise _never_enough()

    def _message(
        self,
        statement: _Statement,
        frames: set[int],
        state: Callable[[MessageBuilder], dict[str, Any]],
    ) -> Message:
        builder = MessageBuilder()
        keys = self._sender.keys
        named = sorted(frames | {frame for frame in statement.frames if frame in keys})
        unreadable = self._sender.unreadable
        missing = statement.items.keys() - self._there
        head = {
            "spec": self._spec,
            "hashes": [[frame, keys[frame].hex()] for frame in named if frame in keys],
            "unreadable": [[frame, _reason(error)] for frame, error in unreadable.items()],
            "objects": [[number, key.hex()] for number, key in statement.objects],
            "items": [builder.add(statement.items[key]) for key in missing],
            **state(builder),
        }
        return builder.message(head)

    def _supply(self, need: Need) -> None:
        """Send frames that the server lacks; other items go with the next request."""
        self._there.difference_update(need.items)
        self._sender.lost(need.frames)
        self._sender.ensure(need.frames, self._interrupted.is_set)

    def _retry(self, attempt: Callable[[], Message]) -> Message:
        try:
            found: Message = self._channel.retry(attempt, self._interrupted.is_set)
        except FrameError as error:
            if error.frame in self._sender.unreadable:
                raise self._sender.unreadable[error.frame] from error
            raise
        except InterruptedWaitError as error:
            raise StepInterruptedError from error
        return found

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.events.close()


def _stated(decided: Conditioning) -> bytes:
    """Return a decided frame as an item."""
    prediction = decided.prediction
    # A prediction that another computer has made is not on the server: its mask counts.
    known = prediction.known if isinstance(prediction, RemotePrediction) else None
    return DecidedValues(
        decided.frame,
        decided.pixels,
        decided.window,
        decided.sighting,
        decided.corrects,
        decided.prompt,
        known,
        decided.found,
    ).encode()


def _reason(error: FrameError) -> str:
    """Return why a frame cannot be read, without the common beginning of such errors."""
    cause = error.__cause__
    return error.happened if cause is None else f"{type(cause).__name__}: {cause}"


def _never_enough() -> RemoteError:
    return RemoteError(
        "The server asks for the same things again and again.",
        safe="Prompts and labels are here, nothing is lost.",
        remedy="Its caches are too small for this stack: raise the server's limits.",
    )
