"""Cultures of spread cells: lives, outlines, optics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_sam2.samples.outline import (
    ANGLES,
    Manner,
    outlines,
    random_manner,
    relative_distance,
)
from synthetic.culture import random_culture
from synthetic.dish import film_dish
from synthetic.interference import differential_interference, phase_contrast


def test_outlines_keep_their_area_and_change_gently() -> None:
    rng = np.random.default_rng(1)
    contour = outlines(rng, random_manner(rng), 6, 9)
    assert contour.shape == (6, 9, ANGLES)
    np.testing.assert_allclose(np.mean(contour**2, axis=-1), 1)
    assert (contour > 0).all()
    step = np.abs(np.diff(contour, axis=0)).mean()
    unlike = np.abs(contour[0, 1:] - contour[0, :-1]).mean()
    assert 0 < step < 0.5 * unlike


def test_spindles_are_longer_than_wide_and_point_along_their_crawl() -> None:
    manner = Manner(spindles=1, fans=0, polygons=0, reach=2.0, agility=0.01, roughness=0.01)
    contour = outlines(np.random.default_rng(0), manner, 1, 40)[0]
    along = contour[:, [0, ANGLES // 2]].sum(axis=1)
    across = contour[:, [ANGLES // 4, 3 * ANGLES // 4]].sum(axis=1)
    assert (along > 1.4 * across).all()


def test_relative_distance_is_one_on_the_outline() -> None:
    contour = 1 + 0.3 * np.cos(3 * np.linspace(0, 2 * np.pi, ANGLES, endpoint=False))
    angle = np.linspace(-np.pi, np.pi, 50)
    radius = 1 + 0.3 * np.cos(3 * angle)
    u, v = (np.float32(radius) * f(angle).astype(np.float32) for f in (np.cos, np.sin))
    np.testing.assert_allclose(relative_distance(u, v, contour), 1, atol=2e-3)


def test_mothers_end_where_two_daughters_begin() -> None:
    checked = 0
    for seed in range(30):
        culture = random_culture(np.random.default_rng(seed), 7, 128)
        mothers = {mother for _, mother in culture.parents}
        for mother in mothers:
            ended = ~culture.present[:, mother - 1]
            children = [child for child, parent in culture.parents if parent == mother]
            assert len(children) == 2
            for child in children:
                assert not (culture.present[:, child - 1] & ~ended).any()
            checked += 1
    assert checked > 10


def test_phase_contrast_shows_dark_cells_in_bright_halos() -> None:
    phase = np.zeros((1, 64, 64), np.float32)
    phase[0, 24:40, 24:40] = 0.4
    light = phase_contrast(phase, halo=3.0, ring=0.8, lens=0.0)[0]
    assert light[0, 0] == pytest.approx(1, abs=1e-3)
    assert light[32, 25] < 0.85
    assert light[32, 42] > 1.05
    # shade-off: the middle of a wide cell fades towards the ground
    assert light[32, 25] < light[32, 32] < 1


def test_interference_contrast_lights_one_side_and_shades_the_other() -> None:
    y, x = np.mgrid[-32:32, -32:32].astype(np.float32)
    phase = np.exp(-(x**2 + y**2) / 200)[None]
    light = differential_interference(phase, angle=0.0, bias=0.6)[0]
    assert light[32, 22] > 1.1
    assert light[32, 42] < 0.9
    assert light[0, 0] == pytest.approx(1, abs=1e-3)


def test_cells_move_relative_to_each_other_and_touch() -> None:
    touching, moved = 0, []
    for seed in range(8):
        footage = film_dish(np.random.default_rng(seed), 6, 128)
        owner = footage.owner
        left, right = owner[:, :, :-1], owner[:, :, 1:]
        touching += int(((left != right) & (left > 0) & (right > 0)).sum())
        both = [i for i in np.unique(owner[0]) if i and (owner[-1] == i).any()]
        ends = [np.array(ndimage.center_of_mass(owner[-1] == i)) for i in both]
        starts = [np.array(ndimage.center_of_mass(owner[0] == i)) for i in both]
        if len(both) > 2:
            steps = np.array(ends) - np.array(starts)
            moved.append(float(np.std(steps - np.median(steps, axis=0))))
    assert touching > 300
    assert np.median(moved) > 1
