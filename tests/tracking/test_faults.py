"""When the device fails: a clear error, and nothing that leaks."""

from __future__ import annotations

import pytest
import torch

from napari_sam2.errors import DeviceError
from napari_sam2.tracking import TrackingSession, TrackingSettings


def clicked(model, stack) -> TrackingSession:
    settings = TrackingSettings(exclusive=False)  # masks of noise coincide by chance
    session = TrackingSession(model, stack, keep_logits=True, settings=settings)
    for object_id in range(1, 6):
        session.add_points(object_id, 0, [(7 * object_id, 8 * object_id)])
    return session


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
