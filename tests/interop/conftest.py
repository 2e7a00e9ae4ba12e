"""Tracks as the programs of others read them; only `tox run -e interop` has these installed."""

from __future__ import annotations

import numpy as np
import pytest
from lineages import DIVISIONS, dividing
from numpy.typing import NDArray


@pytest.fixture(params=[False, True], ids=["2D", "3D"])
def labels(request: pytest.FixtureRequest) -> NDArray[np.uint16]:
    """Six frames or volumes with two divisions and a gap."""
    return dividing(request.param)


@pytest.fixture
def scale(labels) -> tuple[float, ...]:
    """Of the labels' axes, all different."""
    return (60.0, 0.5, 0.25) if labels.ndim == 3 else (60.0, 2.0, 0.5, 0.25)


@pytest.fixture
def divisions():
    """Divisions of the labels."""
    return DIVISIONS
