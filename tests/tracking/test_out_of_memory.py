"""Memory that runs out at any stage: less at a time, or a clear error; never lost labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from engine_internals import cache_of, clear_features

from napari_sam2.errors import DeviceError
from napari_sam2.stack import FrameStack
from napari_sam2.tracking import Model, TrackingSession, TrackingSettings
from napari_sam2.tracking.decoding import mask_postprocessing

CUDA = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
ALLOCATOR = RuntimeError("[enforce fail at alloc_cpu.cpp:117] can't allocate memory")
NUMPY = MemoryError("Unable to allocate 4.00 MiB for an array with shape (1024, 1024)")

# Each stage, and what it raises where memory runs out.
STAGES = {
    "read": (FrameStack, "read", NUMPY),
    "encode": ("network", "encode_image", CUDA),
    "open": ("network", "open_memory", CUDA),
    "attend": ("network", "attend_memory", ALLOCATOR),
    "decode": ("network", "predict_masks", NUMPY),
    "remember": ("network", "encode_memory", CUDA),
    "publish": (mask_postprocessing, "finish_masks", ALLOCATOR),
    "publish without RAM": (mask_postprocessing, "finish_masks", NUMPY),
}
OF_A_CLICK = [stage for stage in STAGES if stage not in ("open", "attend", "remember")]


class Shortage:
    """Lets one stage run out of memory in chosen calls of it."""

    def __init__(self, stage: str, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        place, name, self.error = STAGES[stage]
        place = type(model.network) if place == "network" else place
        self.calls = 0
        self._fails: Callable[[int], bool] = lambda _: False
        real = getattr(place, name)

        def run(*args, **kwargs):
            self.calls += 1
            if self._fails(self.calls):
                raise self.error
            return real(*args, **kwargs)

        monkeypatch.setattr(place, name, run)

    def begin(self, fails: Callable[[int], bool]) -> None:
        self.calls, self._fails = 0, fails

    def end(self) -> None:
        self._fails = lambda _: False


@pytest.fixture
def shortage(request, model, monkeypatch) -> Shortage:
    return Shortage(request.param, model, monkeypatch)


def clicked(model, stack) -> TrackingSession:
    # Masks of noise coincide by chance; objects one by one, so that sums are rounded alike.
    settings = TrackingSettings(exclusive=False, cached_frames=2, object_chunk=1)
    session = TrackingSession(model, stack[:8], settings=settings)
    for object_id in range(1, 4):
        session.add_points(object_id, 0, [(9 * object_id, 11 * object_id)])
    return session


@pytest.fixture(scope="module")
def whole(model, noise) -> np.ndarray:
    """What comes of it with all the memory there is."""
    session = clicked(model, noise)
    list(session.propagate())
    return session.labels


@pytest.mark.parametrize("shortage", STAGES, indirect=True)
def test_a_shortage_that_passes_changes_nothing(model, noise, whole, shortage):
    session = clicked(model, noise)
    shortage.begin(lambda call: call in (2, 8, 20))
    assert len(list(session.propagate())) == 8
    assert shortage.calls > 8, "at least two calls were in vain"
    np.testing.assert_array_equal(session.labels, whole)


@pytest.mark.parametrize("shortage", STAGES, indirect=True)
def test_a_shortage_that_stays_is_a_clear_error_and_can_be_mended(model, noise, whole, shortage):
    session = clicked(model, noise)
    shortage.begin(lambda call: call >= 7)
    with pytest.raises(DeviceError, match="too little memory") as caught:
        list(session.propagate())
    assert caught.value.safe == "The labels computed so far are kept."
    assert "bundled" in caught.value.remedy
    assert caught.value.__cause__ is shortage.error
    done = np.flatnonzero(session.labels.any(axis=(1, 2)))
    assert 1 < len(done) < 8
    np.testing.assert_array_equal(session.labels[done], whole[done])
    shortage.end()
    list(session.propagate())
    np.testing.assert_array_equal(session.labels, whole)


@pytest.mark.parametrize("shortage", OF_A_CLICK, indirect=True)
def test_a_click_without_memory_leaves_no_trace(model, noise, shortage):
    session = clicked(model, noise)
    session.accept(2, 0)
    before, prompts = session.labels.copy(), session.prompts.copy()
    clear_features(session)
    shortage.begin(lambda _: True)
    for object_id, frame, positive in ((7, 5, True), (2, 0, False)):
        with pytest.raises(DeviceError, match="too little memory"):
            session.add_points(object_id, frame, [(20, 20)], [positive])
    assert session.object_ids == (1, 2, 3)
    assert session.accepted == ((2, 0),)
    assert session.prompts == prompts
    np.testing.assert_array_equal(session.labels, before)
    shortage.end()
    assert session.add_points(7, 5, [(20, 20)]).object_ids == (7,)


@pytest.fixture
def limited(model, monkeypatch):
    """Let memory attention run out of memory for more than `objects` at once."""

    def limit(objects: int) -> list[int]:
        sizes: list[int] = []
        real = type(model.network).attend_memory

        def attend(network, stride16, position, memory, *args, **kwargs):
            sizes.append(len(memory))
            if len(memory) > objects:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(network, stride16, position, memory, *args, **kwargs)

        monkeypatch.setattr(type(model.network), "attend_memory", attend)
        return sizes

    return limit


def crowded(model, stack) -> TrackingSession:
    settings = TrackingSettings(exclusive=False)
    session = TrackingSession(model, stack, keep_logits=True, settings=settings)
    for object_id in range(1, 6):
        session.add_points(object_id, 0, [(7 * object_id, 8 * object_id)])
    return session


def test_smaller_chunks_are_found_once_and_kept(model, stack, limited):
    expected = [result.logits for result in crowded(model, stack).propagate()]
    sizes = limited(2)
    session = crowded(model, stack)
    logits = [result.logits for result in session.propagate()]
    np.testing.assert_allclose(np.stack(logits), np.stack(expected), atol=1e-4)
    assert sizes[:4] == [5, 2, 2, 1]
    assert max(sizes[1:]) == 2, "no further frame fails first"


def test_too_little_for_one_object_is_a_clear_error(model, stack, limited):
    limited(0)
    session = crowded(model, stack)
    before = session.labels.copy()
    with pytest.raises(DeviceError, match="bundled"):
        list(session.propagate())
    np.testing.assert_array_equal(session.labels, before)


def test_features_kept_for_later_make_room_before_anything_fails(model, stack, monkeypatch):
    """As where other programs take the device's memory: only so many features fit beside it."""
    session = crowded(model, stack)
    cache = cache_of(session)
    real = type(model.network).encode_image

    def encode(network, images):
        if len(cache) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(network, images)

    monkeypatch.setattr(type(model.network), "encode_image", encode)
    assert len(list(session.propagate())) == len(stack)
    assert len(cache) <= 4
