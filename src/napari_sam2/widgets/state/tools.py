"""The drawing tools: for each the button, the key, and the layer mode that it stands for.

Frozen values, any thread.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tool:
    """A drawing tool of the panel.

    Attributes
    ----------
    name : str
        What the code calls it.
    title : str
        Text of its button.
    tooltip : str
        Tooltip of its button; the key is added to it.
    layer : str
        The panel's layer that it draws in: points, shapes or labels.
    mode : str
        Mode of this layer.
    key : str or None
        Its key, as napari writes it.
    shortcut : str
        What the list of keys says of its key.
    """

    name: str
    title: str
    tooltip: str
    layer: str
    mode: str
    key: str | None = None
    shortcut: str = ""

    @property
    def help(self) -> str:
        """The tooltip with the key."""
        return f"{self.tooltip} Key: {self.key}" if self.key else self.tooltip


TOOLS = (
    Tool(
        "points",
        "Points",
        "Click objects. Drag a point to move it.",
        "points",
        "add",
        "C",
        "Click points",
    ),
    Tool(
        "boxes",
        "Box",
        "Draw a rectangle around an object. A click is a point.",
        "shapes",
        "add_rectangle",
        "B",
        "Draw a box",
    ),
    Tool(
        "lasso",
        "Lasso",
        "Draw around an object: what is inside is its mask.",
        "shapes",
        "add_polygon_lasso",
        "L",
        "Draw around an object",
    ),
    Tool(
        "scribble",
        "Scribble",
        "Draw a line over an object: points along it.",
        "shapes",
        "add_path",
        "S",
        "Scribble over an object",
    ),
    Tool(
        "brush",
        "Brush",
        "Paint the mask of the current object in this frame; other objects keep their pixels.",
        "labels",
        "paint",
        "R",
        "Paint a mask",
    ),
    Tool(
        "eraser",
        "Eraser",
        "Erase from the mask of the current object in this frame. Key: T while painting",
        "labels",
        "erase",
    ),
)
"""All tools, in the order of their buttons and keys."""


def tool_named(name: str) -> Tool:
    """Return the tool of a name.

    Raises
    ------
    KeyError
        There is no such tool.
    """
    return {tool.name: tool for tool in TOOLS}[name]
