"""Candidates of the dense heads: inside objects, each once, the best first."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from napari_sam2 import load_model
from napari_sam2.detection import DetectionSettings, FrameInput, find_candidates
from napari_sam2.samples import nuclei_stack


@pytest.fixture(scope="module")
def searched():
    model = load_model("bundled", device="cpu")
    sample = nuclei_stack(3, (8, 224, 224))
    pixels = sample.image[4].astype(np.float32)[:, :, None]
    pixels /= np.percentile(pixels, 99.8)
    frame = FrameInput(model.network, model.device, model.image_size, True, pixels.clip(0, 1))
    done: list[float] = []
    with torch.inference_mode():
        found = find_candidates(frame, DetectionSettings(min_size=60), done.append)
    return found, sample.labels[4], done


def test_most_objects_have_a_candidate_inside(searched):
    found, truth, _ = searched
    met = {int(truth[round(each.y), round(each.x)]) for each in found} - {0}
    assert len(met) >= 0.8 * (len(np.unique(truth)) - 1)
    assert [each.score for each in found] == sorted((e.score for e in found), reverse=True)


def test_no_object_has_two_candidates_of_its_size_in_one_place(searched):
    # The frame is looked at in two scales, which see mostly the same.
    for one, other in combinations(searched[0], 2):
        apart = np.hypot(one.y - other.y, one.x - other.x)
        larger, smaller = max(one.extent, other.extent), min(one.extent, other.extent)
        assert apart > 0.15 * smaller or larger > 1.3 * smaller


def test_progress_rises_to_one(searched):
    done = searched[2]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1.0)
