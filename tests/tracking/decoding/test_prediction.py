"""What is known of a decided frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_sam2.labels import PackedMask
from napari_sam2.prompts import FramePrompt
from napari_sam2.tracking.decoding.prediction import Conditioning, ObjectPrediction
from napari_sam2.tracking.images.object_window import Window

MASK = np.ones((8, 8), bool)
WHOLE = Window.whole((8, 8))
PREDICTION = ObjectPrediction(torch.ones(8, 8), 0.9, 1.0, torch.zeros(4), WHOLE)
CLICK = FramePrompt([(4, 4)])


@pytest.mark.parametrize(
    ("prompt", "definite"),
    [
        (CLICK, False),
        (FramePrompt([(4, 4), (5, 5)]), True),
        (FramePrompt([(4, 4), (7, 7)], [True, False]), True),
        (FramePrompt([(4, 4)], box=(1, 1, 6, 6)), True),
        (FramePrompt(box=(1, 1, 6, 6)), True),
        (FramePrompt([(4, 4)], mask=MASK), True),
    ],
)
def test_a_single_click_alone_is_not_definite(prompt, definite):
    decided = Conditioning(0, PackedMask.of(MASK), WHOLE, None, False, PREDICTION, prompt)
    assert decided.definite is definite
    assert replace(decided, found=True).definite, "a search has chosen the mask"
    assert replace(decided, prediction=None).definite, "drawn or accepted"
