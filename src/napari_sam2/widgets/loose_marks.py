"""Points and shapes of any layer, also of one that the panel did not make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_sam2.errors import PromptError
from napari_sam2.widgets.places import OBJECT, POSITIVE

if TYPE_CHECKING:
    from napari.layers import Image, Points, Shapes


@dataclass(frozen=True, slots=True, eq=False)
class LooseMarks:
    """Points or shapes with the features that prompts need; stands in for their layer.

    A layer with the feature ``object`` says which object each mark belongs to. Without it every
    mark is an object of its own.

    Attributes
    ----------
    layer : Points or Shapes
    features : mapping of str to sequence
        `OBJECT` and `POSITIVE`, one value per mark.
    """

    layer: Any
    features: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, image: Image, layer: Points | Shapes, first_id: int = 1) -> LooseMarks:
        """Take the marks of a layer; number those of no object from `first_id` on.

        Raises
        ------
        PromptError
            The layer has not as many dimensions as the image.
        """
        if layer.ndim != image.ndim and len(layer.data):
            raise PromptError(
                f"{layer.name} has {layer.ndim} dimensions, {image.name} has {image.ndim}.",
                remedy="Make the layer with the number of dimensions of the image (ndim=...).",
            )
        count, columns = len(layer.data), layer.features
        numbered = range(first_id, first_id + count)
        ids = columns[OBJECT].tolist() if is_numbered(layer) else list(numbered)
        signs = columns[POSITIVE].tolist() if POSITIVE in columns else [True] * count
        return cls(layer, {OBJECT: ids, POSITIVE: signs})

    @property
    def data(self) -> Any:
        """Of the layer."""
        return self.layer.data

    @property
    def shape_type(self) -> Any:
        """Of a layer of shapes."""
        return self.layer.shape_type

    def data_to_world(self, position: Any) -> Any:
        """Place a mark as its layer does."""
        return self.layer.data_to_world(position)


def is_numbered(layer: Points | Shapes) -> bool:
    """Whether a layer says which object each of its marks belongs to."""
    return OBJECT in layer.features
