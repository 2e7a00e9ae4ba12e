"""Neuropil: membranes of one width, organelles that are no borders, neurites through slices."""

from __future__ import annotations

import numpy as np

from synthetic import random_clip
from synthetic.electron import film_neuropil
from synthetic.neuropil import neurites, organelles


def test_organelles_lie_in_their_hosts_and_have_no_ids_of_their_own() -> None:
    rng = np.random.default_rng(3)
    cells = neurites(rng, 10, 128)
    inside = organelles(rng, cells, 128)
    assert set(inside.ids) <= set(cells.ids)
    assert np.median(inside.a) < np.median(cells.a[:, np.isin(cells.ids, inside.ids)])


def test_nearly_every_pixel_has_an_owner() -> None:
    owned = [np.mean(film_neuropil(np.random.default_rng(s), 2, 96).owner > 0) for s in range(8)]
    assert np.mean(owned) > 0.8


def test_borders_are_darker_than_cell_bodies() -> None:
    darker = []
    for seed in range(10):
        clip = random_clip(np.random.default_rng(seed), 1, 160, "neuropil")
        image, labels = clip.image[0].astype(float), clip.labels[0]
        border = np.zeros(labels.shape, bool)
        border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
        border[1:] |= labels[1:] != labels[:-1]
        darker.append(np.median(image[border]) < np.median(image[~border]))
    assert 0.6 < np.mean(darker) <= 1


def test_neurites_go_on_from_slice_to_slice() -> None:
    kept = []
    for seed in range(6):
        labels = random_clip(np.random.default_rng(seed), 4, 96, "neuropil").labels
        kept.append(np.mean(labels[0] == labels[1]))
    assert np.mean(kept) > 0.75
