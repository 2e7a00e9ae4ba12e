"""Tiny data and a tiny network: everything in these tests runs in seconds."""

from __future__ import annotations

import pytest
import torch
from labelled_discs import disc_stacks

from bundled_model.initialisation import initialise_locality
from napari_sam2.network import ConvTrunkConfig, Sam2, Sam2Config
from napari_sam2.training import LabelledStack


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_config() -> Sam2Config:
    return Sam2Config(
        trunk=ConvTrunkConfig(channels=(8, 8, 16, 16), depths=(1, 1, 1, 1)),
        image_size=64,
        width=32,
        top_down_levels=(0, 1, 2, 3),
        decoder_heads=2,
        decoder_mlp=32,
        memory_width=16,
        memory_layers=1,
        memory_mlp=32,
        fuser_layers=1,
    )


@pytest.fixture
def tiny_network(tiny_config: Sam2Config) -> Sam2:
    torch.manual_seed(0)
    network = Sam2(tiny_config)
    initialise_locality(network)
    return network


@pytest.fixture(scope="session")
def stacks() -> tuple[LabelledStack, ...]:
    return disc_stacks()
