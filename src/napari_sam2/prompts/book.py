"""`PromptBook`: all prompts of a stack by object and frame, checked against its shape."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace as with_changes
from operator import itemgetter

from numpy.typing import ArrayLike

from napari_sam2.errors import PromptError
from napari_sam2.prompts.checks import (
    HALF_PIXEL,
    check_coordinate,
    check_frame,
    check_object_id,
    check_shape,
)
from napari_sam2.prompts.frame_prompt import Box, FramePrompt
from napari_sam2.types import ObjectFrame

PointsLike = Sequence[tuple[float, float]] | ArrayLike


class PromptBook:
    """The prompts of all objects in all frames of one stack.

    Every change is checked before it is made: after a `PromptError` the book is as it was.
    Coordinates are (y, x) in pixels of the frame, pixel centres at integers.

    Parameters
    ----------
    shape : (T, Y, X)
        Frames, height and width of the stack.
    """

    __hash__ = None  # type: ignore[assignment]  # it changes, so it cannot be a key

    def __init__(self, shape: Sequence[int]) -> None:
        self._shape = check_shape(shape)
        self._prompts: dict[ObjectFrame, FramePrompt] = {}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Frames, height and width of the stack."""
        return self._shape

    def add_points(
        self,
        object_id: int,
        frame: int,
        points: PointsLike,
        positive: Sequence[bool] | None = None,
        replace: bool = False,
    ) -> FramePrompt:
        """Append clicks to a frame, or with `replace` take them instead of the earlier ones.

        Parameters
        ----------
        object_id, frame : int
            Label id from 1, index along the video axis.
        points : sequence of (y, x)
        positive : sequence of bool, optional
            One per point: True on the object (default), False on the background.
        replace : bool
            Forget the earlier points of this object in this frame; its box and mask stay.

        Returns
        -------
        FramePrompt
            All that the frame now holds for the object.
        """
        key = self._key(object_id, frame)
        new = FramePrompt(points=points, positive=() if positive is None else positive)  # type: ignore[arg-type]
        before = self._prompts.get(key)
        if before is None:
            return self._store(key, new)
        if replace:
            return self._store(
                key,
                with_changes(before, points=new.points, positive=new.positive, rounds=()),
            )
        return self._store(key, before.with_clicks(new.points, new.positive))

    def add_box(self, object_id: int, frame: int, box: Sequence[float] | ArrayLike) -> FramePrompt:
        """Set the box of an object in a frame; points and mask there stay.

        A box that reaches over the edge of the image is cut at the edge.
        """
        key = self._key(object_id, frame)
        new = FramePrompt(box=box)  # type: ignore[arg-type]
        before = self._prompts.get(key)
        return self._store(
            key, new if before is None else with_changes(before, box=new.box, rounds=())
        )

    def add_mask(self, object_id: int, frame: int, mask: ArrayLike) -> FramePrompt:
        """Set the mask of an object in a frame, in place of all it held there."""
        return self._store(self._key(object_id, frame), FramePrompt(mask=mask))  # type: ignore[arg-type]

    def put(self, object_id: int, frame: int, prompt: FramePrompt) -> FramePrompt:
        """Set the prompt of an object in a frame, replacing the former one."""
        return self._store(self._key(object_id, frame), prompt)

    def remove(self, object_id: int, frame: int | None = None) -> None:
        """Forget the prompts of an object in one frame, or in all frames."""
        frames = self.frames(object_id) if frame is None else (frame,)
        keys = [ObjectFrame(object_id, where) for where in frames]
        if not keys or any(key not in self._prompts for key in keys):
            where = "" if frame is None else f" in frame {frame}"
            raise PromptError(
                f"Object {object_id} has no prompt{where}.",
                remedy=f"Objects with prompts: {self.object_ids() or 'none'}.",
            )
        for key in keys:
            del self._prompts[key]

    def get(self, object_id: int, frame: int) -> FramePrompt | None:
        """Return the prompt of an object in a frame, or None."""
        return self._prompts.get(ObjectFrame(object_id, frame))

    def object_ids(self) -> tuple[int, ...]:
        """Return the ids of all objects with prompts, ascending."""
        return tuple(sorted({object_id for object_id, _ in self._prompts}))

    def frames(self, object_id: int) -> tuple[int, ...]:
        """Return the frames in which an object has prompts, ascending."""
        return tuple(sorted(frame for owner, frame in self._prompts if owner == object_id))

    def copy(self) -> PromptBook:
        """Return a book with the same prompts that changes on its own."""
        book = PromptBook.__new__(PromptBook)  # the shape has been checked
        book._shape, book._prompts = self._shape, dict(self._prompts)
        return book

    def without(self, object_ids: Collection[int]) -> PromptBook:
        """Return a book without the prompts of some objects."""
        book = self.copy()
        book._prompts = {k: prompt for k, prompt in book._prompts.items() if k[0] not in object_ids}
        return book

    def __len__(self) -> int:
        return len(self._prompts)

    def __iter__(self) -> Iterator[tuple[int, int, FramePrompt]]:
        # A snapshot: another thread may add a prompt while this one walks over the book.
        known = sorted(self._prompts.items(), key=itemgetter(0))
        return iter([(object_id, frame, prompt) for (object_id, frame), prompt in known])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PromptBook):
            return NotImplemented
        return self._shape == other._shape and self._prompts == other._prompts

    def __repr__(self) -> str:
        return f"PromptBook(shape={self._shape}, objects={self.object_ids()}, prompts={len(self)})"

    def _key(self, object_id: object, frame: object) -> ObjectFrame:
        return ObjectFrame(check_object_id(object_id), check_frame(frame, self._shape[0]))

    def _store(self, key: ObjectFrame, prompt: FramePrompt) -> FramePrompt:
        _, height, width = self._shape
        bottom, right = height - HALF_PIXEL, width - HALF_PIXEL
        for y, x in prompt.points:
            if not (-HALF_PIXEL <= y <= bottom and -HALF_PIXEL <= x <= right):
                check_coordinate(y, height, "y")
                check_coordinate(x, width, "x")
        if prompt.mask is not None and prompt.mask.shape != (height, width):
            raise PromptError(
                f"The mask is {prompt.mask.shape} pixels, the frame {(height, width)}.",
                remedy="Give the mask at the full resolution of the frame.",
            )
        if prompt.box is not None:
            box = clip_box(prompt.box, height, width)
            if box != prompt.box:
                prompt = with_changes(prompt, box=box)
        self._prompts[key] = prompt
        return prompt


def clip_box(box: Box, height: int, width: int) -> Box:
    """Cut a box at the edges of the image; a box wholly outside is a `PromptError`."""
    y0, x0, y1, x1 = box
    y0, y1 = max(y0, -HALF_PIXEL), min(y1, height - HALF_PIXEL)
    x0, x1 = max(x0, -HALF_PIXEL), min(x1, width - HALF_PIXEL)
    if y0 >= y1 or x0 >= x1:
        raise PromptError(
            f"The box (y0={box[0]:g}, x0={box[1]:g}, y1={box[2]:g}, x1={box[3]:g}) lies outside "
            f"the image of {height} x {width} pixels.",
            remedy="Give the corners as (y0, x0, y1, x1) in pixels of the frame.",
        )
    return y0, x0, y1, x1
