"""Brightness relative to an object and its surroundings, whatever the contrast of the image."""

from __future__ import annotations

import pytest
import torch
from reference_weights import random_network
from small_networks import SMALL_FINE

from napari_sam2.network import (
    bright_level,
    dim_pixels,
    object_contrast,
    relative_brightness,
    remaining_contrast,
)

SIDE = 64


def disc(radius: float = 12.0) -> torch.Tensor:
    """Return a mask (1, 1, S, S) in the middle."""
    line = torch.arange(SIDE) - SIDE / 2
    return ((line[:, None] ** 2 + line**2) < radius**2)[None, None]


def picture(inside: float, outside: float) -> torch.Tensor:
    return torch.where(disc(), inside, outside)


@pytest.mark.parametrize(("inside", "outside"), [(0.8, 0.2), (0.1, 0.6), (300.0, -5.0)])
def test_one_is_as_bright_as_the_object_was_and_zero_as_its_surroundings(
    inside: float, outside: float
) -> None:
    contrast = object_contrast(picture(inside, outside), disc())
    relative = relative_brightness(picture(inside, outside), contrast)
    assert 0.8 < relative[disc()].mean() <= 1
    assert relative[~disc()].abs().max() < 0.05


def test_haze_of_a_third_of_the_brightness_has_a_third() -> None:
    contrast = object_contrast(picture(0.8, 0.2), disc())
    haze = relative_brightness(picture(0.4, 0.2), contrast)
    clear = relative_brightness(picture(0.8, 0.2), contrast)
    assert float(haze[disc()].mean()) == pytest.approx(float(clear[disc()].mean()) / 3, abs=0.01)


def test_values_stay_in_their_range() -> None:
    contrast = object_contrast(picture(0.8, 0.2), disc())
    extreme = relative_brightness(picture(1e4, -1e4), contrast)
    assert extreme.min() == -1
    assert extreme.max() == 2


def test_an_object_like_its_surroundings_says_nothing() -> None:
    noise = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    contrast = object_contrast(noise, disc())
    assert abs(contrast[0, 0] - contrast[0, 1]) < 0.15 * contrast[0, 2]
    assert relative_brightness(noise, contrast).abs().mean() < 0.5


def test_an_empty_mask_and_a_constant_image_give_zeros() -> None:
    noise = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros_like(disc())
    assert not relative_brightness(noise, object_contrast(noise, nothing)).any()
    plain = torch.full((1, 1, SIDE, SIDE), 0.3)
    assert not relative_brightness(plain, object_contrast(plain, disc())).any()


def test_objects_of_one_frame_have_contrasts_of_their_own() -> None:
    image = picture(0.8, 0.2)
    masks = torch.cat((disc(), ~disc()))
    both = object_contrast(image, masks)
    assert both.shape == (2, 3)
    assert torch.allclose(both[0, :2], torch.tensor([0.8, 0.2]), atol=1e-5)
    assert both[1, 0] == pytest.approx(0.2, abs=1e-5)


