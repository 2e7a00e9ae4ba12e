"""Small networks behind a real uvicorn on the loopback."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from known_masks import known_masks
from scipy.ndimage import gaussian_filter
from session_servers import TOKEN, LocalServer, local_server
from small_networks import SMALL_FINE

from napari_sam2.remote import Connection, connect
from napari_sam2.tracking import Model

MODELS = {
    "tiny": Model(known_masks(), "tiny", torch.device("cpu"), 64),
    "fine": Model(known_masks(config=SMALL_FINE), "fine", torch.device("cpu"), 64),
}


@pytest.fixture(scope="session")
def models() -> dict[str, Model]:
    return MODELS


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """Twelve frames of smooth noise, 40 x 48; read-only."""
    noise = np.random.default_rng(3).normal(size=(12, 40, 48))
    frames = gaussian_filter(noise, (2, 3, 3)).astype(np.float32)
    frames.setflags(write=False)
    return frames


@pytest.fixture(scope="session")
def server(models) -> Iterator[LocalServer]:
    with local_server(models) as server:
        yield server


@pytest.fixture
def connection(server) -> Iterator[Connection]:
    connection = connect(server.url, TOKEN, patience_s=20)
    yield connection
    connection.close()


@pytest.fixture(autouse=True)
def no_unknown_warnings():
    """A session on a server warns of nothing that a local one does not warn of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
