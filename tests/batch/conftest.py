"""Small stacks in a folder, and clicks on their two disks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from batches import CLICKS, write_stack


@pytest.fixture(autouse=True)
def one_model(bundled_stays_loaded: None) -> None:
    """Batches in this process load the bundled model once."""


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    path = tmp_path / "clicks.csv"
    path.write_text(CLICKS, encoding="utf-8")
    return path


@pytest.fixture
def stacks(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of stacks: `stacks("a", "b", frames=5)`."""

    def make(*names: str, frames: int = 3) -> Path:
        folder = tmp_path / "stacks"
        for number, name in enumerate(names):
            write_stack(folder / f"{name}.tif", frames, number)
        return folder

    return make
