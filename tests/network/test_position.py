"""Position encodings against their closed forms, number by number."""

from __future__ import annotations

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from parity_data import Draws, largest_difference

from napari_sam2.network.position import sine_grid, sine_time
from napari_sam2.network.prompt_encoder import RandomFourierEncoding

CPU = torch.device("cpu")


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_sine_grid(data: st.DataObject) -> None:
    height, width = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    channels = 16
    y, x = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    channel = data.draw(st.integers(0, channels - 1))
    half = channels // 2
    place, length = (y, height) if channel < half else (x, width)
    pair, odd = divmod(channel % half, 2)
    angle = 2 * math.pi * (place + 1) / length / 10000 ** (2 * pair / half)
    expected = math.cos(angle) if odd else math.sin(angle)
    assert abs(float(sine_grid(height, width, channels, CPU)[0, channel, y, x]) - expected) < 1e-4


@settings(max_examples=25, deadline=None)
@given(time=st.floats(-2, 2, width=32), channel=st.integers(0, 15))
def test_sine_time(time: float, channel: int) -> None:
    angle = time / 10000 ** (2 * (channel % 8 // 2) / 8)
    expected = math.sin(angle) if channel < 8 else math.cos(angle)
    assert abs(float(sine_time(torch.tensor([time]), 16)[0, channel]) - expected) < 1e-5


@settings(max_examples=25, deadline=None)
@given(x=st.floats(0, 1, width=32), y=st.floats(0, 1, width=32), channel=st.integers(0, 15))
def test_random_fourier(x: float, y: float, channel: int) -> None:
    encoding = RandomFourierEncoding(16)
    matrix = Draws(40)(2, 8)
    encoding.positional_encoding_gaussian_matrix.copy_(matrix)
    row = matrix[:, channel % 8].double().tolist()
    angle = 2 * math.pi * ((2 * x - 1) * row[0] + (2 * y - 1) * row[1])
    expected = math.sin(angle) if channel < 8 else math.cos(angle)
    assert abs(float(encoding(torch.tensor([[x, y]]))[0, channel]) - expected) < 1e-4


def test_random_fourier_grid_encodes_pixel_centres() -> None:
    encoding = RandomFourierEncoding(16)
    grid = encoding.grid(3, 5)
    assert grid.shape == (1, 16, 3, 5)
    assert largest_difference(grid[0, :, 2, 1], encoding(torch.tensor([1.5 / 5, 2.5 / 3]))) < 1e-5
