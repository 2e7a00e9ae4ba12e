"""Disks that fail during autosave: one report that says what to do, and nothing is lost."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source
from napari.utils.notifications import notification_manager

from napari_sam2.prompts import read_session
from napari_sam2.widgets.autosave import file_store


@pytest.fixture
def keep(blobs, folder):
    """``keep(make, viewer)``: a panel with a click that is kept beside the image."""

    def begin(make, viewer):
        with layer_source(path=str(folder / "cells.ome.tif")):
            viewer.add_image(blobs(), name="cells", contrast_limits=(0, 1000))
        panel = make(viewer=viewer)
        viewer.dims.set_current_step(0, 0)
        panel.start()
        panel.wait_idle()
        panel.click(0, 8, 8)
        panel.wait_idle()
        assert (folder / "cells.sam2.json").exists()
        notification_manager.records.clear()
        return panel

    return begin


@pytest.fixture
def kept(keep, make_panel):
    """Such a panel without a window."""
    return keep(make_panel, ViewerModel())


@pytest.fixture
def kept_in_window(keep, make_napari_viewer, make_docked_panel):
    """Such a panel in a real window."""
    return keep(make_docked_panel, make_napari_viewer())


@pytest.fixture
def said(qtbot):
    """What was reported, once the signals are through."""

    def messages() -> list[str]:
        qtbot.wait(50)
        return [note.message for note in notification_manager.records]

    return messages


def second_click(panel) -> None:
    panel.click(0, 12, 12)
    panel.wait_idle()


def has_two_clicks(path) -> bool:
    return len(read_session(path).book.get(1, 0).points) == 2


@pytest.mark.gl
def test_session_moves_if_its_folder_is_gone(kept_in_window, folder, sessions, said):
    kept = kept_in_window
    shutil.rmtree(folder)
    second_click(kept)
    (path,) = sessions.iterdir()
    assert has_two_clicks(path)
    assert not folder.exists(), "it is not made anew: it may be a disk that was taken out"
    (message,) = said()
    assert "cells.sam2.json" in message
    assert str(path) in message
    assert "Session as…" in message
    assert kept.session_path == str(path)
    kept.click(0, 9, 9)
    kept.wait_idle()
    assert len(said()) == 1, "once"


def refuse(monkeypatch, code, only=None) -> None:
    """Have every file that is opened for writing refused, or those in one folder."""
    original = Path.open

    def opened(path, mode="r", *args, **settings):
        if "x" in mode and (only is None or only in path.parents):
            raise OSError(code, os.strerror(code))
        return original(path, mode, *args, **settings)

    monkeypatch.setattr(Path, "open", opened)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EIO])
def test_session_moves_if_the_disk_refuses_writes(kept, folder, sessions, said, monkeypatch, code):
    before = (folder / "cells.sam2.json").read_text()
    refuse(monkeypatch, code, only=folder)
    second_click(kept)
    (path,) = sessions.iterdir()
    assert has_two_clicks(path)
    assert (folder / "cells.sam2.json").read_text() == before
    (message,) = said()
    assert os.strerror(code) in message


def test_briefly_locked_file_is_written_later(kept, folder, sessions, said, monkeypatch):
    original, held = Path.replace, []

    def replaced(path, target):
        if not held:
            held.append(target)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return original(path, target)

    monkeypatch.setattr(Path, "replace", replaced)
    second_click(kept)
    assert held
    assert has_two_clicks(folder / "cells.sam2.json")
    assert said() == []
    assert not sessions.exists()


def test_work_continues_when_every_disk_is_full(kept, folder, said, monkeypatch, tmp_path):
    labels = kept.labels_layer.data
    with monkeypatch.context() as patch:
        refuse(patch, errno.ENOSPC)
        second_click(kept)
        kept.propagate("forward")
        kept.wait_idle()
        kept.click(0, 9, 9)
        kept.wait_idle()
        (message,) = said()
        assert "No space left" in message
        assert "Session as…" in message
        assert "not kept" in kept.save_title
        assert labels[3].any(), "the work goes on"
        assert list(folder.glob(".*.tmp")) == []
    kept.rename(1, "cell")
    kept.wait_idle()
    assert len(read_session(folder / "cells.sam2.json").book.get(1, 0).points) == 3
    assert "not kept" not in kept.save_title


def test_session_can_be_moved_to_a_chosen_file(kept, folder, said, monkeypatch, tmp_path):
    refuse(monkeypatch, errno.EROFS, only=folder)
    second_click(kept)
    other = tmp_path / "stick"
    other.mkdir()
    kept.keep_session_in(other / "mine.sam2.json")
    kept.wait_idle()
    assert has_two_clicks(other / "mine.sam2.json")
    assert len(said()) == 1


def test_failing_chosen_file_overwrites_no_other_file(kept, folder, said, monkeypatch, tmp_path):
    other = tmp_path / "stick"
    other.mkdir()
    kept.keep_session_in(other / "mine.sam2.json")
    kept.wait_idle()
    earlier = (folder / "cells.sam2.json").read_text()
    refuse(monkeypatch, errno.EIO, only=other)
    second_click(kept)
    assert (folder / "cells.sam2.json").read_text() == earlier
    assert has_two_clicks(folder / "cells-2.sam2.json")
    assert len(said()) == 1


@pytest.fixture
def held(monkeypatch, qtbot):
    """``held(panel)``: accept a mask, and hold the writing of its session; returns what ends it."""

    def hold(panel):
        panel.accept("here")
        panel.wait_idle()
        begun, go = threading.Event(), threading.Event()
        original = file_store.write_sessions

        def slow(sessions, path):
            begun.set()
            assert go.wait(10)
            original(sessions, path)

        monkeypatch.setattr(file_store, "write_sessions", slow)
        panel.rename(1, "cell")
        qtbot.waitUntil(begun.is_set)
        return go.set

    return hold


def is_complete(path: Path, mask: np.ndarray) -> bool:
    saved = read_session(path)
    assert dict(saved.names) == {1: "cell"}
    return np.array_equal(saved.accepted_masks[1, 0], mask)


@pytest.mark.parametrize("name", ["cells · labels", "cells"])
def test_session_is_complete_if_a_layer_goes_while_it_is_written(kept, folder, said, held, name):
    mask = kept.labels[0] == 1
    go_on = held(kept)
    kept.viewer.layers.remove(name)
    go_on()
    kept.wait_idle()
    assert is_complete(folder / "cells.sam2.json", mask)
    assert said() == []


@pytest.mark.gl
def test_session_is_complete_if_the_window_closes_while_it_is_written(
    kept_in_window, folder, said, held, our_threads, qtbot
):
    mask = kept_in_window.labels[0] == 1
    go_on = held(kept_in_window)
    kept_in_window.viewer.close()
    go_on()
    qtbot.waitUntil(lambda: not our_threads(), timeout=10_000)
    assert is_complete(folder / "cells.sam2.json", mask)
    assert said() == []
