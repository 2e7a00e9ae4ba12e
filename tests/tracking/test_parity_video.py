"""Whole videos through the public session against what the reference computed.

SAM 2 and 2.1 differ little in code: of SAM 2, two of the five videos are enough by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from parity_data import Scenario, largest_difference, scenarios, stored
from reference_weights import random_network, set_object_score_bias

from napari_sam2.network import OFFICIAL_CONFIGS, ImageFeatures, Sam2, upsample_masks
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings
from napari_sam2.types import FrameMasks

TOLERANCE = 0.02
SIZE = 256
# From the 240 x 320 frames of the prompts to the square ones that were stored.
Y_SCALE, X_SCALE = SIZE / 240, SIZE / 320
EXACT = TrackingSettings.like_reference()

VIDEOS = [("2.1", name) for name in scenarios()] + [
    ("2.0", name) for name in ("middle_backward", "two_conditioning")
]


@pytest.fixture(scope="module")
def networks() -> dict[str, Sam2]:
    return {
        "2.1": random_network(OFFICIAL_CONFIGS["sam2.1-tiny"]),
        "2.0": random_network(OFFICIAL_CONFIGS["sam2-tiny"]),
    }


@pytest.fixture(autouse=True, scope="module")
def encoded_once() -> Iterator[None]:
    """The videos are of the same frames: each network encodes them for the first one only."""
    encode, known = Sam2.encode_image, {}

    def remembered(network: Sam2, images: torch.Tensor) -> ImageFeatures:
        key = (id(network), tuple(images.shape), images.numpy().tobytes())
        if key not in known:
            known[key] = encode(network, images)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sam2, "encode_image", remembered)
        yield


def upsampled(masks: np.ndarray) -> np.ndarray:
    """Bring (N, 64, 64) logits to the size of the frames."""
    return upsample_masks(torch.from_numpy(masks)[None], SIZE, SIZE)[0].numpy()


def give(session: TrackingSession, prompt: dict[str, Any]) -> FrameMasks:
    place = (prompt["object_id"], prompt["frame"])
    if "points" in prompt:
        points = [(y * Y_SCALE, x * X_SCALE) for x, y in prompt["points"]]
        return session.add_points(*place, points, prompt["positive"])
    if "box" in prompt:
        x0, y0, x1, y1 = prompt["box"]
        return session.add_box(*place, (y0 * Y_SCALE, x0 * X_SCALE, y1 * Y_SCALE, x1 * X_SCALE))
    x0, y0, x1, y1 = prompt["mask_rectangle"]
    mask = torch.zeros(1, 1, 240, 320)
    mask[..., y0:y1, x0:x1] = 1
    mask = torch.nn.functional.interpolate(mask, size=(SIZE, SIZE), mode="bilinear", antialias=True)
    return session.add_mask(*place, mask[0, 0].numpy() >= 0.5)


@pytest.mark.parametrize(("version", "name"), VIDEOS)
def test_video(networks: dict[str, Sam2], version: str, name: str) -> None:
    scenario: Scenario = scenarios()[name]
    theirs = {
        key.removeprefix(f"{name}/"): array
        for key, array in stored(f"sam{version.removesuffix('.0')}_video").items()
        if key.startswith(f"{name}/")
    }
    network = networks[version]
    set_object_score_bias(network, scenario.object_score_bias)
    model = Model(network, "random", torch.device("cpu"), image_size=SIZE)
    frames = stored("video_frames")["frames"]
    session = TrackingSession(model, frames, keep_logits=True, settings=EXACT)

    clicked = [give(session, prompt).logits[0] for prompt in scenario.prompts]
    expected = upsampled(theirs["click_masks"])
    assert largest_difference(clicked, expected) < TOLERANCE

    results = {each.frame: each for each in session.propagate(scenario.direction)}
    assert sorted(results) == sorted(theirs["frames"].tolist())
    given = {(prompt["object_id"], prompt["frame"]) for prompt in scenario.prompts}
    for index, frame in enumerate(theirs["frames"].tolist()):
        found = results[frame]
        assert largest_difference(found.logits, upsampled(theirs["track_masks"][index])) < TOLERANCE
        presence = 1 / (1 + np.exp(-theirs["track_object_scores"][index]))
        for row, object_id in enumerate(found.object_ids):
            # Where a mask was given the reference puts a score in the decoder's place, and we
            # hand out the mask as drawn.
            if (object_id, frame) not in given:
                assert abs(found.presence[row] - presence[row]) < 1e-3
                assert np.array_equal(found.masks[row], found.logits[row] > 0)
