"""Sessions whose model sees windows that follow objects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam2 import load_model
from napari_sam2.errors import SessionError
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings, View
from napari_sam2.tracking.decoding.prompt_decoding import seen_from
from napari_sam2.tracking.images.feature_cache import FeatureCache
from napari_sam2.tracking.images.object_window import Window

FOLLOWING = TrackingSettings(view=View.OBJECT, max_hole=0, min_island=0, clicked_part=False)


@pytest.fixture(scope="module")
def drifting() -> tuple[np.ndarray, np.ndarray]:
    """A bright disc of 9 pixels' radius that crosses a noisy frame of 300 x 300, and its mask."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:300, :300]
    centres = [(60 + 3 * t, 80 + 5 * t) for t in range(8)]
    truth = np.stack([(yy - y) ** 2 + (xx - x) ** 2 < 81 for y, x in centres])
    image = rng.normal(60, 6, truth.shape) + 120 * truth
    return image.astype(np.uint8), truth


def iou(one: np.ndarray, two: np.ndarray) -> float:
    return float((one & two).sum() / (one | two).sum())


def test_a_small_object_is_followed_across_a_large_frame(drifting):
    image, truth = drifting
    model = load_model("bundled", device="cpu")
    session = TrackingSession(model, image, settings=TrackingSettings(view="object"))
    session.add_points(1, 0, [(60, 80)])
    list(session.propagate())
    assert min(iou(session.labels[t] == 1, truth[t]) for t in range(8)) > 0.7


def test_masks_lie_in_the_window(model, stack):
    large = np.pad(stack, ((0, 0), (200, 200), (200, 200)), mode="reflect")
    session = TrackingSession(model, large, settings=FOLLOWING, keep_logits=True)
    result = session.add_box(1, 3, (210, 215, 230, 235))
    rows, columns = np.nonzero(result.masks[0])
    assert rows.size
    assert rows.min() >= 185
    assert columns.max() <= 260
    assert result.logits[0, 0, 0] < -100
    for tracked in session.propagate():
        assert tracked.masks.shape == (1, *large.shape[1:])


def test_objects_with_windows_of_their_own_do_not_depend_on_chunks(model, stack):
    boxes = {1: (2, 2, 12, 12), 2: (20, 30, 32, 44), 3: (5, 25, 15, 35)}
    labels = []
    for chunk in (1, 3):
        settings = replace(FOLLOWING, object_chunk=chunk)
        session = TrackingSession(model, stack, settings=settings)
        for object_id, box in boxes.items():
            session.add_box(object_id, 5, box)
        list(session.propagate())
        labels.append(session.labels.copy())
    assert (labels[0] != labels[1]).mean() < 0.02


def test_a_session_file_replays_windows(model, stack, tmp_path):
    session = TrackingSession(model, stack, settings=FOLLOWING)
    session.add_points(1, 4, [(20, 24)])
    session.add_points(1, 4, [(5, 40)], [False])
    list(session.propagate())
    session.save(tmp_path / "a.sam2.json")
    again = TrackingSession.load(tmp_path / "a.sam2.json", model, stack)
    assert again.settings == FOLLOWING
    list(again.propagate())
    np.testing.assert_array_equal(again.labels, session.labels)


def test_corrections_and_accepted_absence_go_with_windows(absent_model, stack):
    session = TrackingSession(absent_model, stack, settings=FOLLOWING)
    session.add_mask(1, 2, np.pad(np.ones((8, 8), bool), ((10, 22), (10, 30))))
    list(session.propagate())
    assert not session.labels[3].any()
    session.accept_all(3)
    result = session.add_points(1, 6, [(12, 14)])
    assert result.frame == 6
    list(session.propagate())


def test_the_view_of_a_model_is_what_it_was_trained_for(model, stack):
    network = model.network
    small = Model(network, "tiny", torch.device("cpu"), 64)
    assert not small.config.object_windows
    with pytest.raises(SessionError, match="view"):
        TrackingSettings(view="inside")


def test_features_are_kept_by_frame_and_window(model, stack):
    cache = FeatureCache(model, FrameStack(stack), capacity=3)
    one, two = Window(0, 0, 24, 24), Window(4, 8, 24, 24)
    both = cache.get(0, [one, two, one])
    assert both.stride16.shape[0] == 3
    torch.testing.assert_close(both.stride16[0], both.stride16[2])
    cache.get(0, [one, two])
    assert cache.encoded == 2
    # Encoded alone it may differ in the last bits: what is kept belongs to those beside it.
    alone = cache.get(0, [two])
    assert cache.encoded == 3
    torch.testing.assert_close(both.stride16[1:2], alone.stride16)
    cache.get(1, [one])
    cache.get(2, [one])
    assert len(cache) == 3
    cache.get(0, [one])
    assert cache.encoded == 6


def test_logits_are_seen_from_another_window():
    yy, xx = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    logits = yy + 0.5 * xx
    window, other = Window(0, 0, 16, 16), Window(4, 2, 16, 16)
    moved = seen_from(logits, window, other)
    torch.testing.assert_close(moved[:12, :14], logits[4:, 2:])
    assert (moved[13:] == -10).all()
    assert seen_from(logits, window, window) is logits


def test_a_box_gives_the_same_mask_in_a_mirror():
    """Only what looks both ways does, with a network that has no such symmetry."""
    rng = np.random.default_rng(1)
    yy, xx = np.mgrid[:96, :128]
    blob = (yy - 40) ** 2 / 2 + (xx - 70 + (yy - 40) / 3) ** 2 < 90
    frame = (rng.normal(60, 25, blob.shape) + 60 * blob).clip(0, 255).astype(np.uint8)[None]
    model = load_model("bundled", device="cpu")

    def logits(image, box):
        session = TrackingSession(model, image, contrast=(0, 255), keep_logits=True)
        result = session.add_box(1, 0, box)
        assert result.masks.any()
        return result.logits[0].clip(-20, 20)

    straight = logits(frame, (27, 58, 53, 82))
    mirrored = logits(frame[:, :, ::-1].copy(), (27, 127 - 82, 53, 127 - 58))
    np.testing.assert_allclose(mirrored[:, ::-1], straight, atol=0.02)


@pytest.mark.parametrize(("object_", "left"), [(180, 63), (180, 45), (20, 70)])
def test_what_stood_out_and_no_longer_does_is_gone(object_, left):
    """A pale or dark shadow of the object, as haze beyond its end makes one, is not the object."""
    rng = np.random.default_rng(2)
    yy, xx = np.mgrid[:120, :120]
    disc = (yy - 60) ** 2 + (xx - 58) ** 2 < 196
    image = rng.normal(60, 3, (8, 120, 120))
    image[:4, disc] += object_ - 60
    image[4:, disc] += left - 60
    session = TrackingSession(load_model("bundled", device="cpu"), image.astype(np.uint8))
    session.add_box(1, 1, (45, 43, 75, 73))
    list(session.propagate())
    assert [bool((frame == 1).any()) for frame in session.labels] == [True] * 4 + [False] * 4
