"""Labels and scores in windows: what was computed comes back, whatever the disk does meanwhile.

Sessions are real, on a small network with known masks; labels and records are on a real disk.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock
from known_masks import known_masks
from napari.components import ViewerModel
from napari.layers._source import layer_source
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QLocale

from napari_sam2.labels.store.kept_work import size_of
from napari_sam2.prompts import read_session
from napari_sam2.tracking import Model, TrackingSession
from napari_sam2.widgets.stack_panel import Wiring

N_FRAMES = 6


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(known_masks(), "tiny", torch.device("cpu"), 64)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 1000, (N_FRAMES, 40, 48)).astype(np.float32)


@pytest.fixture
def open_panel(make_panel, model, image, sources, folder, qtbot):
    """``open_panel()``: a panel in a viewer of its own, beside the image in `folder`."""

    def open_session(spec, _tell):
        return TrackingSession(model, spec.stack(), labels=spec.labels, store=spec.results)

    def make(pixels=image, viewer=None):
        if viewer is None:
            viewer = ViewerModel()
            with layer_source(path=str(folder / "cells.ome.tif")):
                viewer.add_image(pixels, name="cells", contrast_limits=(0, 1000))
        panel = make_panel(viewer=viewer, wiring=Wiring(open_session, sources))
        panel.wait_idle()
        qtbot.wait(20)  # what was found is told
        return panel

    return make


def start(panel):
    panel.viewer.dims.set_current_step(0, 2)
    panel.start()
    panel.wait_idle()
    return panel


def propagated(panel):
    start(panel)
    panel.click(2, 12, 12)
    panel.wait_idle()
    panel.next_object()
    panel.click(2, 28, 34)
    panel.wait_idle()
    panel.propagate("both")
    panel.wait_idle()
    panel.rename(2, "nucleus")
    panel.viewer.dims.set_current_step(0, 4)
    panel.accept("here")
    panel.wait_idle()
    assert panel.labels.any(axis=(1, 2)).all()
    return panel


@pytest.fixture
def worked(open_panel):
    """A panel in which two objects were propagated, one named, one mask accepted."""
    return propagated(open_panel())


def seen(panel) -> tuple:
    """Labels, records, doubts, names and acceptance."""
    records = {number: panel.records_of(number) for number in (1, 2)}
    return panel.labels.tolist(), records, panel.timeline, panel.names, panel.accepted


def released(store: Path) -> None:
    """Wait until the session that writes to a store is closed."""
    with FileLock(store / ".lock", timeout=120):
        pass


def said() -> list[str]:
    return [note.message for note in notification_manager.records]


def test_resume_shows_all_at_once_and_computes_nothing_again(worked, open_panel):
    before = seen(worked)
    worked.close()
    again = open_panel()
    again.resume()
    again.wait_idle()
    again.select_object(worked.current_object)
    assert seen(again) == before
    again.propagate("both")
    again.wait_idle()
    assert again.frames_done <= 3, "the decided frames only"
    assert seen(again)[0] == before[0]


def test_undo_ends_at_what_was_resumed_from_the_disk(worked, open_panel, folder):
    before = worked.labels
    worked.close()
    again = open_panel()
    again.resume()
    again.undo()  # while it is resumed
    again.wait_idle()
    again.rename(2, "cell")
    again.wait_idle()
    again.undo()
    again.undo()
    again.wait_idle()
    assert (again.undo_texts, again.names) == ([], {2: "nucleus"})
    assert set(again.prompted_objects) == set(again.session.prompts.object_ids()) == {1, 2}
    assert np.array_equal(again.labels, before)
    assert read_session(folder / "cells.sam2.json").book.object_ids() == (1, 2)


def test_a_reopened_panel_goes_on_from_the_disk(worked, open_panel, qtbot):
    before = seen(worked)
    worked.close()
    again = start(open_panel(viewer=worked.viewer))
    again.viewer.dims.set_current_step(0, 4)
    again.select_object(worked.current_object)
    assert seen(again) == before
    again.propagate("both")
    again.wait_idle()
    assert again.frames_done <= 3, "the decided frames only"
    assert seen(again)[0] == before[0]


def test_labels_painted_while_the_panel_is_closed_are_not_overwritten(worked, open_panel):
    labels = worked.labels_layer
    worked.close()
    labels.data[5, :3, :3] = 7
    again = start(open_panel(viewer=worked.viewer))
    assert (again.labels[5, :3, :3] == 7).all()


def test_the_space_on_disk_is_said_where_it_is_to_be_seen(worked, folder, qtbot):
    size = size_of(folder / "cells.sam2.zarr")
    assert size > 1000
    assert "scores on disk" not in worked.session_text, "folded away, nothing is measured"
    worked.unfold_save()
    text = QLocale().formattedDataSize(size)
    qtbot.waitUntil(lambda: text in worked.session_text)


@pytest.fixture
def full_disk(monkeypatch):
    """``full_disk(folder)``: nothing fits into a folder any more; returns what ends that."""

    def fill(folder: Path):
        patch = pytest.MonkeyPatch()
        real_open, real_write = Path.open, Path.write_bytes

        def open_file(path, mode="r", *args, **settings):
            if set(mode) & set("xwa+") and folder in path.parents:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return real_open(path, mode, *args, **settings)

        def write_bytes(path, data):
            if folder in path.parents:
                real_write(path, bytes(data)[: len(data) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            return real_write(path, data)

        patch.setattr(Path, "open", open_file)
        patch.setattr(Path, "write_bytes", write_bytes)
        patches.append(patch)
        return patch.undo

    patches: list[pytest.MonkeyPatch] = []
    yield fill
    for patch in patches:
        patch.undo()


def test_on_a_full_disk_labels_and_prompts_move_together(worked, folder, sessions, full_disk):
    notification_manager.records.clear()
    kept = full_disk(folder)
    worked.viewer.dims.set_current_step(0, 1)
    worked.click(1, 20, 20)
    worked.wait_idle()
    worked.propagate("both")
    worked.wait_idle()
    (results,) = sessions.glob("*.sam2.zarr")
    assert len([text for text in said() if "No space left" in text]) == 1
    assert str(sessions) in worked.session_path
    labels = worked.labels
    worked.close()
    kept()
    np.testing.assert_array_equal(stored(results), labels)


def test_results_that_cannot_be_written_are_named_and_tried_again(worked, folder, full_disk, qtbot):
    """Prompts fit where labels do not: one report, a question before closing, and a retry."""
    notification_manager.records.clear()
    end = full_disk(folder / "cells.sam2.zarr")
    worked.viewer.dims.set_current_step(0, 1)
    worked.click(1, 20, 20)
    worked.wait_idle()
    worked.propagate("both")
    worked.wait_idle()
    qtbot.waitUntil(lambda: bool(said()), timeout=20_000)
    assert len(said()) == 1
    assert "No space left" in said()[0]
    assert "not kept" in worked.session_text
    assert "labels not kept" in worked.save_title
    assert "No space left" in worked.unsaved
    end()
    worked.click(1, 21, 21)
    worked.wait_idle()
    assert worked.unsaved == ""
    assert "not kept" not in worked.session_text
    labels = worked.labels
    worked.close()
    np.testing.assert_array_equal(stored(folder / "cells.sam2.zarr"), labels)


def test_two_windows_on_one_image_keep_their_work_apart(worked, open_panel, folder):
    notification_manager.records.clear()
    other = open_panel()
    other.resume()
    other.wait_idle()
    (message,) = said()
    assert "another window" in message
    assert len(other.points) == 2, "the prompts come back"
    for panel, point in ((other, (1, 20, 20)), (worked, (5, 20, 20)), (other, (0, 12, 12))):
        panel.viewer.dims.set_current_step(0, point[0])
        panel.click(*point)
        panel.wait_idle()
    assert other.unsaved == worked.unsaved == ""
    assert {p.name for p in folder.glob("*.sam2.*")} == {
        *("cells.sam2.json", "cells.sam2.zarr", "cells-2.sam2.json", "cells-2.sam2.zarr")
    }
    for panel, name in ((worked, "cells"), (other, "cells-2")):
        labels = panel.labels
        panel.close()
        np.testing.assert_array_equal(stored(folder / f"{name}.sam2.zarr"), labels)


@pytest.mark.parametrize("seed", range(2))
def test_a_store_damaged_at_a_random_byte_shows_nothing_wrong(worked, open_panel, folder, seed):
    """The same is tried at forty bytes without a window: tests/tracking/session/test_store.py."""
    before = worked.labels
    worked.close()
    released(folder / "cells.sam2.zarr")
    store, chance = folder / "cells.sam2.zarr", random.Random(seed)
    files = sorted(each for each in store.rglob("*") if each.is_file() and each.stat().st_size)
    target = chance.choice(files)
    data = bytearray(target.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    target.write_bytes(bytes(data))
    again = open_panel()
    again.resume()
    again.wait_idle()
    for frame in range(N_FRAMES):
        plane = again.labels[frame]
        decided = np.isin(before[frame], np.unique(plane)) * before[frame]
        assert np.array_equal(plane, before[frame]) or np.array_equal(plane, decided)
    again.propagate("both")
    again.wait_idle()
    np.testing.assert_array_equal(again.labels, before)
    assert again.names == {2: "nucleus"}


def stored(folder: Path) -> np.ndarray:
    """Return the labels in a store, once the session that writes there is closed."""
    import zarr

    released(folder)
    return np.asarray(zarr.open_group(folder, mode="r")["labels"][:])


@pytest.fixture
def small_disk(tmp_path):
    """A real disk of 200 kB; skips where it cannot be had."""
    where = tmp_path / "disk"
    where.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "none", str(where)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small disk can be mounted: {error}")
    yield where
    subprocess.run(["umount", "-l", str(where)], check=True)


def fill(where: Path) -> None:
    """Write until nothing fits any more."""
    with contextlib.suppress(OSError), (where / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))


@pytest.fixture
def on_disk(small_disk, open_panel, image):
    """``on_disk()``: a panel beside the image on that disk."""
    (small_disk / "cells.tif").touch()

    def make():
        viewer = ViewerModel()
        with layer_source(path=str(small_disk / "cells.tif")):
            viewer.add_image(image, name="cells", contrast_limits=(0, 1000))
        return open_panel(viewer=viewer)

    return make


def test_a_real_disk_that_becomes_full(small_disk, on_disk, sessions):
    panel = propagated(on_disk())
    assert (small_disk / "cells.sam2.zarr").is_dir()
    notification_manager.records.clear()
    fill(small_disk)
    panel.viewer.dims.set_current_step(0, 1)
    panel.click(1, 20, 20)
    panel.wait_idle()
    panel.propagate("both")
    panel.wait_idle()
    assert ["No space left" in message for message in said()] == [True]
    assert panel.unsaved == ""
    labels = panel.labels
    panel.close()
    (results,) = sessions.glob("*.sam2.zarr")
    np.testing.assert_array_equal(stored(results), labels)


def test_a_real_folder_that_is_read_only(small_disk, on_disk, sessions):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    notification_manager.records.clear()
    panel = propagated(on_disk())
    before, (results,) = seen(panel), sessions.glob("*.sam2.zarr")
    panel.close()
    released(results)
    assert said() == []
    again = on_disk()
    again.resume()
    again.wait_idle()
    again.select_object(panel.current_object)
    assert seen(again) == before
