"""Positions of sliders and keys of masks; columns that assign points and shapes to objects."""

from __future__ import annotations

OBJECT = "object"
"""Feature column with the label id of the object that a point or a shape belongs to."""

POSITIVE = "positive"
"""Feature column: True on the object, False on the background."""

StackPosition = tuple[tuple[int, int], ...]
"""Position of the sliders that are not the video: (axis, index) of each."""

MaskKey = tuple[StackPosition, int, int]
"""One object in one frame of one stack: position of the stack, object id, frame."""
