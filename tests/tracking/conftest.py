"""A tiny network with random weights: fast, deterministic, with masks of middling size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_sam2.network import ConvTrunkConfig, Sam2, Sam2Config
from napari_sam2.tracking import Model

TINY = Sam2Config(
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


def smooth_noise(*shape: int) -> np.ndarray:
    sigma = (2,) * (len(shape) - 2) + (3, 3)
    return gaussian_filter(np.random.default_rng(3).normal(size=shape), sigma).astype(np.float32)


def tiny_network(object_score: float = 4.0) -> Sam2:
    generator = torch.Generator().manual_seed(7)
    network = Sam2(TINY).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan**-0.5)
        # A buffer, drawn from the global generator unless it is drawn here.
        frequencies = network.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix
        frequencies.normal_(generator=generator)
        head = network.sam_mask_decoder.pred_obj_score_head.layers[-1]
        head.weight.mul_(0.01)
        head.bias.fill_(object_score)
        balance(network)
    return network.requires_grad_(False)


def balance(network: Sam2) -> None:
    """Shift every mask token's logits so that about half of a noisy frame is inside."""
    decoder = network.sam_mask_decoder
    constant = 0  # this channel of the upscaled features becomes a constant 1
    for layer in (
        decoder.output_upscaling[3].weight[:, constant],
        decoder.conv_s0.weight[constant],
    ):
        layer.zero_()
    decoder.output_upscaling[3].bias[constant] = 1.1446  # GELU of it is 1
    decoder.conv_s0.bias[constant] = 0
    for mlp in decoder.output_hypernetworks_mlps:
        mlp.layers[-1].weight[constant] = 0
        mlp.layers[-1].bias[constant] = 0
    frame = torch.from_numpy(smooth_noise(64, 64)).expand(1, 3, -1, -1)
    features = network.encode_image(frame)
    encoder = network.sam_prompt_encoder
    sparse = encoder.encode_points(torch.full((1, 1, 2), 30.0), torch.ones(1, 1).long(), 64)
    image = network.without_memory(features.stride16) + encoder.no_mask()
    grid = encoder.pe_layer.grid(4, 4)
    masks = decoder(image, grid, sparse, features.stride8, features.stride4).masks[0]
    for mlp, mask in zip(decoder.output_hypernetworks_mlps, masks, strict=True):
        mlp.layers[-1].bias[constant] = -mask.median()


@pytest.fixture(scope="session")
def model() -> Model:
    return Model(tiny_network(), "tiny", torch.device("cpu"), 64)


@pytest.fixture(scope="session")
def absent_model() -> Model:
    """A model that says of every tracked frame that the object is not there."""
    return Model(tiny_network(object_score=-4.0), "tiny absent", torch.device("cpu"), 64)


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """Twelve frames of smooth noise, 40 x 48; read-only."""
    frames = smooth_noise(12, 40, 48)
    frames.setflags(write=False)
    return frames


@pytest.fixture
def stack(noise) -> np.ndarray:
    """The same frames, to do anything with."""
    return noise.copy()


@pytest.fixture
def encoded(model, monkeypatch):
    """Images in each call of the encoder."""
    calls = []
    real = type(model.network).encode_image

    def encode(network, images):
        calls.append(len(images))
        return real(network, images)

    monkeypatch.setattr(type(model.network), "encode_image", encode)
    return calls
