"""Small stacks in a folder, and clicks on their two disks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import forked
import pytest
from batches import CLICKS, Unbroken, unbroken_batch, write_stack


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


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes of batches and of Dask are forked, not new Pythons that import torch again."""
    monkeypatch.setattr("napari_sam2.batch.processes._METHOD", forked.METHOD)
    forked.context()  # before Dask would start a server that has imported less
    dask = pytest.importorskip("dask")
    with dask.config.set({"distributed.worker.multiprocessing-method": forked.METHOD}):
        yield


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Unbroken:
    """What a batch in this process makes of `stacks(*unbroken.names, frames=unbroken.frames)`."""
    return unbroken_batch(tmp_path_factory.mktemp("unbroken"))
