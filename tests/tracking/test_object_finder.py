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
        return clicked, [each.mask for each in proposals]

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
    assert np.array_equal(found.unpack(), whole.unpack())


def test_what_is_seen_as_a_small_part_of_an_object_is_not_clicked(propose):
    whole, part = rectangle(10, 10, 20, 30), rectangle(12, 12, 18, 18)
    clicked, (found,) = propose(
        [(Candidate(15, 20, 0.9, 20), whole, 0.83), (Candidate(15, 15, 0.8, 7), part, 0.95)]
    )
    assert clicked == [0]
    assert np.array_equal(found.unpack(), whole.unpack())


def test_nothing_is_clicked_inside_what_is_surely_an_object(propose):
    whole, group = rectangle(10, 10, 20, 30), rectangle(10, 10, 30, 50)
    clicked, (found,) = propose(
        [(Candidate(15, 20, 0.9, 20), whole, 0.9), (Candidate(15, 25, 0.8, 60), group, 0.95)]
    )
    assert clicked == [0]
    assert np.array_equal(found.unpack(), whole.unpack())


def test_after_a_doubtful_mask_every_candidate_is_clicked(propose):
    doubtful, part = rectangle(10, 10, 20, 30), rectangle(12, 12, 18, 20)
    clicked, (found,) = propose(
        [(Candidate(15, 20, 0.9, 20), doubtful, 0.6), (Candidate(15, 15, 0.8, 7), part, 0.95)]
    )
    assert clicked == [0, 1]
    assert np.array_equal(found.unpack(), part.unpack())
