"""Data that recipes are tried on."""

from __future__ import annotations

import pytest
from labelled_discs import disc_stacks

from napari_sam2.training import LabelledStack


@pytest.fixture(scope="session")
def stacks() -> tuple[LabelledStack, ...]:
    return disc_stacks()
