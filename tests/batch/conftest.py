"""Small stacks in a folder, and clicks on their two disks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

CLICKS = "frame,object,kind,y,x\n1,1,point,20,21\n1,2,point,44,45\n"


def write_stack(path: Path, frames: int = 3, seed: int = 0) -> Path:
    """Write bright disks that drift apart, in frames of 64 x 64 pixels."""
    y, x = np.mgrid[:64, :64]
    image = np.full((frames, 64, 64), 40.0)
    for frame, plane in enumerate(image):
        plane[np.hypot(y - 20, x - 20 - frame % 8) < 9] = 180
        plane[np.hypot(y - 44, x - 46 + frame % 8) < 8] = 180
    image += np.random.default_rng(seed).normal(0, 6, image.shape)
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, np.clip(image, 0, 255).astype(np.uint8), metadata={"axes": "TYX"})
    return path


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
