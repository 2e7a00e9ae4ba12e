"""When frames cannot be read or memory runs out: a clear error, and nothing lost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_sam2.errors import DeviceError, StackError
from napari_sam2.tracking import TrackingSession, TrackingSettings


class BrokenFrame:
    """An array whose frame 7 cannot be read."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape, self.dtype = data, data.shape, data.dtype

    def __getitem__(self, index):
        frame = index[0] if isinstance(index, tuple) else index
        if np.ndim(frame) == 0 and not isinstance(frame, slice) and int(frame) == 7:
            raise OSError("chunk is gone")
        return self.data[index]


def test_an_unreadable_frame_is_named_and_labels_are_kept(model, stack):
    session = TrackingSession(model, BrokenFrame(stack), contrast=(-1.0, 1.0))
    session.add_points(1, 4, [(20, 20)])
    with pytest.raises(StackError, match="7"):
        list(session.propagate("forward"))
    assert session.planned_frames("forward") == 6, "frames 5 and 6 are done, 7 to 11 are not"
    assert len(list(session.propagate("backward"))) > 1, "the session goes on"


def test_a_prompt_on_an_unreadable_frame_leaves_no_trace(model, stack):
    session = TrackingSession(model, BrokenFrame(stack), contrast=(-1.0, 1.0))
    with pytest.raises(StackError, match="7"):
        session.add_points(1, 7, [(20, 20)])
    assert session.object_ids == ()
    assert len(session.prompts) == 0


@pytest.fixture
def limited(model, monkeypatch):
    """Let memory attention run out of memory for more than `objects` at once."""

    def limit(objects: int) -> list[int]:
        sizes: list[int] = []
        real = type(model.network).attend_memory

        def attend(network, stride16, *args, **kwargs):
            sizes.append(len(stride16))
            if len(stride16) > objects:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return real(network, stride16, *args, **kwargs)

        monkeypatch.setattr(type(model.network), "attend_memory", attend)
        return sizes

    return limit


def clicked(model, stack) -> TrackingSession:
    settings = TrackingSettings(exclusive=False)  # masks of noise coincide by chance
    session = TrackingSession(model, stack, keep_logits=True, settings=settings)
    for object_id in range(1, 6):
        session.add_points(object_id, 0, [(7 * object_id, 8 * object_id)])
    return session


def test_out_of_memory_falls_back_to_smaller_chunks(model, stack, limited):
    expected = [result.logits for result in clicked(model, stack).propagate()]
    sizes = limited(2)
    session = clicked(model, stack)
    logits = [result.logits for result in session.propagate()]
    assert max(sizes) == 5
    np.testing.assert_allclose(np.stack(logits), np.stack(expected), atol=1e-4)


def test_out_of_memory_for_one_object_is_a_clear_error(model, stack, limited):
    limited(0)
    session = clicked(model, stack)
    before = session.labels.copy()
    with pytest.raises(DeviceError, match="bundled"):
        list(session.propagate())
    np.testing.assert_array_equal(session.labels, before)


def test_other_torch_failures_become_device_errors(model, stack, monkeypatch):
    session = clicked(model, stack)

    def vanish(*args, **kwargs):
        raise RuntimeError("CUDA error: device lost")

    monkeypatch.setattr(type(model.network), "attend_memory", vanish)
    with pytest.raises(DeviceError, match="device lost"):
        list(session.propagate())


def test_inference_mode_does_not_leak_into_the_caller(model, stack):
    session = clicked(model, stack)
    for _ in session.propagate():
        assert not torch.is_inference_mode_enabled()
        torch.ones(1, requires_grad=True).sum().backward()
