"""Levels of speed: less is computed, by name, and exact computes all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2 import TrackingSession, TrackingSettings
from napari_sam2.errors import SessionError
from napari_sam2.tracking import approximations
from napari_sam2.tracking.speed_presets import SPEED_PRESETS
from napari_sam2.types import Speed, View

APPROXIMATE = [speed for speed in Speed if speed is not Speed.EXACT]


def at_speed(speed: Speed, view: View = View.AUTO) -> TrackingSettings:
    return TrackingSettings(speed=speed, view=view)


@pytest.fixture
def attended(model, monkeypatch):
    """How many spatial memory tokens each frame attends to, in grids of the input's size."""
    counts = []
    real = type(model.network).attend_memory

    def attend(network, stride16, position, memory, where, pointer_tokens, opened):
        grid = stride16.shape[2] * stride16.shape[3]
        counts.append((memory.shape[1] - pointer_tokens) / grid)
        return real(network, stride16, position, memory, where, pointer_tokens, opened)

    monkeypatch.setattr(type(model.network), "attend_memory", attend)
    return counts


@given(st.sampled_from(list(Speed)), st.integers(1, 64).map(lambda steps: 32 * steps))
def test_inputs_fit_the_network_and_are_never_larger_nor_tiny(model, speed, size):
    used = SPEED_PRESETS[speed].model(replace(model, image_size=size)).image_size
    assert used % 32 == 0
    assert min(size, 256) <= used <= size


def test_exact_leaves_nothing_out(model):
    large = replace(model, image_size=1024)
    assert SPEED_PRESETS[Speed.EXACT].model(large).image_size == 1024
    assert SPEED_PRESETS[Speed.EXACT].recent_frames(model.config) == model.config.memory_frames - 1
    assert SPEED_PRESETS[Speed.EXACT].conditioning_frames(None) is None
    assert approximations(large, TrackingSettings()) == ()


def test_every_level_says_what_it_leaves_out(model):
    large = replace(model, image_size=1024)
    assert approximations(large, at_speed(Speed.BALANCED)) == (
        "an input of 512 instead of 1024 pixels",
        "3 of 6 recent memories",
        "the nearest 4 prompted frames",
    )
    assert approximations(large, at_speed(Speed.FASTEST)) == (
        "an input of 256 instead of 1024 pixels",
        "windows around the objects instead of whole frames",
        "1 of 6 recent memories",
        "the nearest 2 prompted frames",
    )
    whole = approximations(large, at_speed(Speed.FASTEST, View.FRAME))
    assert not any("windows" in each for each in whole)


@pytest.mark.parametrize(("speed", "most"), [("exact", 7), ("balanced", 4), ("fastest", 2)])
def test_frames_attend_to_as_many_memories_as_the_level_allows(model, stack, attended, speed, most):
    session = TrackingSession(model, stack, settings=at_speed(Speed(speed)))
    session.add_points(1, 0, [(20, 20)])
    for _ in session.propagate():
        pass
    assert max(attended) == most
    assert session.labels.any(axis=(1, 2)).all()


def test_the_fastest_level_follows_objects_unless_whole_frames_are_asked_for(model, stack):
    places = []
    for view in (View.AUTO, View.FRAME):
        session = TrackingSession(model, stack, settings=at_speed(Speed.FASTEST, view))
        session.add_mask(1, 0, np.pad(np.ones((8, 8), bool), ((4, 28), (4, 36))))
        places.append(session.snapshot().tracks[0].conditioning[0].window)
    followed, whole = places
    assert (whole.height, whole.width) == (40, 48)
    assert followed.height < 40


@pytest.mark.parametrize("speed", APPROXIMATE)
def test_the_level_is_kept_in_the_session_file(model, stack, tmp_path, speed):
    session = TrackingSession(model, stack, settings=at_speed(speed))
    session.add_points(1, 2, [(20, 20)])
    session.save(tmp_path / "s.json")
    again = TrackingSession.load(tmp_path / "s.json", model, stack)
    assert again.settings.speed is speed
    assert again.approximations == session.approximations != ()


def test_an_unknown_level_is_an_error():
    with pytest.raises(SessionError, match="warp"):
        TrackingSettings(speed="warp")
