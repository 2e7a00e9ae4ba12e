"""Networks without values."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from napari_sam2.network import BUNDLED_CONFIG, OFFICIAL_CONFIGS, Sam2, outline


@pytest.mark.parametrize("config", [BUNDLED_CONFIG, OFFICIAL_CONFIGS["sam2.1-tiny"]])
def test_an_outline_has_all_shapes_and_no_values(config) -> None:
    found, ordinary = outline(config).state_dict(), Sam2(config).state_dict()
    assert {name: value.shape for name, value in found.items()} == {
        name: value.shape for name, value in ordinary.items()
    }
    assert {value.device.type for value in found.values()} == {"meta"}
    assert {name: value.dtype for name, value in found.items()} == {
        name: value.dtype for name, value in ordinary.items()
    }


def test_first_values_are_drawn_again_after_an_outline() -> None:
    outline(BUNDLED_CONFIG)
    weights = torch.nn.Embedding(3, 4).weight
    assert weights.std() > 0.1


@pytest.mark.skipif(
    torch.__version__ < "2.5", reason="torch 2.4 loads sympy with its own sizes on the meta device"
)
def test_models_load_without_the_compiler_of_torch() -> None:
    code = (
        "import sys; from napari_sam2 import load_model; load_model('bundled', device='cpu'); "
        "assert 'torch' in sys.modules; assert 'torch._dynamo' not in sys.modules; "
        "assert 'sympy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
