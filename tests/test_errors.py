"""Errors that cross processes, as those of a pool's workers do."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from napari_sam2 import errors

KINDS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, errors.Sam2Error)
]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_arrives_whole(kind):
    known = {
        errors.FrameError: {"frame": 3},
        errors.SeriesError: {"names": ("A/1/0", "A/1/1")},
        errors.StoreInUseError: {"path": Path("kept.zarr")},
    }
    more = known.get(kind, {})
    error = kind("It broke.", safe="All is there.", remedy="Mend it.", **more)
    error.safe = "Half of it is there."
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == "It broke. Half of it is there. Mend it."
    assert vars(again) == vars(error)
