"""Which model is used, and how it computes."""

from __future__ import annotations

from dataclasses import dataclass

from napari_sam2.types import Speed

AUTO = "auto"
PRECISIONS = (AUTO, "float32", "bfloat16")
"""What `load_model` takes as its precision."""


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
        One of `PRECISIONS`.
    speed : Speed
        What may be approximated.
    """

    model: str = "bundled"
    device: str = AUTO
    precision: str = AUTO
    speed: Speed = Speed.EXACT
