"""Finding the object score that separates present from absent frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundled_model.presence import PresenceSample, best_threshold
from napari_sam2.errors import EvaluationError


def sample(logits, present) -> PresenceSample:
    return PresenceSample(np.array(logits, float), np.array(present, bool))


def test_a_separable_sample_is_cut_in_the_middle():
    clean = sample([1.0, 2.0, 5.0, 6.0], [False, False, True, True])
    assert best_threshold([clean]) == pytest.approx(3.5)
    assert clean.balanced_accuracy(3.5) == 1


def test_classes_count_alike_however_rare():
    rare = sample([4.0] + [3.0] * 50 + [5.0] * 50, [False] + [True] * 100)
    assert rare.balanced_accuracy(4.5) == pytest.approx(0.75)
    assert rare.balanced_accuracy(0.0) == pytest.approx(0.5)
    assert best_threshold([rare]) == pytest.approx(4.5)


def test_stacks_without_absent_frames_say_nothing():
    full = sample([1.0, 2.0], [True, True])
    clean = sample([0.0, 4.0], [False, True])
    assert best_threshold([full, clean]) == pytest.approx(2.0)
    with pytest.raises(EvaluationError, match="leaves"):
        best_threshold([full])


@given(st.lists(st.tuples(st.floats(-9, 9), st.booleans()), min_size=2, max_size=40))
@settings(max_examples=50, deadline=None)
def test_no_other_threshold_is_better(pairs):
    logits, present = zip(*pairs, strict=True)
    one = sample(logits, present)
    if one.present.all() or not one.present.any():
        return
    best = one.balanced_accuracy(best_threshold([one]))
    for other in np.linspace(-10, 10, 41):
        assert one.balanced_accuracy(float(other)) <= best + 1e-9
