"""One stable, colour-blind-safe colour per object id."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

# Okabe and Ito, "Color Universal Design" (2008), without black; the order sets neighbouring ids
# far apart. Blue comes last: it is the faintest on a dark image.
_OKABE_ITO: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
)
# Mixed with white, the same hues make a second round that differs in lightness.
_LIGHT = tuple((96 + 5 * r // 8, 96 + 5 * g // 8, 96 + 5 * b // 8) for r, g, b in _OKABE_ITO)
_COLOURS = _OKABE_ITO + _LIGHT


def colour_of(object_id: int) -> Colour:
    """Return the RGB colour, 0..255, of an object id of 1 or more; it repeats after 14 ids."""
    return _COLOURS[(object_id - 1) % len(_COLOURS)]


def colours_of(object_ids: Iterable[int]) -> NDArray[np.float32]:
    """Return the colours of several ids as float32 in 0..1, shape (N, 3)."""
    colours = [colour_of(int(number)) for number in object_ids]
    return np.array(colours, dtype=np.float32).reshape(-1, 3) / np.float32(255)
