"""`Candidate`: a point that probably lies in an object, and the settings of the search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from napari_sam2.errors import DetectionError

_DEFAULT_MIN_SIZE = 8  # pixels


class Candidate(NamedTuple):
    """A point that probably lies in an object.

    Attributes
    ----------
    y, x : float
        Position in pixels of the frame; pixel centres are integers.
    score : float
        In 0..1; higher is better.
    extent : float
        Estimated longer side of the object's bounding box, in pixels.
    """

    y: float
    x: float
    score: float
    extent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionSettings:
    """Options of a search for objects.

    Attributes
    ----------
    min_size : int, optional
        Smallest area of an object in pixels. By default it is 8, and networks with dense heads
        leave out masks that are probably no objects (see `unlikely`).
    max_size : int, optional
        Largest area of an object in pixels; no limit by default.
    min_score : float
        Least score (predicted IoU times object score) of a mask, for models with dense heads.
    max_overlap : float
        Largest share of a mask that may lie on better masks; the mask loses these pixels.
    points_per_side : int
        Points of the grid along each side, for models without dense heads.
    points_per_batch : int
        Points of the grid that are decoded together.
    min_iou : float
        Least predicted IoU of a mask of the grid.
    min_stability : float
        Least IoU of a mask of the grid, cut `stability_offset` above and below its threshold.
    stability_offset : float
        In logits.
    max_box_iou : float
        Of two masks of the grid whose boxes overlap more, only the better one is kept.
    max_objects : int
        A search that finds more objects, unlikely ones included, fails and keeps none.

    Notes
    -----
    The defaults of the grid are those of SAM (arXiv 2304.02643, section 5 and appendix B) as
    SAM 2 publishes them.
    """

    min_size: int | None = None
    max_size: int | None = None
    min_score: float = 0.4
    max_overlap: float = 0.15
    points_per_side: int = 32
    points_per_batch: int = 64
    min_iou: float = 0.8
    min_stability: float = 0.95
    stability_offset: float = 1.0
    max_box_iou: float = 0.7
    max_objects: int = 3000

    def __post_init__(self) -> None:
        shares = ("min_score", "max_overlap", "min_iou", "min_stability", "max_box_iou")
        for name in shares:
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0.0 <= value <= 1.0:
                raise DetectionError(
                    f"{name} = {value!r} is no share.", remedy="Choose a number of 0 to 1."
                )
        counts = ("least_size", "points_per_side", "points_per_batch", "max_objects")
        for name in counts:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise DetectionError(
                    f"{name} = {value!r} is no count.", remedy="Choose a whole number from 1."
                )
        if self.max_size is not None and self.max_size < self.least_size:
            raise DetectionError(
                f"The largest size, {self.max_size}, is below the smallest, {self.least_size}.",
                remedy="Choose a range of areas in pixels, such as 50 to 5000.",
            )

    @property
    def least_size(self) -> int:
        """Smallest area of an object in pixels: `min_size` or its default."""
        return _DEFAULT_MIN_SIZE if self.min_size is None else self.min_size
