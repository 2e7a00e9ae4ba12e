"""The network whose masks have the resolution of its input."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from parity_data import Draws, largest_difference
from reference_weights import random_network
from small_networks import SMALL_FINE

from napari_sam2.network import BUNDLED_CONFIG, ImageFeatures, InvertedResidualConfig, Sam2, outline
from napari_sam2.network.trunks.normalised_conv import NormalisedConv

SIDE = 64
CLICK = {"points": torch.tensor([[[30.0, 20.0]]]), "point_labels": torch.tensor([[1]])}


@pytest.fixture(scope="module")
def fine() -> Sam2:
    return random_network(SMALL_FINE)


@pytest.fixture(scope="module")
def features(fine: Sam2) -> ImageFeatures:
    return fine.encode_image(Draws(1)(1, 3, SIDE, SIDE))


def decoded(network: Sam2, features: ImageFeatures, **prompts: torch.Tensor) -> torch.Tensor:
    conditioned = network.without_memory(features.stride16)
    maps = (features.stride8, features.stride4, features.finer)
    return network.predict_masks(conditioned, *maps, multimask=True, **prompts).masks


def test_features_have_every_stride(features: ImageFeatures) -> None:
    sides = [level.shape[-1] for level in (*features.finer, features.stride4, features.stride8)]
    assert [SIDE // side for side in sides] == [1, 2, 4, 8]
    assert SIDE // features.stride16.shape[-1] == 16


def test_masks_have_the_resolution_of_the_input(fine: Sam2, features: ImageFeatures) -> None:
    assert decoded(fine, features, **CLICK).shape == (1, 3, SIDE, SIDE)
    assert fine.config.mask_stride == 1


@pytest.mark.parametrize("kind", ["points", "mask_inputs", "carried", "brightness"])
def test_every_prompt_reaches_the_masks(fine: Sam2, features: ImageFeatures, kind: str) -> None:
    given = CLICK if kind == "points" else {kind: Draws(2)(1, 1, SIDE, SIDE)}
    without, prompted = decoded(fine, features), decoded(fine, features, **given)
    # One mask goes on with a carried one: it must not be any of those without it.
    differences = [largest_difference(one, other) for one in prompted[0] for other in without[0]]
    assert min(differences) > 1e-4


def test_features_do_not_know_prompts_so_that_objects_share_them(
    fine: Sam2, features: ImageFeatures
) -> None:
    one = decoded(fine, features, **CLICK)
    points = torch.cat((CLICK["points"], CLICK["points"] + 9.0))
    labels = CLICK["point_labels"].expand(2, 1)
    conditioned = fine.without_memory(features.stride16).expand(2, -1, -1, -1)
    maps = (features.stride8, features.stride4, features.finer)
    both = fine.predict_masks(
        conditioned, *maps, points=points, point_labels=labels, multimask=True
    )
    assert largest_difference(both.masks[:1], one) < 1e-4


def test_contrast_and_brightness_of_the_input_do_not_matter(fine: Sam2) -> None:
    image = Draws(3)(1, 3, SIDE, SIDE)
    plain, changed = (fine.encode_image(each).stride16 for each in (image, 0.2 * image + 3.0))
    assert largest_difference(plain, changed) < 0.02 * float(plain.abs().max())


def test_a_constant_input_is_encoded(fine: Sam2) -> None:
    assert fine.encode_image(torch.full((1, 3, SIDE, SIDE), 0.4)).stride16.isfinite().all()


def test_trunk_has_the_shape_of_efficientnet_lite0() -> None:
    trunk = outline(BUNDLED_CONFIG).image_encoder.trunk
    assert sum(parameter.numel() for parameter in trunk.parameters()) == 2_958_848
    assert InvertedResidualConfig().map_channels == (16, 24, 40, 112, 320)


def test_folding_keeps_depthwise_and_pointwise_convolutions() -> None:
    for arguments in ({"kernel": 5, "groups": 8, "stride": 2}, {"kernel": 1}):
        with torch.inference_mode(False):
            layer = NormalisedConv(8, 8, eps=1e-3, **arguments).eval()
            layer[1].running_mean.uniform_(-1, 1)
            layer[1].running_var.uniform_(0.5, 2)
        x = Draws(4)(2, 8, 16, 16)
        assert largest_difference(layer(x), layer[1](layer[0](x))) < 1e-5


def test_dense_heads_predict_every_stride(fine: Sam2, features: ImageFeatures) -> None:
    maps = fine.dense_heads(features)
    assert [SIDE // level.objects.shape[-1] for level in maps] == [2, 4, 8, 16]
    assert all(level.offsets.shape[1] == 2 for level in maps)


def test_without_dense_heads_there_are_no_weights_of_them() -> None:
    names = outline(replace(SMALL_FINE, dense_heads=False)).state_dict()
    assert not [name for name in names if name.startswith("dense_heads")]
