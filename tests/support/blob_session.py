"""A double of a tracking session that can be slow or broken, and a script for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from napari_sam2.errors import FrameError, PromptError, SessionError
from napari_sam2.labels import LabelsVolume, PackedMask
from napari_sam2.labels.divisions import checked_divisions
from napari_sam2.prompts import FramePrompt, PromptBook
from napari_sam2.tracking.division_proposals import ProposedDivision
from napari_sam2.types import Direction, Division, FrameMasks, ObjectFrame, Replayed, Speed
from napari_sam2.widgets.state.session_spec import SessionSpec


@dataclass
class Script:
    """How the sessions of a test behave, and what they were asked."""

    seconds: float = 0.0
    fault: Callable[[str], Exception | None] = lambda _: None
    told: list[tuple] = field(default_factory=list)
    opened: list[SessionSpec] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)
    order: list[int] | None = None  # of frames, in every run
    doubtful: bool = False  # all that is found is unlikely
    lost: int | None = None  # the object that the first blob that is found continues
    proposals: tuple[ProposedDivision, ...] = ()  # what is found where divisions are looked for

    def __post_init__(self) -> None:
        self.gate.set()

    def open(self, spec: SessionSpec, tell: Callable[[str], None]) -> BlobSession:
        self.step("open")
        tell("Loading the model…")
        self.opened.append(spec)
        return BlobSession(self, spec)

    def step(self, *what: object) -> None:
        self.told.append(what)
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(10)
        time.sleep(self.seconds)
        fault = self.fault(str(what[0]))
        if fault is not None:
            raise fault


@dataclass(frozen=True)
class Blob:
    """A blob that was found: what the window knows of a proposal."""

    frame: int
    mask: PackedMask
    score: float
    similarity: float | None
    prompt: FramePrompt
    continues: int | None = None
    unlikely: bool = False
    origin: None = None


class BlobSession:
    """Segments the bright blob under the newest click, in the frames asked for; keeps no memory.

    For timing and faults only: what the window makes of real masks is tested on real sessions.
    """

    def __init__(self, script: Script, spec: SessionSpec) -> None:
        self._script = script
        self._stack = spec.stack()
        self._volume = LabelsVolume(self._stack.shape, array=spec.labels)
        self.approximations = () if spec.use.speed is Speed.EXACT else ("squares for blobs",)
        self.prompts = PromptBook(self._stack.shape)
        self._accepted: set[ObjectFrame] = set()
        self._run: dict[int, set[int]] = {}  # frames that were visited since the newest prompt
        self._old: dict[int, set[int]] = {}  # those that were visited before it
        self._divisions: tuple[Division, ...] = ()
        self._cancelled = threading.Event()

    @property
    def object_ids(self) -> tuple[int, ...]:
        return tuple(sorted({*self.prompts.object_ids(), *(i for i, _ in self._accepted)}))

    @property
    def accepted(self) -> tuple[ObjectFrame, ...]:
        return tuple(sorted(self._accepted))

    def add_points(self, object_id, frame, points, positive=None) -> FrameMasks:
        self._script.step("points", object_id, frame, tuple(points), tuple(positive))
        if (13.0, 13.0) in points:
            raise PromptError("Unlucky click.", remedy="Click elsewhere.")
        self.prompts.add_points(object_id, frame, points, positive)
        return self._write(object_id, frame, points[-1])

    def set_points(self, object_id, frame, points, positive=None) -> FrameMasks:
        self._script.step("set", object_id, frame, tuple(points), tuple(positive))
        self.prompts.add_points(object_id, frame, points, positive, replace=True)
        return self._write(object_id, frame, points[-1])

    def add_box(self, object_id, frame, box) -> FrameMasks:
        self._script.step("box", object_id, frame, tuple(box))
        self.prompts.add_box(object_id, frame, box)
        return self._write(object_id, frame, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))

    def add_mask(self, object_id, frame, mask) -> FrameMasks:
        self._script.step("mask", object_id, frame, int(np.count_nonzero(mask)))
        self.prompts.add_mask(object_id, frame, mask)
        self._volume.write(frame, (object_id,), mask[None])
        return _result(object_id, frame, mask)

    def set_prompt(self, object_id, frame, prompt) -> FrameMasks:
        self._old.setdefault(object_id, set()).update(self._run.pop(object_id, ()))
        before = self.prompts.get(object_id, frame)
        if before is not None and prompt.refines(before):
            count = len(before.points)
            new = prompt.points[count:], prompt.positive[count:]
            return self.add_points(object_id, frame, *new)
        moved = before is not None and prompt.points and before.box == prompt.box
        if moved and before.mask is None and prompt.mask is None:
            return self.set_points(object_id, frame, prompt.points, prompt.positive)
        if before is not None:
            self.prompts.remove(object_id, frame)
        if prompt.mask is not None:
            result = self.add_mask(object_id, frame, prompt.mask)
        if prompt.box is not None:
            result = self.add_box(object_id, frame, prompt.box)
        if prompt.points:
            result = self.add_points(object_id, frame, prompt.points, prompt.positive)
        self.prompts.put(object_id, frame, prompt)
        return result

    def remove_prompts(self, object_id, frame=None) -> None:
        self._script.step("remove", object_id, frame)
        self.prompts.remove(object_id, frame)
        gone = object_id not in self.object_ids
        for each in range(self._stack.n_frames) if gone else (frame,):
            if (object_id, each) not in self._accepted:
                self._erase(object_id, each)

    def accept(self, object_id, frame) -> None:
        self._script.step("accept", object_id, frame)
        self._accepted.add(ObjectFrame(object_id, frame))

    def unaccept(self, object_id, frame) -> None:
        self._script.step("unaccept", object_id, frame)
        self._accepted.discard(ObjectFrame(object_id, frame))

    def candidates(self, object_id, frame) -> int:
        return 3

    def choose(self, object_id, frame, rank) -> FrameMasks:
        self._script.step("choose", object_id, frame, rank)
        mask = self._blob(frame, self.prompts.get(object_id, frame).points[-1])
        mask = ndimage.binary_erosion(mask, iterations=rank) if rank else mask
        self._volume.write(frame, (object_id,), mask[None])
        return _result(object_id, frame, mask, 0.9 - 0.1 * rank)

    def merge(self, object_id, other) -> None:
        self._script.step("merge", object_id, other)
        for each in (object_id, other):
            for frame in self.prompts.frames(each):
                self.prompts.remove(each, frame)
                plane = np.isin(self._volume.frame(frame), (object_id, other))
                self.prompts.add_mask(object_id, frame, plane)

    def split(self, object_id, frame, new_id) -> None:
        self._script.step("split", object_id, frame, new_id)
        for where in self.prompts.frames(object_id):
            if where >= frame:
                self.prompts.put(new_id, where, self.prompts.get(object_id, where))
                self.prompts.remove(object_id, where)
        if self.prompts.get(new_id, frame) is None:
            self.prompts.add_mask(new_id, frame, self._volume.mask(object_id, frame))

    def propose_objects(
        self,
        frame,
        *,
        like=(),
        region=None,
        also_searched=(),
        progress=None,
        cancelled=lambda: False,
        **options,
    ) -> tuple[Blob, ...]:
        """Find blobs without labels; one is as similar as its area is near that of the example."""
        self._script.step("search", frame, tuple(like), region, options, tuple(also_searched))
        labels = self._volume.frame(frame)
        blobs, count = ndimage.label(self._stack.read(frame).max(axis=-1) > 0.5)
        found = []
        for number in range(1, count + 1):
            self._script.step("look", number)
            if cancelled():
                return ()
            progress(number / count)
            mask = blobs == number
            y, x = np.argwhere(mask).mean(axis=0).round().tolist()
            inside = region is None or (region.y0 <= y < region.y1 and region.x0 <= x < region.x1)
            least, largest = options["min_size"] or 20, options["max_size"] or mask.size
            if labels[mask].any() or not inside or not least <= mask.sum() <= largest:
                continue
            areas = [int((labels == number).sum()) for number in like]
            alike = None
            if like:
                alike = max(float(min(a, mask.sum()) / max(a, mask.sum())) for a in areas)
            prompt = FramePrompt(((y, x),))
            continues = None if found else self._script.lost
            found.append(Blob(frame, PackedMask.of(mask), 0.8, alike, prompt, continues))
        areas = [each.mask.unpack().sum() for each in found]
        tiny = [12 * area < max(areas) and options["min_size"] is None for area in areas]
        tiny = [each or self._script.doubtful for each in tiny]
        return tuple(replace(each, unlikely=small) for each, small in zip(found, tiny, strict=True))

    def add_proposals(self, proposals, object_ids=None) -> tuple[int, ...]:
        self._script.step("add", len(proposals), tuple(object_ids))
        for object_id, each in zip(object_ids, proposals, strict=True):
            self.prompts.put(object_id, each.frame, each.prompt)
            self._volume.write(each.frame, (object_id,), each.mask.unpack()[None])
        return tuple(object_ids)

    def remove_objects(self, object_ids) -> None:
        for object_id in sorted(object_ids):
            self.remove_prompts(object_id)

    @property
    def divisions(self) -> tuple[Division, ...]:
        return self._divisions

    def set_divisions(self, divisions) -> None:
        self._divisions = checked_divisions(divisions, self._stack.n_frames)

    def add_division(self, parent, children, frame) -> Division:
        self._script.step("divide", parent, tuple(children), frame)
        division = Division(parent, tuple(children), frame)
        divisions = checked_divisions((*self._divisions, division), self._stack.n_frames)
        if any(where < frame for child in children for where in self.prompts.frames(child)):
            raise SessionError("A child is prompted too early.", remedy="Delete that prompt.")
        for where in range(self._stack.n_frames):
            for gone in (parent,) if where >= frame else tuple(children):
                self._erase(gone, where)
        self._divisions = divisions
        return division

    def remove_division(self, parent) -> None:
        self._divisions = tuple(each for each in self._divisions if each.parent != parent)

    def propose_divisions(
        self, frames_back=3, *, progress=None, cancelled=lambda: False
    ) -> tuple[ProposedDivision, ...]:
        for number in range(1, 5):
            self._script.step("propose", number)
            if cancelled():
                return ()
            progress(number / 4)
        return self._script.proposals

    def watch_labels(self, seen) -> None:
        self._volume.on_write = seen

    def snapshot(self):
        visited = _copied(self._run), _copied(self._old)
        return self.prompts.copy(), frozenset(self._accepted), self._divisions, visited

    def restore(self, state) -> None:
        self.prompts, self._accepted = state[0].copy(), set(state[1])
        self._divisions = state[2]
        self._run, self._old = map(_copied, state[3])

    def corrected_masks(self) -> dict:
        return {}

    def spans(self) -> dict:
        return {}

    def replay(self, saved) -> Iterator[Replayed]:
        self._script.step("replay", len(saved.book), len(saved.accepted_masks))
        self.set_divisions(saved.divisions)
        left = len(saved.book) + len(saved.accepted_masks)
        for object_id, frame, prompt in saved.book:
            fault = self._script.fault("replay of a prompt")
            if fault is not None:
                raise fault
            self.prompts.put(object_id, frame, prompt)
            masks = None
            if prompt.mask is not None:
                self._volume.write(frame, (object_id,), prompt.mask[None])
                masks = _result(object_id, frame, prompt.mask)
            elif prompt.points:
                masks = self._write(object_id, frame, prompt.points[-1])
            left -= 1
            yield Replayed(left, masks)
        for pair, mask in saved.accepted_masks.items():
            self._volume.write(pair.frame, (pair.object_id,), mask[None])
            self._accepted.add(pair)
            left -= 1
            yield Replayed(left)

    def planned_visits(self, direction, start=None, stop=None, object_ids=None) -> tuple[int, ...]:
        order = self._order(direction, start, stop)
        return tuple(order.count(frame) for frame in range(self._stack.n_frames))

    def outdated_frames(self) -> dict[int, tuple[int, ...]]:
        """Frames that a run wrote before the newest prompt of their object."""
        decided = {
            (i, frame) for i in self.prompts.object_ids() for frame in self.prompts.frames(i)
        }
        decided |= set(self._accepted)
        found = {
            i: tuple(sorted(f for f in frames if (i, f) not in decided))
            for i, frames in self._old.items()
        }
        return {i: frames for i, frames in found.items() if frames}

    def propagate(
        self, direction, start=None, stop=None, object_ids=None, recompute=False
    ) -> Iterator[FrameMasks]:
        self._script.step("propagate", str(direction), start, stop, object_ids, recompute)
        self._cancelled.clear()
        return self._walk(self._order(direction, start, stop), object_ids)

    def cancel(self) -> None:
        self._cancelled.set()

    def _walk(self, frames, object_ids) -> Iterator[FrameMasks]:
        last = -1
        for frame in frames:
            if self._cancelled.is_set():
                return
            forward, last = frame > last, frame
            self._script.step("frame", frame)
            for object_id in self.object_ids:
                near = min(self._decided(object_id), key=lambda f: abs(f - frame))
                prompt = self.prompts.get(object_id, near)
                if prompt is None:  # an accepted mask
                    prompt = FramePrompt(mask=self._volume.mask(object_id, near))
                wanted = object_ids is None or object_id in object_ids
                if wanted:
                    self._run.setdefault(object_id, set()).add(frame)
                    self._old.get(object_id, set()).discard(frame)
                if prompt.mask is not None and not prompt.points and frame != near:
                    # A mask is followed like a click into its middle.
                    middle = np.argwhere(prompt.mask).mean(axis=0)
                    prompt = FramePrompt(points=(tuple(middle),))
                if wanted and prompt.points and (object_id, frame) not in self._accepted:
                    result = self._write_or_skip(object_id, frame, prompt.points[-1])
                else:
                    result = _result(object_id, frame, self._volume.mask(object_id, frame))
            yield replace(result, forward=forward)

    def _order(self, direction, start, stop) -> list[int]:
        if self._script.order is not None:
            return self._script.order
        starts = [frame for each in self.object_ids for frame in self._decided(each)]
        forward = list(range(min(starts), self._stack.n_frames))
        backward = list(range(max(starts), -1, -1))
        order = {
            Direction.FORWARD: forward,
            Direction.BACKWARD: backward,
            Direction.BOTH: forward + list(range(min(starts) - 1, -1, -1)),
        }[direction]
        stop = self._stack.n_frames if stop is None else stop
        return [frame for frame in order if (start or 0) <= frame < stop]

    def _decided(self, object_id) -> set[int]:
        accepted = {frame for number, frame in self._accepted if number == object_id}
        return accepted | set(self.prompts.frames(object_id))

    def _blob(self, frame, point) -> np.ndarray:
        blobs, _ = ndimage.label(self._stack.read(frame).max(axis=-1) > 0.5)
        here = blobs[tuple(np.clip(np.rint(point).astype(int), 0, np.array(blobs.shape) - 1))]
        return (blobs == here) & (here > 0)

    def _erase(self, object_id, frame) -> None:
        self._volume.write(frame, (object_id,), np.zeros((1, *self._stack.shape[1:]), bool))

    def _write(self, object_id, frame, point) -> FrameMasks:
        mask = self._blob(frame, point)
        self._volume.write(frame, (object_id,), mask[None])
        return _result(object_id, frame, mask)

    def _write_or_skip(self, object_id, frame, point) -> FrameMasks:
        try:
            return self._write(object_id, frame, point)
        except FrameError as error:
            nothing = np.zeros((0, *self._stack.frame_shape), bool)
            scores = np.zeros(0, np.float32)
            return FrameMasks(frame, (), nothing, scores, scores, skipped=error.happened)


def _copied(frames: dict[int, set[int]]) -> dict[int, set[int]]:
    return {number: set(each) for number, each in frames.items()}


def _result(object_id, frame, mask, score=0.9) -> FrameMasks:
    return FrameMasks(
        frame,
        (object_id,),
        np.asarray(mask)[None],
        np.array([score], np.float32),
        np.ones(1, np.float32),
    )
