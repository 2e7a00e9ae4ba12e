"""Which model is used, and how it computes."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam2.types import Speed

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class ModelUse:
    """A model and the way it computes: what the user chose.

    Attributes
    ----------
    model : str
        Name of a model, or the path of a checkpoint.
    device : str
        "auto", "cpu", "cuda" or "mps".
    precision : str
        "auto", "float32" or "bfloat16".
    speed : Speed
        What may be approximated.
    """

    model: str = "bundled"
    device: str = AUTO
    precision: str = AUTO
    speed: Speed = Speed.EXACT
