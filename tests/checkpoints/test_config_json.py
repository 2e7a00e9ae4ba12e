from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.checkpoints import config_from_json, config_to_json
from napari_sam2.errors import CheckpointError
from napari_sam2.network import (
    BUNDLED_CONFIG,
    FIRST_BUNDLED_CONFIG,
    OFFICIAL_CONFIGS,
    ConvTrunkConfig,
    HieraConfig,
    Sam2Config,
)

sizes = st.lists(st.integers(1, 64), min_size=4, max_size=4).map(tuple)
trunks = st.builds(HieraConfig, stages=sizes, global_blocks=sizes, windows=sizes) | st.builds(
    ConvTrunkConfig, channels=sizes, depths=sizes
)
configs = st.builds(
    Sam2Config,
    trunk=trunks,
    image_size=st.integers(1, 64).map(lambda n: 32 * n),
    temporal_pointers=st.booleans(),
    sigmoid_bias=st.floats(allow_nan=False, allow_infinity=False),
)


@pytest.mark.parametrize(
    "config", [*OFFICIAL_CONFIGS.values(), BUNDLED_CONFIG, FIRST_BUNDLED_CONFIG]
)
def test_known_configurations_come_back(config: Sam2Config) -> None:
    assert config_from_json(config_to_json(config)) == config


@settings(max_examples=25, deadline=None)
@given(config=configs)
def test_any_configuration_comes_back(config: Sam2Config) -> None:
    assert config_from_json(config_to_json(config)) == config


def test_values_that_are_not_named_take_their_defaults() -> None:
    text = '{"trunk": {"kind": "conv"}, "image_size": 256, "sigmoid_scale": 10}'
    config = config_from_json(text)
    assert config == Sam2Config(trunk=ConvTrunkConfig(), image_size=256, sigmoid_scale=10.0)
    assert isinstance(config.sigmoid_scale, float)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no JSON"),
        ("[]", "which trunk"),
        ('{"image_size": 512}', "which trunk"),
        ('{"trunk": "hiera"}', "which trunk"),
        ('{"trunk": {"kind": "vit"}}', "does not know: trunk 'vit'"),
        ('{"trunk": {"kind": ["hiera"]}}', "does not know: trunk"),
        ('{"trunk": {"kind": "conv"}, "experts": 8}', "does not know: experts"),
        ('{"trunk": {"kind": "conv", "windows": [8]}}', "does not know: windows"),
    ],
)
def test_what_is_not_known_is_named(text: str, words: str) -> None:
    with pytest.raises(CheckpointError, match=words):
        config_from_json(text)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", "512"),
        ("image_size", 512.0),
        ("image_size", True),
        ("temporal_pointers", 1),
        ("sigmoid_scale", None),
        ("top_down_levels", 2),
        ("top_down_levels", [2, "3"]),
    ],
)
def test_value_of_the_wrong_type_is_named(name: str, value: Any) -> None:
    values = {**json.loads(config_to_json(FIRST_BUNDLED_CONFIG)), name: value}
    with pytest.raises(CheckpointError, match=f"{name} = "):
        config_from_json(json.dumps(values))
