"""The figures by which fine-tuning judges its network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from napari_sam2.network import Sam2


@dataclass(frozen=True, slots=True)
class HeldOutIou:
    """What users get on data that was not trained on: mean IoU over objects, 0..1.

    Attributes
    ----------
    click, box : float
        Of single frames, from one click or the tight box.
    tracked : float, optional
        Of short clips from one click per object; None where there are no stacks.
    """

    click: float
    box: float
    tracked: float | None = None

    @property
    def score(self) -> float:
        """Return the mean of what was measured: the figure that decides."""
        return fmean(v for v in (self.click, self.box, self.tracked) if v is not None)


Measure = Callable[[Sam2], HeldOutIou]
"""Measures a network in evaluation mode on held-out data."""
