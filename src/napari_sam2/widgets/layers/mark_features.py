"""Features of points and shapes: the object that a mark belongs to, and its sign.

Main thread only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_sam2.widgets.layers.factory import MAX_OBJECT_ID
from napari_sam2.widgets.state.positions import OBJECT, POSITIVE

if TYPE_CHECKING:
    from napari.layers import Points, Shapes

NO_OBJECT = 0
"""Object of a mark whose feature names none: it is ignored."""

_FALSE = frozenset({"false", "no", "0", ""})


def repair_features(layer: Points | Shapes) -> None:
    """Give a layer valid features again where scripts or other plugins have left others.

    Both columns are there afterwards, objects as whole numbers and signs as bool; the features of a
    layer that is in order stay as they are. A value that names no object becomes `NO_OBJECT`, one
    that is no sign counts as on the object.
    """
    features, count = layer.features, len(layer.data)
    objects, signs = features.get(OBJECT), features.get(POSITIVE)
    known = objects is not None and signs is not None
    if known and objects.dtype.kind in "iu" and signs.dtype.kind == "b":
        return
    features = features.copy()
    features[OBJECT] = object_numbers([NO_OBJECT] * count if objects is None else objects)
    features[POSITIVE] = np.array(
        [True] * count if signs is None else [_sign(each) for each in signs], dtype=bool
    )
    layer.features = features


def object_numbers(values: Any) -> NDArray[np.int_]:
    """Return the values of the feature `OBJECT` as ids; `NO_OBJECT` where a value is none."""
    return np.array([_number(each) for each in values], dtype=int)


def _number(value: Any) -> int:
    try:
        exact = float(value)
        number = int(exact)
    except (TypeError, ValueError, OverflowError):  # text, a missing value, NaN, infinity
        return NO_OBJECT
    return number if number == exact and 1 <= number <= MAX_OBJECT_ID else NO_OBJECT


def _sign(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in _FALSE
    try:
        return bool(value)
    except (TypeError, ValueError):  # a missing value of pandas
        return True
