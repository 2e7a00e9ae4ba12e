from __future__ import annotations

import pytest

from napari_sam2.errors import TrainingError
from napari_sam2.training import Recipe, TrainingPhase


def test_learning_rate_warms_up_and_follows_a_cosine():
    phase = TrainingPhase("a", 100, rate=1.0, final_rate=0.1, warm_up=10)
    assert phase.learning_rate(0) < 0.11
    assert phase.learning_rate(50) == pytest.approx(0.55)
    assert phase.learning_rate(100) == pytest.approx(0.1)


def test_phases_follow_each_other():
    recipe = Recipe((TrainingPhase("a", 2), TrainingPhase("b", 3, rate=1e-4, final_rate=1e-4)))
    names = [recipe.at(step)[0].name for step in range(recipe.steps)]
    assert names == ["a", "a", "b", "b", "b"]
    assert recipe.learning_rate(4) == pytest.approx(1e-4)
    with pytest.raises(TrainingError, match="5 steps"):
        recipe.at(5)


def test_every_second_step_is_the_companions():
    main = TrainingPhase("clips", 4, rate=2e-4, final_rate=2e-4, also=TrainingPhase("stills", 0))
    recipe = Recipe((TrainingPhase("first", 1), main))
    names = [recipe.at(step)[0].name for step in range(recipe.steps)]
    assert names == ["first", "clips", "stills", "clips", "stills"]
    assert recipe.learning_rate(2) == pytest.approx(2e-4)
