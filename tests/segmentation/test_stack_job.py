"""One stack from files to files: which model, and what is written when it is stopped."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam2 import TrackingSession, load_model
from napari_sam2.errors import PromptError
from napari_sam2.prompts import PromptBook, SessionFile
from napari_sam2.segmentation.session_runner import Watcher
from napari_sam2.segmentation.stack_job import (
    SegmentFiles,
    SegmentOptions,
    model_of,
    segment_files,
)


def saved_with(**settings: str) -> SessionFile:
    return SessionFile(PromptBook((2, 8, 8)), settings=settings)


def test_the_model_is_the_chosen_one_or_that_of_the_session():
    assert model_of(None, None) == "bundled"
    assert model_of(None, saved_with()) == "bundled"
    assert model_of(None, saved_with(model="sam2.1-tiny")) == "sam2.1-tiny"
    assert model_of("mine.pt", saved_with(model="sam2.1-tiny")) == "mine.pt"
    assert model_of("mine.pt", saved_with(model="other.pt")) == "mine.pt"
    with pytest.raises(PromptError, match=r"other\.pt.*--model"):
        model_of(None, saved_with(model="other.pt"))


def load(name, image_size):
    return load_model(name, device="cpu", image_size=image_size)


MEASURED = SegmentOptions(measure=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> SegmentFiles:
    """A stack of four frames, a session with three prompts, and an unbroken run of both."""
    folder = tmp_path_factory.mktemp("whole")
    y, x = np.mgrid[:64, :64]
    image = np.full((4, 64, 64), 40, np.uint8)
    image[:, np.hypot(y - 20, x - 20) < 9] = 180
    image[:, np.hypot(y - 44, x - 44) < 9] = 180
    tifffile.imwrite(folder / "a.tif", image, metadata={"axes": "TYX"})
    session = TrackingSession(load_model(device="cpu"), image)
    for object_id, frame, at in ((1, 0, 20), (2, 1, 44), (2, 3, 44)):
        session.add_points(object_id, frame, [(at, at)])
    session.save(folder / "a.sam2.json")
    files = SegmentFiles(folder / "a.tif", folder / "a.sam2.json", folder / "out.tif")
    assert segment_files(files, MEASURED, load).complete
    return files


@pytest.mark.parametrize("asked", [1, 2, 3, 5])
def test_a_watcher_stops_it_anywhere_and_nothing_is_written(whole, tmp_path, asked):
    """While prompts are replayed, and between two frames."""
    files, times = SegmentFiles(whole.stack, whole.prompts, tmp_path / "out.tif"), []

    def stopped():
        times.append(1)
        return len(times) >= asked

    watcher = Watcher(lambda done, planned: None, stopped)
    given = {"write_partial": False, "watcher": watcher}
    summary = segment_files(files, MEASURED, load, **given)
    assert not summary.complete
    assert not files.output.exists()
    assert not files.output.with_suffix(".csv").exists()
    seen = []
    given["watcher"] = Watcher(lambda done, planned: seen.append((done, planned)), lambda: False)
    summary = segment_files(files, MEASURED, load, resume=True, **given)
    assert summary.complete
    assert seen[-1][0] == seen[-1][1]
    assert whole.output.read_bytes() == files.output.read_bytes()
    # The scores of the frames before the stop are in the table too.
    tables = [each.output.with_suffix(".csv").read_text("utf-8") for each in (whole, files)]
    assert tables[0] == tables[1]


def test_the_progress_of_volumes_adds_up():
    seen = []
    watcher = Watcher(lambda *each: seen.append(each), lambda: False)
    watcher.of_volume(2, 5).progress(3, 10)
    watcher.of_volume(2, 5).progress(3, None)
    assert seen == [(23, 50), (3, None)]
