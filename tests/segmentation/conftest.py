"""Stacks are segmented with the bundled model, which is loaded once."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def one_model(bundled_stays_loaded: None) -> None:
    """What segments in this process loads the bundled model once."""