def test_features_know_the_pixels_that_they_were_made_of() -> None:
    network = random_network(SMALL_FINE)
    images = 3.0 + 0.1 * torch.randn(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    features = network.encode_image(images)
    grey = images.mean(dim=1, keepdim=True)
    torch.testing.assert_close(features.pixels, grey, atol=1e-4, rtol=1e-4)
    part = features.frame(1).part(1, 0, 2, features.position[..., :2, :2])
    torch.testing.assert_close(part.pixels, grey[1:, :, 16:48, :32], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("now", "left"), [(0.8, 1.0), (0.35, 0.25), (0.2, 0.0), (0.05, -0.125)])
def test_what_is_left_of_a_contrast_is_a_share_of_it(now: float, left: float) -> None:
    contrast = object_contrast(picture(0.8, 0.2), disc())
    found = remaining_contrast(picture(now, 0.2), disc(), contrast)
    assert float(found) == pytest.approx(left, abs=0.02)


def test_a_dark_object_that_turns_as_bright_as_its_surroundings_has_nothing_left() -> None:
    contrast = object_contrast(picture(0.1, 0.6), disc())
    assert float(remaining_contrast(picture(0.6, 0.6), disc(), contrast)) == pytest.approx(
        0, abs=0.02
    )


def test_of_what_never_stood_out_all_is_left() -> None:
    noise = torch.randn(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    contrast = object_contrast(noise, disc())
    assert remaining_contrast(-noise - 3, disc(), contrast).tolist() == [1.0]
    assert remaining_contrast(picture(0, 1), disc(), torch.zeros(1, 3)).tolist() == [1.0]


def test_of_an_empty_mask_nothing_is_said() -> None:
    contrast = object_contrast(picture(0.8, 0.2), disc())
    assert remaining_contrast(picture(0.2, 0.2), disc() & False, contrast).tolist() == [1.0]


@pytest.mark.parametrize("shift", [-0.5, 0.3])
def test_in_changing_light_half_of_how_an_object_stands_out_now_is_left(shift: float) -> None:
    contrast = object_contrast(picture(0.8, 0.2), disc())
    dimmed = picture(0.5 + shift, 0.2 + shift)  # half of the contrast, in another light
    now = float(remaining_contrast(dimmed, disc(), contrast))
    assert now == pytest.approx(max(0.5 + shift / 0.6, 0.25), abs=0.02)


def test_the_haze_beyond_an_object_has_no_border_and_little_left() -> None:
    contrast = object_contrast(picture(0.8, 0.2), disc())
    line = torch.arange(SIDE) - SIDE / 2
    haze = 0.2 + 0.02 * torch.exp(-(line[:, None] ** 2 + line**2) / 800)[None, None]
    assert float(remaining_contrast(haze, disc(), contrast)) < 0.05


RADIUS = 25.0  # of an object in a window of the bundled model, of 128 pixels


def distances() -> torch.Tensor:
    """Return distances from the middle of such a window, (1, 1, 128, 128), in radii."""
    line = torch.arange(128) - 64.0
    return (line[:, None] ** 2 + line**2).sqrt()[None, None] / RADIUS


def blurred(radius: float, edge: float = 0.1) -> torch.Tensor:
    """Return a disc of brightness 0..1 whose border is soft."""
    return ((radius - distances()) / edge).sigmoid()


def whole() -> torch.Tensor:
    return distances() < 1


@pytest.mark.parametrize(("inside", "outside"), [(0.8, 0.2), (0.1, 0.6)])
def test_the_level_of_an_object_lies_between_it_and_its_surroundings(inside, outside) -> None:
    image = outside + (inside - outside) * blurred(1.0)
    ((level, explained),) = bright_level(image, whole()).tolist()
    assert 0.2 < level / (inside - outside) < 0.7
    assert explained > 0.93


def test_a_level_does_not_explain_masks_of_texture_nor_a_part_of_something_bright() -> None:
    noise = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    assert bright_level(noise, whole())[0, 1] < 0.7
    half = whole() & (torch.arange(128) < 64)
    assert bright_level(blurred(1.0), half)[0, 1] < 0.85
    assert bright_level(noise, whole() & False).tolist() == [[0.0, 0.0]]


def decided(sign: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return contrast and level of a disc as it was decided."""
    image = 0.5 + 0.3 * sign * blurred(1.0)
    return object_contrast(image, whole()), bright_level(image, whole())


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_haze_around_a_smaller_slice_is_dim(sign: float) -> None:
    haze = 0.12 * torch.exp(-(distances() ** 2))
    now = 0.5 + 0.3 * sign * torch.maximum(blurred(0.6), haze)
    dim = dim_pixels(now, whole(), *decided(sign)) > 0
    assert not dim[distances() < 0.5].any()
    assert dim[(distances() > 0.85) & whole()].all()
    assert not dim[~whole()].any()


def test_a_cell_that_became_flat_has_a_border_and_stays() -> None:
    flat = 0.5 + 0.3 * torch.maximum(blurred(0.5), 0.2 * whole())
    assert not dim_pixels(flat, whole(), *decided()).any()


def test_an_object_in_dimmer_light_stays() -> None:
    assert not dim_pixels(0.1 + 0.3 * blurred(1.0), whole(), *decided()).any()


def test_where_all_of_a_mask_is_dim_it_is_not_emptied() -> None:
    haze = 0.5 + 0.02 * torch.exp(-(distances() ** 2))
    assert not dim_pixels(haze, whole(), *decided()).any()


def test_a_dark_spot_inside_an_object_is_its_own() -> None:
    haze = 0.12 * torch.exp(-(distances() ** 2))
    spotted = 0.5 + 0.3 * torch.maximum(blurred(0.6), haze) * (distances() > 0.1)
    dim = dim_pixels(spotted, whole(), *decided()) > 0
    assert dim[(distances() > 0.85) & whole()].all()
    assert not dim[distances() < 0.5].any()


@pytest.mark.parametrize("known", ["contrast", "level"])
def test_where_nothing_is_known_nothing_is_dim(known: str) -> None:
    contrast, level = decided()
    contrast = contrast if known == "contrast" else torch.zeros_like(contrast)
    level = level if known == "level" else torch.zeros_like(level)
    nothing = torch.full((1, 1, 128, 128), 0.5)
    assert not dim_pixels(nothing, whole(), contrast, level).any()


def test_a_mask_that_fills_its_window_is_left_alone() -> None:
    everywhere = torch.ones_like(whole())
    assert not dim_pixels(0.5 + 0.3 * blurred(0.6), everywhere, *decided()).any()
