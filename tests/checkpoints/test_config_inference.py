from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.checkpoints import infer_config
from napari_sam2.checkpoints.config_inference import compare_shapes, network_shapes
from napari_sam2.errors import CheckpointError
from napari_sam2.network import (
    BUNDLED_CONFIG,
    FIRST_BUNDLED_CONFIG,
    OFFICIAL_CONFIGS,
    ConvTrunkConfig,
    HieraConfig,
)

OFFICIAL: dict[str, dict[str, tuple[int, ...]]] = {
    name: {key: tuple(shape) for key, shape in facts["parameters"].items()}
    for name, facts in json.loads(
        gzip.decompress((Path(__file__).parent / "data" / "official_shapes.json.gz").read_bytes())
    ).items()
}
TINY = OFFICIAL["sam2.1-tiny"]


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_network_has_exactly_the_official_parameters(name: str) -> None:
    assert network_shapes(OFFICIAL_CONFIGS[name]) == OFFICIAL[name]


@pytest.mark.parametrize("name", sorted(OFFICIAL))
def test_official_checkpoint_is_recognised(name: str) -> None:
    assert infer_config(OFFICIAL[name]) == OFFICIAL_CONFIGS[name]


def test_order_of_the_parameters_does_not_matter() -> None:
    assert infer_config(dict(reversed(TINY.items()))) == OFFICIAL_CONFIGS["sam2.1-tiny"]


def test_bundled_network_is_recognised_without_its_configuration() -> None:
    for config in (FIRST_BUNDLED_CONFIG, BUNDLED_CONFIG):
        assert infer_config(network_shapes(config)) == config


def test_half_of_the_version_switches() -> None:
    shapes = {name: shape for name, shape in TINY.items() if name != "no_obj_embed_spatial"}
    assert infer_config(shapes) == replace(OFFICIAL_CONFIGS["sam2.1-tiny"], absent_memory=False)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(TINY)), extra=st.integers(1, 100))
def test_parameter_of_another_shape_is_named(name: str, extra: int) -> None:
    other = (TINY[name][0] + extra, *TINY[name][1:])
    with pytest.raises(CheckpointError) as caught:
        infer_config({**TINY, name: other})
    if "patch_embed.proj.weight" not in name:
        assert f"{name} is {other}, not {TINY[name]}" in str(caught.value)


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(sorted(TINY.keys() - {"no_obj_embed_spatial"})))
def test_parameter_that_is_missing_is_named(name: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        infer_config({key: shape for key, shape in TINY.items() if key != name})
    wanted = "obj_ptr_tpos_proj" if name.startswith("obj_ptr_tpos_proj") else name
    assert wanted in str(caught.value)
    assert "sam2.1-tiny" in str(caught.value)


def test_parameter_that_is_unexpected_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"sam2\.1-tiny: unexpected: adapter\.weight\."):
        infer_config({**TINY, "adapter.weight": (3, 4)})


def test_only_the_first_differences_are_named() -> None:
    with pytest.raises(CheckpointError, match=r"missing: maskmem_tpos_enc, .* and 465 more\. "):
        infer_config({})


def test_blocks_per_stage_of_no_official_size_are_named() -> None:
    config = replace(OFFICIAL_CONFIGS["sam2.1-tiny"], trunk=HieraConfig(stages=(1, 2, 8, 2)))
    with pytest.raises(CheckpointError, match=r"width 96, blocks per stage \(1, 2, 8, 2\)\)"):
        infer_config(network_shapes(config))


def test_other_convolutional_trunk_is_compared_with_the_first_bundled_one() -> None:
    trunk = ConvTrunkConfig(channels=(16, 32, 64, 128), depths=(1, 1, 1, 1))
    with pytest.raises(CheckpointError, match="Against the nearest, first bundled"):
        infer_config(network_shapes(replace(FIRST_BUNDLED_CONFIG, trunk=trunk)))


@pytest.mark.parametrize(
    "shapes",
    [
        {"conv1.weight": (64, 3, 7, 7), "fc.bias": (1000,)},
        {"image_encoder.patch_embed.proj.weight": (768, 3, 16, 16), "no_obj_embed_spatial": ()},
        {"image_encoder.trunk.patch_embed.proj.weight": ()},
        {"image_encoder.trunk.blocks.0.norm2.weight": ()},
    ],
)
def test_other_architecture_is_refused(shapes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(CheckpointError, match="belong to no known SAM 2 network"):
        infer_config(shapes)


def test_configuration_of_no_network() -> None:
    config = replace(FIRST_BUNDLED_CONFIG, trunk=ConvTrunkConfig(depths=(1,)))
    with pytest.raises(CheckpointError, match="describes no SAM 2 network"):
        network_shapes(config)


def test_equal_shapes_differ_in_nothing() -> None:
    differences = compare_shapes(TINY, TINY)
    assert not differences
    assert differences.describe() == ""
