"""Whole sessions on a GPU, pretended or real: no tensor is left behind, results are the CPU's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
import torch
from engine_internals import tracks_of
from known_masks import known_masks
from pretended_gpu import pretended_gpu
from session_plays import FRAMES, PLAYS, boxes_and_masks, clicks, corrections, on, played
from small_networks import SMALL_FINE

from napari_sam2.errors import DeviceError
from napari_sam2.network import image_encoder
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import Model, TrackingSession, propagation
from napari_sam2.tracking.decoding import prediction, prompt_decoding, prompted_frames
from napari_sam2.tracking.images.feature_cache import FeatureCache
from napari_sam2.tracking.images.frame_reader import FrameReader
from napari_sam2.tracking.images.object_window import Window


@pytest.fixture(scope="module")
def fine() -> Model:
    """A model with all that the bundled one has."""
    return Model(known_masks(config=SMALL_FINE), "fine", torch.device("cpu"), 64)


@pytest.fixture(scope="module")
def on_cpu(model, fine, noise):
    """``on_cpu(kind, play, **options)``: labels and results on the CPU in float32, played once.

    On a thread of its own, which knows nothing of a pretended GPU.
    """
    kinds = {"model": model, "fine": fine}

    @cache
    def play(kind, name, **options):
        with ThreadPoolExecutor(1) as elsewhere:
            return elsewhere.submit(played, kinds[kind], noise, PLAYS[name], **options).result()[:2]

    return play


@pytest.fixture
def on_both(model, fine, on_cpu, gpu, noise):
    """Plays on the CPU, in float32, and on a GPU; where memories are is looked at by the way."""

    def play(kind, name, half=False, borders=0.0, **options):
        labels, found = on_cpu(kind, name, **options)
        there = on({"model": model, "fine": fine}[kind], gpu, half)
        others, theirs, session = played(there, noise, PLAYS[name], **options)
        for track in tracks_of(session).values():
            for memory in track.conditioning_memory.values():
                assert memory.tokens.device == memory.pointer.device == gpu
        assert np.mean(others != labels) <= borders
        assert [each.frame for each in theirs] == [each.frame for each in found]
        return zip(found, theirs, strict=True)

    return play


@pytest.mark.parametrize("view", ["frame", "object"])
@pytest.mark.parametrize("play", PLAYS)
def test_sessions_on_a_gpu_are_those_of_the_cpu(on_both, play, view):
    for ours, theirs in on_both("model", play, view=view):
        np.testing.assert_allclose(theirs.logits, ours.logits, atol=2e-3)
        np.testing.assert_allclose(theirs.scores, ours.scores, atol=2e-4)


@pytest.mark.parametrize("play", PLAYS)
def test_sessions_with_fine_masks_on_a_gpu_are_those_of_the_cpu(on_both, play):
    for ours, theirs in on_both("fine", play):
        np.testing.assert_allclose(theirs.logits, ours.logits, atol=2e-3)


def test_tiles_on_a_gpu_are_those_of_the_cpu(fine, gpu, noise):
    crowd = [Window(8 * row, 8 * column, 32, 32) for row in range(2) for column in range(4)]
    found = []
    for here in (fine, on(fine, gpu)):
        cache = FeatureCache(here, FrameReader(FrameStack(noise)), 64, cells=4)
        features = cache.get(0, crowd)
        assert cache.encoded < len(crowd), "they share"
        found.append([features.stride16.cpu(), *(level.cpu() for level in features.finer)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(theirs, ours, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "play"), [*(("model", play) for play in PLAYS), ("fine", "boxes_and_masks")]
)
def test_sessions_on_a_gpu_in_half_precision(kind, play, on_both):
    for ours, theirs in on_both(kind, play, half=True, borders=0.02):
        np.testing.assert_allclose(theirs.logits, ours.logits, atol=0.5)
        np.testing.assert_allclose(theirs.scores, ours.scores, atol=0.05)


@pytest.mark.parametrize(
    "options",
    [
        {"speed": "fastest", "encode_ahead": 1, "read_ahead": 0, "cached_frames": 1},
        {"overlap": True, "max_conditioning": 2, "object_chunk": 1},
    ],
    ids=str,
)
def test_settings_work_on_a_gpu(on_both, options):
    list(on_both("model", "corrections", **options))


def test_a_session_file_loads_on_a_gpu(model, gpu, noise, tmp_path):
    _, _, session = played(model, noise, corrections)
    session.save(tmp_path / "s.json")
    again = TrackingSession.load(tmp_path / "s.json", on(model, gpu), noise[:FRAMES])
    list(again.propagate())
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (tmp_path / "s.json").read_text()


def test_a_gpu_that_runs_out_of_memory_goes_on_with_less(model, on_cpu, gpu, noise, monkeypatch):
    labels, _ = on_cpu("model", "corrections")
    real = type(model.network).attend_memory

    def attend(network, stride16, position, memory, *args, **kwargs):
        if len(memory) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(network, stride16, position, memory, *args, **kwargs)

    monkeypatch.setattr(type(model.network), "attend_memory", attend)
    others, _, _ = played(on(model, gpu), noise, corrections)
    np.testing.assert_array_equal(others, labels)


FAULTS = {
    "clicks": (prompt_decoding, "points_to_input", clicks),
    "drawn masks": (prediction, "mask_to_input", boxes_and_masks),
    "statistics": (image_encoder, "_statistics", clicks),
    "memories": (propagation, "encode_memory", clicks),
    "logits": (prompted_frames, "seen_from", corrections),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_left_on_the_cpu_is_found(model, noise, fault, monkeypatch):
    owner, name, play = FAULTS[fault]
    real = getattr(owner, name)

    def left_behind(*args, **kwargs):
        found = real(*args, **kwargs)
        return tuple(f.cpu() for f in found) if isinstance(found, tuple) else found.cpu()

    monkeypatch.setattr(owner, name, left_behind)
    with pretended_gpu() as device, pytest.raises(DeviceError, match="tensors of the CPU"):
        played(on(model, device), noise, play, view="object")
