"""A background thread is busy until all its signals are delivered."""

from __future__ import annotations

import os
import sys
import threading

import pytest
from qtpy.QtCore import QObject, Qt, Signal

from napari_sam2.widgets.worker.thread import THREAD_NAME, Worker


class Voice(QObject):
    said = Signal(str)


def test_worker_is_busy_until_all_signals_are_delivered(qtbot, our_threads):
    voice, heard = Voice(), []
    voice.said.connect(heard.append, Qt.ConnectionType.QueuedConnection)
    worker = Worker("test", on_exit=lambda: None, on_end=lambda: None)
    worker.submit(lambda: voice.said.emit("one"))
    worker.submit(lambda: voice.said.emit("two"))
    worker.finish()
    worker.stop_with_python()
    assert f"{THREAD_NAME}-test" not in our_threads()
    assert (worker.busy, heard) == (True, []), "this thread has heard of nothing yet"
    qtbot.waitUntil(lambda: not worker.busy)
    assert heard == ["one", "two"]


def test_skipped_jobs_count_as_done(qtbot):
    done = []
    worker = Worker("test", on_exit=lambda: None, on_end=lambda: done.append("end"))
    worker.submit(worker.close)
    worker.submit(lambda: done.append("job"))
    worker.stop_with_python()
    qtbot.waitUntil(lambda: not worker.busy)
    assert done == ["end"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities for threads")
def test_worker_threads_and_their_children_have_low_priority():
    found = []

    def look() -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    def job() -> None:
        look()
        helper = threading.Thread(target=look)
        helper.start()
        helper.join()

    worker = Worker("test", on_exit=lambda: None, on_end=lambda: None)
    worker.submit(job)
    worker.finish()
    worker.stop_with_python()
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    assert found == [max(10, own)] * 2


def test_jobs_run_where_priorities_cannot_be_set(monkeypatch):
    def forbid(*_: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "setpriority", forbid, raising=False)
    done = []
    worker = Worker("test", on_exit=lambda: None, on_end=lambda: done.append("end"))
    worker.submit(lambda: done.append("job"))
    worker.finish()
    worker.stop_with_python()
    assert done == ["job", "end"]
