"""Every test run: its own settings and caches, one thread per worker, a screen or a clear skip."""

from __future__ import annotations

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    import torch

    from napari_sam2.tracking import Model

_HOME = Path(tempfile.mkdtemp(prefix="napari-sam2-tests-"))

# Before napari, torch or the model cache are first imported: never the settings or models of
# whoever runs the tests.
os.environ["NAPARI_CONFIG"] = str(_HOME / "napari-settings.yaml")
os.environ["NAPARI_SAM2_CACHE"] = str(_HOME / "models")
os.environ["NAPARI_SAM2_SESSIONS"] = str(_HOME / "sessions")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # Threads of torch that wait for each other sleep: spinning, they keep other workers waiting,
    # and in the end themselves. Processes that tests start inherit it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A busy machine is no failure.
_ANY_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("patient", _ANY_TIME, max_examples=50)
settings.register_profile("thorough", _ANY_TIME, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "patient"))

_SCREENLESS = {"offscreen", "minimal", "minimalegl"}


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Fall back to Qt's offscreen platform where neither a screen nor Xvfb is to be had."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if config.getoption("dist", "no") != "no" and not is_worker:
        return  # pytest-xvfb gives each worker its own screen, and none to their controller
    has_screen = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    if sys.platform.startswith("linux") and not has_screen:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


def pytest_unconfigure() -> None:
    """Remove the run's settings and caches."""
    shutil.rmtree(_HOME, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, the tests that need what this machine has not."""
    if os.environ.get("QT_QPA_PLATFORM") in _SCREENLESS:
        reason = "needs OpenGL: no screen here and no Xvfb (on Debian: apt-get install xvfb)"
        _skip(items, "gl", reason)
    if any(item.get_closest_marker("gpu") for item in items):
        from gpus import NO_GPU, real_gpu  # loads torch

        if real_gpu() is None:
            _skip(items, "gpu", NO_GPU)
    if any(item.get_closest_marker("stored_choices") for item in items):
        from napari import settings

        if not hasattr(settings, "get_plugin_settings"):
            _skip(items, "stored_choices", "napari keeps what users choose from 0.9 on")


def pytest_collection_finish() -> None:
    """Leave what is imported by now out of all later searches for garbage.

    Without this, each full search looks at half a million objects of torch and napari again.
    """
    gc.collect()
    gc.freeze()


def _skip(items: list[pytest.Item], marker: str, reason: str) -> None:
    for item in items:
        if item.get_closest_marker(marker) is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def kept_model() -> Callable[..., Model]:
    """`load_model` that loads the bundled model once: nothing changes a model that it is given."""
    from napari_sam2.tracking import load_model

    bundled = cache(partial(load_model, "bundled"))

    def load(name: str = "bundled", *args: Any, **options: Any) -> Model:
        return (bundled if name == "bundled" else partial(load_model, name))(*args, **options)

    return load


@pytest.fixture
def bundled_stays_loaded(kept_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch) -> None:
    """What loads the bundled model in a test is given that of the tests before."""
    monkeypatch.setattr("napari_sam2.tracking.load_model", kept_model)


@pytest.fixture(scope="module")
def small_matrices() -> Iterator[None]:
    """The speed of this machine is measured on matrices of 256 rows, not on 2048, in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("napari_sam2.benchmarking.roofline._SIDE", 256)
        yield


_PLACES = ["pretended", pytest.param("real", marks=pytest.mark.gpu)]


@pytest.fixture(params=_PLACES)
def gpu(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """A GPU: one that is pretended, then the one of this machine, in full float32."""
    yield from _gpu(request.param, learns=False)


@pytest.fixture(params=_PLACES)
def learning_gpu(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """The same for tests that take gradients."""
    yield from _gpu(request.param, learns=True)


def _gpu(place: str, learns: bool) -> Iterator[torch.device]:
    from gpus import full_float32, real_gpu
    from pretended_gpu import pretended_gpu

    if place == "pretended":
        with pretended_gpu(learns) as device:
            yield device
        return
    found = real_gpu()
    assert found is not None
    with full_float32():
        yield found
