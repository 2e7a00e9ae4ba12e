"""`Protection`: the objects of each frame whose pixels must not be overwritten."""

from __future__ import annotations

from collections.abc import Collection


class Protection:
    """The objects of each frame that the user accepted or painted.

    A frame is either wholly protected, background included, or protected for some objects.
    """

    def __init__(self) -> None:
        self._frames: set[int] = set()
        self._objects: dict[int, set[int]] = {}

    def protect(self, object_id: int, frame: int) -> None:
        """Protect an object in a frame."""
        self._objects.setdefault(frame, set()).add(object_id)

    def protect_frame(self, frame: int) -> None:
        """Protect a whole frame, background included."""
        self._frames.add(frame)

    def unprotect_frame(self, frame: int) -> None:
        """Release all of a frame."""
        self._frames.discard(frame)
        self._objects.pop(frame, None)

    def unprotect(self, object_id: int, frame: int, present: Collection[int]) -> None:
        """Release an object in a frame.

        Releasing one object of a wholly protected frame keeps the others that are `present`.
        """
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

    def covers(self, object_id: int, frame: int) -> bool:
        """Return whether an object is protected in a frame."""
        return frame in self._frames or object_id in self._objects.get(frame, ())

    def objects(self, frame: int) -> frozenset[int]:
        """Return the objects that are protected one by one in a frame."""
        return frozenset(self._objects.get(frame, ()))
