"""A small stack that the bundled model segments in seconds, with clicks and truth."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile

CLICKS = "frame,object,kind,y,x\n1,1,point,20,21\n1,2,point,44,45\n"


@dataclass(frozen=True)
class SmallStack:
    """Files of a stack of two bright disks that drift apart, and where the disks are."""

    image: Path
    labels: Path
    prompts: Path
    truth: np.ndarray


@pytest.fixture
def small_stack(tmp_path: Path) -> SmallStack:
    """Three frames of 192 x 192 pixels."""
    y, x = np.mgrid[:192, :192]
    truth = np.zeros((3, 192, 192), dtype=np.uint16)
    for frame, plane in enumerate(truth):
        plane[np.hypot(y - 20, x - 20 - frame) < 9] = 1
        plane[np.hypot(y - 44, x - 46 + frame) < 8] = 2
    noise = np.random.default_rng(0).normal(0, 6, truth.shape)
    image = np.clip(np.where(truth > 0, 180, 40) + noise, 0, 255).astype(np.uint8)
    folder = tmp_path / "data"
    folder.mkdir()
    paths = [folder / name for name in ("disks_image.tif", "disks_labels.tif", "clicks.csv")]
    tifffile.imwrite(paths[0], image, metadata={"axes": "ZYX"})
    tifffile.imwrite(paths[1], truth, metadata={"axes": "ZYX"})
    paths[2].write_text(CLICKS, encoding="utf-8")
    return SmallStack(*paths, truth)


@pytest.fixture(autouse=True)
def one_model(bundled_stays_loaded: None) -> None:
    """Commands load the bundled model once."""


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra `plots` were not installed."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
