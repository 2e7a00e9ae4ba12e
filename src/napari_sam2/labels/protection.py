"""Which objects of which frames must not be overwritten."""

from __future__ import annotations

from collections.abc import Collection


class Protection:
    """What the user accepted or painted, by frame.

    A frame is either wholly protected, background included, or protected for some objects.
    """

    def __init__(self) -> None:
        self._frames: set[int] = set()
        self._objects: dict[int, set[int]] = {}

    def protect(self, frame: int, object_id: int | None = None) -> None:
        """Protect an object in a frame, or with None the whole frame."""
        if object_id is None:
            self._frames.add(frame)
        else:
            self._objects.setdefault(frame, set()).add(object_id)

    def unprotect(self, frame: int, object_id: int | None, present: Collection[int]) -> None:
        """Release an object in a frame, or with None all of the frame.

        Releasing one object of a wholly protected frame keeps the others that are `present`.
        """
        if object_id is None:
            self._frames.discard(frame)
            self._objects.pop(frame, None)
            return
        objects = self._objects.setdefault(frame, set())
        if frame in self._frames:
            self._frames.discard(frame)
            objects.update(present)
        objects.discard(object_id)
        if not objects:
            del self._objects[frame]

    def covers_frame(self, frame: int) -> bool:
        """Return whether the whole frame is protected."""
        return frame in self._frames

    def covers(self, frame: int, object_id: int) -> bool:
        """Return whether an object is protected in a frame."""
        return frame in self._frames or object_id in self._objects.get(frame, ())

    def objects(self, frame: int) -> frozenset[int]:
        """Return the objects that are protected one by one in a frame."""
        return frozenset(self._objects.get(frame, ()))
