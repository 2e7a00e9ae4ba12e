"""Panels in real viewers, on real sessions or on a double that can be slow or broken.

The fixtures hand out pages (`PanelPage`): tests click and read, and know no class behind a panel.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
import pytest
from blob_session import Script
from napari.components import ViewerModel
from npe2 import PluginManager
from panel_page import PanelPage
from qtpy.compat import isalive

from napari_sam2.widgets.stack_panel import StackPanel, Wiring
from napari_sam2.widgets.state.model_catalog import ModelEntry
from napari_sam2.widgets.state.settings import ModelUse, store_defaults
from napari_sam2.widgets.worker.model_fetcher import Sources
from napari_sam2.widgets.worker.thread import THREAD_NAME

ENTRIES = (
    ModelEntry("bundled", "Bundled", "Small.", "BSD-3-Clause", None, True),
    ModelEntry("sam2.1-tiny", "SAM 2.1 tiny", "Fast.", "Apache-2.0", 156_008_466, False),
)


@pytest.fixture(scope="session", autouse=True)
def plugins_found_once() -> Iterator[None]:
    """Read the manifests of all plugins for the first window, not for each again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PluginManager, "discover", cache(PluginManager.discover))
        yield


@pytest.fixture(autouse=True)
def sessions(monkeypatch, tmp_path):
    """The folder for sessions of images that came from no file: of each test its own."""
    folder = tmp_path / "sessions"
    monkeypatch.setenv("NAPARI_SAM2_SESSIONS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch):
    """What is saved and measured a third of a second after a change, for users, is so at once.

    Tests wait for it several hundred times.
    """
    controllers = "napari_sam2.widgets.controllers"
    monkeypatch.setattr(f"{controllers}.autosave._EVERY_MS", 5)
    monkeypatch.setattr(f"{controllers}.results.live_results._LEAST_MS", 10)


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()
    yield script
    script.gate.set()


@pytest.fixture
def sources() -> Sources:
    """Models and devices without torch and without a network."""

    def fetch(name, progress, cancelled):
        raise AssertionError("nothing may be downloaded unasked")

    return Sources(lambda: ENTRIES, lambda: ("cpu",), fetch)


def _blobs(shape: tuple[int, ...] = (6, 40, 50)) -> np.ndarray:
    image = np.zeros(shape, np.uint16)
    planes = image.reshape(-1, *shape[-2:])
    for i, plane in enumerate(planes):
        shift = i % shape[-3] if len(shape) > 2 else 0
        plane[5:15, 5 + shift : 15 + shift] = 1000
        plane[22:34, 25 - shift : 38 - shift] = 800
    return image


@pytest.fixture
def blobs():
    """``blobs(shape)``: two bright squares that drift along the third axis from behind."""
    return _blobs


def _threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith(THREAD_NAME)]


@pytest.fixture
def our_threads():
    """``our_threads()``: names of the threads of all panels that live."""
    return _threads


@pytest.fixture
def wait_until(qtbot) -> Callable[..., None]:
    """``wait_until(condition, timeout)`` as of qtbot, which looks every 10 ms only."""

    def wait(condition: Callable[[], bool], timeout: int = 5_000) -> None:
        end = time.monotonic() + timeout / 1000
        while not condition():
            assert time.monotonic() < end, f"it is not so within {timeout} ms"
            qtbot.wait(2)

    return wait


@pytest.fixture
def make_panel(qtbot, wait_until, script, sources):
    """A panel beside an image in a viewer without a window: ``make_panel(image, **settings)``."""
    pages = []

    def make(
        image=None, viewer=None, wiring=None, keep_settings=False, kind=StackPanel, **settings
    ) -> PanelPage:
        if not keep_settings:
            store_defaults(ModelUse())
        viewer = ViewerModel() if viewer is None else viewer
        if image is not None:
            viewer.add_image(image, contrast_limits=(0, 1000), name="blobs", **settings)
        widget = kind(viewer, wiring or Wiring(script.open, sources))
        pages.append(PanelPage(widget, viewer, wait_until, lambda: len(script.told)))
        return pages[-1]

    yield make
    script.gate.set()
    for page in pages:
        page.close()
        page.viewer = None
        if isalive(page.widget):
            page.widget.deleteLater()
    pages.clear()
    wait_until(lambda: not _threads(), timeout=60_000)


@pytest.fixture
def make_docked_panel(make_napari_viewer, make_panel):
    """The same in the dock of a real window, which needs a screen."""

    def make(image=None, viewer=None, **settings) -> PanelPage:
        viewer = viewer or make_napari_viewer()
        panel = make_panel(image, viewer=viewer, **settings)
        viewer.window.add_dock_widget(panel.widget, name="SAM 2")
        return panel

    return make


def _start(panel: PanelPage) -> PanelPage:
    panel.viewer.dims.set_current_step(0, 0)
    panel.start()
    panel.wait_idle()
    return panel


@pytest.fixture
def started(make_panel, blobs):
    """A panel that has been started on two blobs that drift through six frames."""
    return _start(make_panel(blobs()))


@pytest.fixture
def docked(make_docked_panel, blobs):
    """The same in a real window."""
    return _start(make_docked_panel(blobs()))


@pytest.fixture
def folder(tmp_path):
    """The folder of an image on disk."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "cells.ome.tif").touch()
    return folder
