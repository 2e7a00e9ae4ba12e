"""Disks that fail while a window keeps its session: said once, with the way out; nothing lost."""

from __future__ import annotations

import errno
import os
import shutil
import threading

import numpy as np
import pytest
from napari.layers._source import layer_source
from napari.utils.notifications import notification_manager

from napari_sam2.prompts import atomic, read_session
from napari_sam2.widgets import keeper

pytestmark = pytest.mark.gl


@pytest.fixture
def kept(make_napari_viewer, make_docked_panel, blobs, folder, settled, mouse, qtbot):
    """A panel in a real window, with a click that is kept beside the image."""
    viewer = make_napari_viewer()
    with layer_source(path=str(folder / "cells.ome.tif")):
        viewer.add_image(blobs(), name="cells", contrast_limits=(0, 1000))
    panel = make_docked_panel(viewer=viewer)
    viewer.dims.set_current_step(0, 0)
    panel.start.click()
    settled(panel)
    mouse(viewer, panel.coordinator.workspace.points, [(0, 8, 8)])
    settled(panel)
    assert (folder / "cells.sam2.json").exists()
    notification_manager.records.clear()
    return panel


@pytest.fixture
def said(qtbot):
    """What was reported, once the signals are through."""

    def messages() -> list[str]:
        qtbot.wait(50)
        return [note.message for note in notification_manager.records]

    return messages


def second_click(panel, settled, mouse) -> None:
    mouse(panel.viewer, panel.coordinator.workspace.points, [(0, 12, 12)])
    settled(panel)


def has_two_clicks(path) -> bool:
    return len(read_session(path).book.get(1, 0).points) == 2


def test_folder_that_is_gone(kept, folder, sessions, settled, mouse, said):
    shutil.rmtree(folder)
    second_click(kept, settled, mouse)
    (path,) = sessions.iterdir()
    assert has_two_clicks(path)
    assert not folder.exists(), "it is not made anew: it may be a disk that was taken out"
    (message,) = said()
    assert "cells.sam2.json" in message
    assert str(path) in message
    assert "Session as…" in message
    assert kept.save.state.toolTip() == str(path)
    third = kept.coordinator.workspace.points
    mouse(kept.viewer, third, [(0, 9, 9)])
    settled(kept)
    assert len(said()) == 1, "once"


def refuse(monkeypatch, code, only=None) -> None:
    """Have every file that is opened for writing refused, or those in one folder."""
    original = atomic.Path.open

    def opened(path, mode="r", *args, **settings):
        if "x" in mode and (only is None or path.parent == only):
            raise OSError(code, os.strerror(code))
        return original(path, mode, *args, **settings)

    monkeypatch.setattr(atomic.Path, "open", opened)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO])
def test_disk_that_refuses(kept, folder, sessions, settled, mouse, said, monkeypatch, code):
    before = (folder / "cells.sam2.json").read_text()
    refuse(monkeypatch, code, only=folder)
    second_click(kept, settled, mouse)
    (path,) = sessions.iterdir()
    assert has_two_clicks(path)
    assert (folder / "cells.sam2.json").read_text() == before
    (message,) = said()
    assert os.strerror(code) in message


def test_file_that_is_held_for_a_moment(kept, folder, sessions, settled, mouse, said, monkeypatch):
    original, held = atomic.Path.replace, []

    def replaced(path, target):
        if not held:
            held.append(target)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return original(path, target)

    monkeypatch.setattr(atomic.Path, "replace", replaced)
    second_click(kept, settled, mouse)
    assert held
    assert has_two_clicks(folder / "cells.sam2.json")
    assert said() == []
    assert not sessions.exists()


def test_every_disk_is_full(kept, folder, settled, mouse, said, monkeypatch, tmp_path):
    labels = kept.coordinator.workspace.labels.data
    with monkeypatch.context() as patch:
        refuse(patch, errno.ENOSPC)
        second_click(kept, settled, mouse)
        kept.run.forward.click()
        settled(kept)
        mouse(kept.viewer, kept.coordinator.workspace.points, [(0, 9, 9)])
        settled(kept)
        (message,) = said()
        assert "No space left" in message
        assert "Session as…" in message
        assert "not kept" in kept.save.title.text()
        assert labels[3].any(), "the work goes on"
        assert list(folder.glob("*.tmp")) == []
    kept.coordinator.dialogue.name(1, "cell")
    settled(kept)
    assert len(read_session(folder / "cells.sam2.json").book.get(1, 0).points) == 3
    assert "not kept" not in kept.save.title.text()


def test_the_way_out_is_one(kept, folder, settled, mouse, said, monkeypatch, tmp_path):
    refuse(monkeypatch, errno.EROFS, only=folder)
    second_click(kept, settled, mouse)
    other = tmp_path / "stick"
    other.mkdir()
    kept.save.session_requested.emit(other / "mine.sam2.json")
    settled(kept)
    assert has_two_clicks(other / "mine.sam2.json")
    assert len(said()) == 1


def test_a_chosen_file_that_fails_costs_no_other_file(
    kept, folder, settled, mouse, said, monkeypatch, tmp_path
):
    other = tmp_path / "stick"
    other.mkdir()
    kept.save.session_requested.emit(other / "mine.sam2.json")
    settled(kept)
    earlier = (folder / "cells.sam2.json").read_text()
    refuse(monkeypatch, errno.EIO, only=other)
    second_click(kept, settled, mouse)
    assert (folder / "cells.sam2.json").read_text() == earlier
    assert has_two_clicks(folder / "cells-2.sam2.json")
    assert len(said()) == 1


@pytest.mark.parametrize("name", ["cells · labels", "cells", "viewer"])
def test_layer_gone_while_it_is_written(
    kept, folder, settled, mouse, said, monkeypatch, name, our_threads, qtbot
):
    kept.viewer.dims.set_current_step(0, 0)
    kept.review.accept_requested.emit("here")
    settled(kept)
    mask = kept.coordinator.workspace.labels.data[0] == 1
    begun, go = threading.Event(), threading.Event()
    original = keeper.write_session

    def slow(session, path):
        begun.set()
        assert go.wait(10)
        original(session, path)

    monkeypatch.setattr(keeper, "write_session", slow)
    kept.coordinator.dialogue.name(1, "cell")
    qtbot.waitUntil(begun.is_set)
    if name == "viewer":
        kept.viewer.close()
    else:
        kept.viewer.layers.remove(name)
    go.set()
    if name == "viewer":
        qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    else:
        settled(kept)
    saved = read_session(folder / "cells.sam2.json")
    assert dict(saved.names) == {1: "cell"}
    assert np.array_equal(saved.accepted_masks[0, 1], mask)
    assert said() == []
