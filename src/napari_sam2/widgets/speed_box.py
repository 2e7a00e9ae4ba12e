"""View: what may be given for speed, and in what precision a model computes."""

from __future__ import annotations

from napari_sam2.types import Speed
from napari_sam2.widgets.model_use import AUTO, ModelUse
from napari_sam2.widgets.parts import Choice, Fold

SPEEDS = (
    ("exact", Speed.EXACT),
    ("balanced (approximate)", Speed.BALANCED),
    ("fastest (approximate)", Speed.FASTEST),
)
"""Levels of speed, each with a title."""

PRECISIONS = (
    ("automatic", AUTO),
    ("float32 (full)", "float32"),
    ("bfloat16 (half)", "bfloat16"),
)
"""What a model computes in, each with a title."""

_IN_GENERAL = {
    Speed.BALANCED: "a smaller input, where the model allows, and fewer memories",
    Speed.FASTEST: "a small input, windows around the objects and few memories",
}


class SpeedBox(Fold):
    """Chooses a level of speed and a precision."""

    def __init__(self) -> None:
        super().__init__("Speed and precision")
        self.speeds = Choice(
            "Exact computes what the model was trained to. Balanced makes its input smaller and "
            "remembers fewer frames; fastest sees small windows that follow the objects and "
            "remembers least. What is left out with this model is said below."
        )
        self.precisions = Choice(
            "Automatic takes bfloat16 on graphics cards that compute it natively, and float32 "
            "elsewhere. Masks may differ by a few pixels between the two."
        )
        self.speeds.offer(SPEEDS, Speed.EXACT)
        self.precisions.offer(PRECISIONS, AUTO)
        self.add_row("Speed", self.speeds)
        self.add_row("Precision", self.precisions)

    @property
    def speed(self) -> Speed:
        """The level that is shown."""
        return Speed(self.speeds.value)

    def show_use(self, use: ModelUse) -> None:
        """Show what is chosen."""
        self.speeds.choose(use.speed)
        self.precisions.choose(use.precision)

    def what_is_left_out(self, said: tuple[str, ...] | None) -> str:
        """Say what the level leaves out: as a session said, or in general; empty if exact."""
        speed = self.speed
        if speed is Speed.EXACT:
            return ""
        if said is None:
            return f"{speed.capitalize()}: approximated with {_IN_GENERAL[speed]}."
        if not said:
            return f"{speed.capitalize()}: with this model nothing is left out."
        return f"{speed.capitalize()}: approximated with {', '.join(said)}."
