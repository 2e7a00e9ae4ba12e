"""A background thread: busy until all that its jobs told was heard."""

from __future__ import annotations

from qtpy.QtCore import QObject, Qt, Signal

from napari_sam2.widgets.worker import Worker


class Voice(QObject):
    said = Signal(str)


def test_a_job_is_done_when_all_that_it_told_was_heard(qtbot):
    voice, heard = Voice(), []
    voice.said.connect(heard.append, Qt.ConnectionType.QueuedConnection)
    worker = Worker("test", on_exit=lambda: None, on_end=lambda: None)
    worker.submit(lambda: voice.said.emit("one"))
    worker.submit(lambda: voice.said.emit("two"))
    worker.finish()
    worker._thread.join(10)
    assert not worker._thread.is_alive()
    assert (worker.busy, heard) == (True, []), "this thread has heard of nothing yet"
    qtbot.waitUntil(lambda: not worker.busy)
    assert heard == ["one", "two"]


def test_jobs_that_are_skipped_are_over_too(qtbot):
    done = []
    worker = Worker("test", on_exit=lambda: None, on_end=lambda: done.append("end"))
    worker.submit(worker.close)
    worker.submit(lambda: done.append("job"))
    worker._thread.join(10)
    qtbot.waitUntil(lambda: not worker.busy)
    assert done == ["end"]
