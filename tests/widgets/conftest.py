"""Panels in real viewers, on real sessions or on a double that can be slow or broken."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils._test_utils import read_only_mouse_event
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.compat import isalive
from scipy import ndimage

from napari_sam2.errors import PromptError
from napari_sam2.stack import FrameStack
from napari_sam2.types import Direction, FrameMasks
from napari_sam2.widgets.messages import SessionSpec
from napari_sam2.widgets.model_choice import Sources
from napari_sam2.widgets.opening import ModelEntry
from napari_sam2.widgets.settings import Defaults, store_defaults
from napari_sam2.widgets.stack_panel import StackPanel, Wiring
from napari_sam2.widgets.worker import THREAD_NAME

ENTRIES = (
    ModelEntry("bundled", "Bundled", "Small.", "BSD-3-Clause", None, True),
    ModelEntry("sam2.1-tiny", "SAM 2.1 tiny", "Fast.", "Apache-2.0", 156_008_466, False),
)


@dataclass
class Script:
    """How the sessions of a test behave, and what they were asked."""

    seconds: float = 0.0
    fault: Callable[[str], Exception | None] = lambda _: None
    told: list[tuple] = field(default_factory=list)
    opened: list[SessionSpec] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def open(self, spec: SessionSpec, tell: Callable[[str], None]) -> BlobSession:
        self.step("open")
        tell("Loading the model…")
        self.opened.append(spec)
        return BlobSession(self, spec)

    def step(self, *what: object) -> None:
        self.told.append(what)
        self.threads.add(threading.current_thread().name)
        assert self.gate.wait(10)
        time.sleep(self.seconds)
        fault = self.fault(str(what[0]))
        if fault is not None:
            raise fault


class BlobSession:
    """Segments the bright blob under the newest click, in the frames asked for; keeps no memory.

    For timing and faults only: what the window makes of real masks is tested on real sessions.
    """

    def __init__(self, script: Script, spec: SessionSpec) -> None:
        self._script = script
        self._stack = FrameStack(
            spec.data,
            spec.axis,
            channel_axis=spec.channel_axis,
            contrast=spec.contrast,
            at=dict(spec.at),
        )
        self._labels = spec.labels
        assert self._labels.shape == self._stack.shape
        self._seeds: dict[int, dict[int, tuple[float, float]]] = {}
        self._cancelled = threading.Event()

    def add_points(self, object_id, frame, points, positive=None) -> FrameMasks:
        self._script.step("points", object_id, frame, tuple(points), tuple(positive))
        if (13.0, 13.0) in points:
            raise PromptError("Unlucky click.", remedy="Click elsewhere.")
        return self._write(object_id, frame, points[-1])

    def set_points(self, object_id, frame, points, positive=None) -> FrameMasks:
        self._script.step("set", object_id, frame, tuple(points), tuple(positive))
        return self._write(object_id, frame, points[-1])

    def add_box(self, object_id, frame, box) -> FrameMasks:
        self._script.step("box", object_id, frame, tuple(box))
        return self._write(object_id, frame, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))

    def remove_prompts(self, object_id, frame=None) -> None:
        self._script.step("remove", object_id, frame)
        del self._seeds[object_id][frame]
        where = ... if not self._seeds[object_id] else frame
        part = self._labels[where]
        part[part == object_id] = 0

    def planned_frames(self, direction) -> int:
        return len(self._order(direction))

    def propagate(self, direction) -> Iterator[FrameMasks]:
        self._cancelled.clear()
        for frame in self._order(direction):
            if self._cancelled.is_set():
                return
            self._script.step("frame", frame)
            for object_id, seeds in self._seeds.items():
                near = min(seeds, key=lambda f: abs(f - frame))
                result = self._write(object_id, frame, seeds[near], seed=False)
            yield result

    def cancel(self) -> None:
        self._cancelled.set()

    def _order(self, direction) -> list[int]:
        starts = [frame for seeds in self._seeds.values() for frame in seeds]
        forward = list(range(min(starts), self._stack.n_frames))
        backward = list(range(max(starts), -1, -1))
        return {
            Direction.FORWARD: forward,
            Direction.BACKWARD: backward,
            Direction.BOTH: forward + list(range(min(starts) - 1, -1, -1)),
        }[direction]

    def _write(self, object_id, frame, point, seed=True) -> FrameMasks:
        if seed:
            self._seeds.setdefault(object_id, {})[frame] = point
        blobs, _ = ndimage.label(self._stack.read(frame).mean(axis=-1) > 0.5)
        here = blobs[tuple(np.clip(np.rint(point).astype(int), 0, np.array(blobs.shape) - 1))]
        mask = (blobs == here) & (here > 0)
        plane = self._labels[frame]
        plane[plane == object_id] = 0
        plane[mask] = object_id
        scores = np.ones(1, np.float32)
        return FrameMasks(frame, (object_id,), mask[None], scores, scores)


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
def make_panel(qtbot, script, sources):
    """A panel beside an image in a viewer without a window: ``make_panel(image, **settings)``."""
    panels = []

    def make(image=None, viewer=None, wiring=None, keep_settings=False, **settings) -> StackPanel:
        if not keep_settings:
            store_defaults(Defaults())
        viewer = ViewerModel() if viewer is None else viewer
        if image is not None:
            viewer.add_image(image, contrast_limits=(0, 1000), name="blobs", **settings)
        panel = StackPanel(viewer, wiring or Wiring(script.open, sources))
        panel.viewer = viewer
        panels.append(panel)
        return panel

    yield make
    script.gate.set()
    for panel in panels:
        panel.coordinator.close()
        panel.viewer = None
        if isalive(panel):
            panel.deleteLater()
    panels.clear()
    qtbot.waitUntil(lambda: not _threads(), timeout=60_000)


@pytest.fixture
def make_docked_panel(make_napari_viewer, make_panel):
    """The same in the dock of a real window, which needs a screen."""

    def make(image=None, viewer=None, **settings) -> StackPanel:
        viewer = viewer or make_napari_viewer()
        panel = make_panel(image, viewer=viewer, **settings)
        viewer.window.add_dock_widget(panel, name="SAM 2")
        return panel

    return make


@pytest.fixture
def settled(qtbot, script):
    """Wait until nothing is under way any more."""

    def wait(panel: StackPanel) -> None:
        state = {"told": -1}

        def quiet() -> bool:
            before, state["told"] = state["told"], len(script.told)
            return before == state["told"] and panel.coordinator.idle

        qtbot.waitUntil(quiet, timeout=120_000)

    return wait


def _mouse(viewer, layer, path, modifiers=()) -> None:
    """Press, drag and release at world positions, as napari's canvas hands it to a layer."""
    kinds = ["mouse_press", *["mouse_move"] * (len(path) - 1), "mouse_release"]
    for kind, position in zip(kinds, [*path, path[-1]], strict=True):
        event = read_only_mouse_event(
            type=kind,
            is_dragging=kind == "mouse_move",
            modifiers=list(modifiers),
            position=position,
            pos=np.asarray(position[-2:], float) * 10,
            view_direction=None,
            dims_displayed=list(viewer.dims.displayed),
        )
        {
            "mouse_press": mouse_press_callbacks,
            "mouse_move": mouse_move_callbacks,
            "mouse_release": mouse_release_callbacks,
        }[kind](layer, event)


@pytest.fixture
def mouse():
    """``mouse(viewer, layer, path, modifiers)``: press, drag and release at world positions."""
    return _mouse


def _start(panel, settled) -> StackPanel:
    panel.viewer.dims.set_current_step(0, 0)
    panel.start.click()
    settled(panel)
    return panel


@pytest.fixture
def started(make_panel, blobs, settled):
    """A panel that has been started on two blobs that drift through six frames."""
    return _start(make_panel(blobs()), settled)


@pytest.fixture
def docked(make_docked_panel, blobs, settled):
    """The same in a real window."""
    return _start(make_docked_panel(blobs()), settled)
