"""Taking a few of many so that all kinds are among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def spread(items: Sequence[T], count: int) -> tuple[T, ...]:
    """Take at most `count` of the items, evenly spread, the first always among them."""
    if len(items) <= count:
        return tuple(items)
    return tuple(items[(index * len(items)) // count] for index in range(count))
