"""One stack from files to files: which model, and what is written when it is stopped."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam2 import TrackingSession, load_model
from napari_sam2.errors import PromptError, StoreError
from napari_sam2.labels.store.result_store import UNFINISHED
from napari_sam2.prompts import PromptBook, SessionFile
from napari_sam2.segmentation.session_runner import Watcher
from napari_sam2.segmentation.stack_job import (
    SegmentFiles,
    SegmentOptions,
    image_size_of,
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


def test_the_input_size_is_the_chosen_one_or_that_of_the_session():
    saved = SessionFile(PromptBook((2, 8, 8)), settings={"model": "bundled", "image_size": 256})
    assert image_size_of(SegmentOptions(), None) is None
    assert image_size_of(SegmentOptions(), saved) == 256
    assert image_size_of(SegmentOptions(model="bundled"), saved) == 256
    assert image_size_of(SegmentOptions(model="sam2.1-tiny"), saved) is None
    assert image_size_of(SegmentOptions(image_size=512), saved) == 512
    own = SessionFile(PromptBook((2, 8, 8)), settings={"model": "mine", "image_size": 256})
    assert image_size_of(SegmentOptions(model="data/mine.pt"), own) == 256
    assert image_size_of(SegmentOptions(), saved_with()) is None


def test_a_session_file_repeats_the_input_size_of_its_run(whole, tmp_path):
    given = tmp_path / "first.sam2.json"
    asked = SegmentOptions(image_size=64)
    first = SegmentFiles(whole.stack, whole.prompts, tmp_path / "first.tif", session=given)
    again = SegmentFiles(whole.stack, given, tmp_path / "again.tif")
    sizes = [segment_files(first, asked, load).image_size]
    sizes.append(segment_files(again, SegmentOptions(), load).image_size)
    assert sizes == [64, 64]
    assert first.output.read_bytes() == again.output.read_bytes()


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


def test_a_stopped_run_goes_on_with_its_own_prompts_only(whole, tmp_path):
    clicks, out = tmp_path / "clicks.csv", tmp_path / "out.tif"
    files = SegmentFiles(whole.stack, clicks, out)
    header = "frame,object,kind,y,x\n"
    given = {"write_partial": False, "resume": True}

    def stop_at(results: int) -> Watcher:
        done = []
        return Watcher(lambda *_: done.append(1), lambda: len(done) >= results)

    clicks.write_text(f"{header}0,1,point,20,20\n", encoding="utf-8")
    segment_files(files, SegmentOptions(), load, watcher=stop_at(2), **given)
    for rows in ("3,1,point,44,44\n", "0,1,point,20,20\n0,2,point,44,44\n"):  # moved, added
        clicks.write_text(header + rows, encoding="utf-8")
        with pytest.raises(StoreError, match="computed with other prompts") as caught:
            segment_files(files, SegmentOptions(), load, **given)
        assert "--anew" in caught.value.remedy
    clicks.write_text(f"{header}0,1,point,20.0,20\n", encoding="utf-8")  # the same, said otherwise
    with pytest.raises(StoreError, match="--auto"):
        segment_files(files, SegmentOptions(auto=True), load, **given)
    unfinished = tmp_path / "out.tif.sam2.zarr" / UNFINISHED
    assert unfinished.stat().st_size
    never = Watcher(lambda *_: None, lambda: False)
    assert segment_files(files, SegmentOptions(), load, watcher=never, **given).complete


def test_a_finished_session_is_not_gone_on_with_for_other_prompts(whole, tmp_path):
    clicks, session = tmp_path / "clicks.csv", tmp_path / "a.sam2.json"
    files = SegmentFiles(whole.stack, clicks, tmp_path / "out.tif", session=session)
    clicks.write_text("frame,object,kind,y,x\n0,1,point,20,20\n", encoding="utf-8")
    never = Watcher(lambda *_: None, lambda: False)
    for _ in range(2):
        assert segment_files(files, SegmentOptions(), load, resume=True, watcher=never).complete
    clicks.write_text("frame,object,kind,y,x\n0,1,point,44,44\n", encoding="utf-8")
    with pytest.raises(StoreError, match="computed with other prompts"):
        segment_files(files, SegmentOptions(), load, resume=True, watcher=never)
    assert segment_files(files, SegmentOptions(), load, watcher=never).complete


def test_a_stopped_run_of_an_earlier_version_goes_on(whole, tmp_path):
    files = SegmentFiles(whole.stack, whole.prompts, tmp_path / "out.tif")
    done = []
    watcher = Watcher(lambda *_: done.append(1), lambda: len(done) >= 2)
    segment_files(files, SegmentOptions(), load, write_partial=False, watcher=watcher)
    (tmp_path / "out.tif.sam2.zarr" / UNFINISHED).write_text("")  # it did not say its prompts
    never = Watcher(lambda *_: None, lambda: False)
    assert segment_files(files, SegmentOptions(), load, resume=True, watcher=never).complete


def test_the_progress_of_volumes_adds_up():
    seen = []
    watcher = Watcher(lambda *each: seen.append(each), lambda: False)
    watcher.of_volume(2, 5).progress(3, 10)
    watcher.of_volume(2, 5).progress(3, None)
    assert seen == [(23, 50), (3, None)]
