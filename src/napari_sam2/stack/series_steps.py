"""The order of a run through a series of volumes. Frozen values, any thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Generic, TypeVar

Volume = TypeVar("Volume")


@dataclass(frozen=True, slots=True)
class PropagationStep(Generic[Volume]):
    """Propagate the objects of a volume."""

    volume: Volume


@dataclass(frozen=True, slots=True)
class HandOverStep(Generic[Volume]):
    """Find the objects of a volume in the next one, where they become prompts."""

    here: Volume
    there: Volume


def series_steps(
    volumes: Sequence[Volume],
) -> Iterator[PropagationStep[Volume] | HandOverStep[Volume]]:
    """Yield the steps of a run: propagate, hand the objects to the next volume, go on there.

    Parameters
    ----------
    volumes : sequence
        In the order in which objects go through them.
    """
    for here, there in zip_longest(volumes, volumes[1:]):
        yield PropagationStep(here)
        if there is not None:
            yield HandOverStep(here, there)
