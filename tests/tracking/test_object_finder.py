"""Which candidates of a search are clicked, and which of their masks are proposed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from known_masks import TINY, known_masks

from napari_sam2.detection import Candidate, DetectionSettings, FrameInput
from napari_sam2.labels import PackedMask
from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking import object_finder
from napari_sam2.tracking.decoding.prediction import Conditioning, ObjectPrediction
from napari_sam2.tracking.images.object_window import Window

SHAPE = (40, 60)
WHOLE = Window.whole(SHAPE)


def rectangle(y0: int, x0: int, y1: int, x1: int) -> PackedMask:
    mask = np.zeros(SHAPE, bool)
    mask[y0:y1, x0:x1] = True
    return PackedMask.of(mask)


@pytest.fixture
def propose(monkeypatch):
    """Proposes objects from candidates that are known, with their masks and scores."""

    def search(given: list[tuple[Candidate, PackedMask, float]]):
        candidates = [candidate for candidate, _, _ in given]
        monkeypatch.setattr(object_finder, "find_candidates", lambda *rest: candidates)
        monkeypatch.setattr(object_finder, "has_dense_heads", lambda network: True)
        clicked: list[int] = []

        def decode(points, extents, left_out):
            for number, (_, mask, score) in enumerate(given):
                if not left_out(number):
                    clicked.append(number)
                    prediction = ObjectPrediction(
                        torch.ones(4, 4), score, 1.0, torch.zeros(4), WHOLE
                    )
                    prompt = FramePrompt((points[number],))
                    decided = Conditioning(0, mask, WHOLE, None, False, prediction, prompt)
                    yield object_finder.Predicted(number, decided, mask)

        pixels = np.zeros((*SHAPE, 1), np.float32)
        proposals = object_finder.propose_objects(
            FrameInput(known_masks(config=TINY), torch.device("cpu"), 64, True, pixels),
            np.zeros(SHAPE, bool),
            decode,
            DetectionSettings(),
            lambda done: None,
            lambda predicted: None,
        )
        return clicked, proposals

    return search


def test_the_whole_of_an_object_is_found_after_a_part_of_it(propose):
    part, whole = rectangle(10, 10, 20, 30), rectangle(10, 10, 20, 50)
    clicked, (found,) = propose(
        [
            (Candidate(15, 20, 0.9, 18), part, 0.83),
            (Candidate(15, 25, 0.8, 19), whole, 0.91),
        ]
    )
    assert clicked == [0, 1]
    assert np.array_equal(found.mask.unpack(), whole.unpack())


def test_what_is_seen_as_a_small_part_of_an_object_is_not_clicked(propose):
    whole, part = rectangle(10, 10, 20, 30), rectangle(12, 12, 18, 18)
    clicked, (found,) = propose(
        [(Candidate(15, 20, 0.9, 20), whole, 0.83), (Candidate(15, 15, 0.8, 7), part, 0.95)]
    )
    assert clicked == [0]
    assert np.array_equal(found.mask.unpack(), whole.unpack())


def test_nothing_is_clicked_inside_what_is_surely_an_object(propose):
    whole, group = rectangle(10, 10, 20, 30), rectangle(10, 10, 30, 50)
    clicked, (found,) = propose(
        [(Candidate(15, 20, 0.9, 20), whole, 0.9), (Candidate(15, 25, 0.8, 60), group, 0.95)]
    )
    assert clicked == [0]
    assert np.array_equal(found.mask.unpack(), whole.unpack())


def test_after_a_doubtful_mask_every_candidate_is_clicked(propose):
    doubtful, part = rectangle(10, 10, 20, 30), rectangle(12, 12, 18, 20)
    clicked, (found,) = propose(
        [(Candidate(15, 20, 0.9, 20), doubtful, 0.6), (Candidate(15, 15, 0.8, 7), part, 0.95)]
    )
    assert clicked == [0, 1]
    assert np.array_equal(found.mask.unpack(), part.unpack())


def test_pixels_of_an_unlikely_part_are_those_of_the_whole(propose):
    granule, cell = rectangle(14, 20, 20, 26), rectangle(5, 5, 35, 55)
    others = [rectangle(0, 0, 4, 20), rectangle(0, 25, 4, 45)]
    _, found = propose(
        [
            (Candidate(17, 23, 0.9, 6), granule, 0.75),
            (Candidate(25, 45, 0.8, 50), cell, 0.7),
            *((Candidate(2, mask.columns[0], 0.7, 20), mask, 0.6) for mask in others),
        ]
    )
    assert len(found) == 4
    pitted = next(each for each in found if each.score == 0.7)
    assert pitted.mask.unpack().sum() == 1500 - 36
    flat = np.zeros(SHAPE, np.float32)
    labels = np.zeros(SHAPE, np.int32)
    labels[36:, :] = 1  # 240 pixels: the typical area is 240, and 36 are less than a sixth
    labels[36:, 55:] = 0
    kept = object_finder.mark_unlikely(found, labels, flat, DetectionSettings())
    assert [each.score for each in kept] == [0.6, 0.6, 0.7], "it is but a part of the cell"
    assert np.array_equal(kept[2].mask.unpack(), cell.unpack())
    assert kept[2].decided.pixels == kept[2].mask
    assert not any(each.unlikely for each in kept)


def test_what_is_left_of_an_unlikely_object_beside_the_others_stays_marked(propose):
    speck, cell = rectangle(4, 28, 8, 34), rectangle(7, 5, 35, 55)
    others = [rectangle(36, 0, 40, 60)]
    _, found = propose(
        [
            (Candidate(5, 30, 0.9, 6), speck, 0.75),
            (Candidate(25, 45, 0.8, 50), cell, 0.7),
            *((Candidate(38, 5, 0.7, 60), mask, 0.6) for mask in others),
        ]
    )
    labels = np.zeros(SHAPE, np.int32)
    flat = np.zeros(SHAPE, np.float32)
    kept = object_finder.mark_unlikely(found, labels, flat, DetectionSettings())
    assert [(each.score, each.unlikely) for each in kept] == [
        (0.75, True),
        (0.7, False),
        (0.6, False),
    ]
    assert kept[0].mask.unpack().sum() == 18
    assert np.array_equal(kept[1].mask.unpack(), cell.unpack())
