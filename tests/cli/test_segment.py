"""The command segments a real file with the bundled model."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
import tifffile
import zarr
from skimage.io import imread

from napari_sam2 import TrackingSession, TrackingSettings, load_model
from napari_sam2.cli import main
from napari_sam2.errors import StackError
from napari_sam2.evaluation import iou
from napari_sam2.prompts import (
    FramePrompt,
    MaskStore,
    PromptBook,
    read_prompts,
    read_sessions,
    write_prompts,
    write_sessions,
)
from napari_sam2.segmentation.session_runner import RunOutcome
from napari_sam2.segmentation.summary import summarise_objects
from napari_sam2.stack import FrameStack
from napari_sam2.types import ObjectFrame


def segment(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(["segment", *map(str, arguments)])
    code = exit_info.value.code
    assert isinstance(code, int)
    return code


def test_clicks_become_labels_in_every_frame(small_stack, tmp_path, capsys):
    out, sheet, session = (tmp_path / name for name in ("out.tif", "sheet.png", "session.json"))
    arguments = [small_stack.image, "-p", small_stack.prompts, "-o", out]
    code = segment(*arguments, "--overlay", sheet, "--session", session, "--json")
    assert code == 0
    labels = tifffile.imread(out)
    assert labels.shape == small_stack.truth.shape
    for object_id in (1, 2):
        assert iou(labels == object_id, small_stack.truth == object_id) > 0.6
    summary = json.loads(capsys.readouterr().out)
    assert summary["complete"] is True
    assert summary["shape"] == [3, 192, 192]
    assert summary["axes"] == "ZYX"
    for found in summary["objects"]:
        assert found["pixels"] == np.count_nonzero(labels == found["object_id"])
        assert 0 < found["mean_score"] <= 1
    assert imread(sheet).shape[2] == 3
    again = read_prompts(session, labels.shape)
    assert again.object_ids() == (1, 2)


def test_an_approximation_is_named_in_all_that_comes_of_it(small_stack, tmp_path, capsys):
    out, session = tmp_path / "out.tif", tmp_path / "session.json"
    given = (small_stack.image, "-p", small_stack.prompts, "-o", out, "--session", session)
    assert segment(*given, "--speed", "fastest") == 0
    assert "fastest, approximated with 1 of 3 recent memories" in capsys.readouterr().out
    assert json.loads(session.read_text(encoding="utf-8"))["settings"]["speed"] == "fastest"
    again = (small_stack.image, "-p", session, "-o", tmp_path / "again.tif", "--json")
    assert segment(*again) == 0
    assert json.loads(capsys.readouterr().out)["speed"] == "fastest"
    assert segment(*again, "--speed", "exact") == 0
    exact = json.loads(capsys.readouterr().out)
    assert (exact["speed"], exact["approximations"]) == ("exact", [])


def test_a_saved_session_replays_to_the_same_labels(small_stack, tmp_path):
    first, session, second = (tmp_path / name for name in ("a.tif", "s.json", "b.tif"))
    given = (small_stack.image, "-p", small_stack.prompts, "-o", first, "--session", session)
    assert segment(*given) == 0
    assert segment(small_stack.image, "-p", session, "-o", second) == 0
    np.testing.assert_array_equal(tifffile.imread(first), tifffile.imread(second))


def test_the_command_gives_what_a_loaded_session_gives(small_stack, tmp_path):
    both = tmp_path / "both.csv"
    rows = ["frame,object,kind,y,x,y2,x2", "1,1,box,11,12,29,30", "1,1,point,20,21,,"]
    both.write_text("\n".join(rows) + "\n", encoding="utf-8")
    out, file = tmp_path / "out.tif", tmp_path / "session.json"
    assert segment(small_stack.image, "-p", both, "-o", out, "--session", file) == 0
    loaded = TrackingSession.load(file, load_model(), tifffile.imread(small_stack.image))
    for _ in loaded.propagate():
        pass
    np.testing.assert_array_equal(tifffile.imread(out), loaded.labels)


@pytest.mark.parametrize("view", ["frame", "object"])
def test_the_view_is_the_session_s(small_stack, tmp_path, view):
    out, file = tmp_path / "out.tif", tmp_path / "session.json"
    given = (small_stack.image, "-p", small_stack.prompts, "-o", out, "--session", file)
    assert segment(*given, "--view", view, "--start", 0, "--stop", 2) == 0
    settings = TrackingSession.load(file, load_model(), tifffile.imread(small_stack.image)).settings
    assert settings.view == view


def test_a_session_replays_as_it_was_saved(small_stack, tmp_path):
    """Contrast, settings, rounds of clicks and accepted masks come back, not only prompts."""
    image = tifffile.imread(small_stack.image)
    settings = TrackingSettings(max_hole=3, min_island=2, clicked_part=False)
    session = TrackingSession(load_model(), image, settings=settings, contrast=(20, 230))
    session.add_points(1, 1, [(20, 21)])
    session.add_points(1, 1, [(40, 40)], [False])
    drawn = np.zeros(image.shape[1:], bool)
    drawn[40:50, 38:50] = True
    session.add_mask(2, 0, drawn)
    session.accept(2, 0)
    list(session.propagate())
    session.save(tmp_path / "saved.sam2.json")
    out, again = tmp_path / "out.tif", tmp_path / "again.sam2.json"
    given = (small_stack.image, "-p", tmp_path / "saved.sam2.json", "-o", out)
    assert segment(*given, "--session", again) == 0
    np.testing.assert_array_equal(tifffile.imread(out), session.labels)
    loaded = TrackingSession.load(again, load_model(), image)
    assert loaded.settings == settings
    assert loaded.accepted == ((2, 0),)
    assert [(c.low, c.high) for c in loaded.stack.contrast] == [(20, 230)]
    assert segment(*given, "--session", again) == 1, "its results are those of an open session"
    loaded.close()
    assert segment(*given, "--session", again, "--view", "frame", "--stop", 1) == 0
    seen = TrackingSession.load(again, load_model(), image).settings
    assert (seen.view, seen.max_hole) == ("frame", 3)


def test_a_session_s_prompts_serve_a_stack_of_another_size(small_stack, tmp_path):
    session = TrackingSession(load_model(), tifffile.imread(small_stack.image))
    session.add_points(1, 1, [(20, 21)])
    session.save(tmp_path / "saved.sam2.json")
    longer = np.concatenate([tifffile.imread(small_stack.image)] * 2)
    tifffile.imwrite(tmp_path / "longer.tif", longer, metadata={"axes": "ZYX"})
    out = tmp_path / "out.tif"
    assert segment(tmp_path / "longer.tif", "-p", tmp_path / "saved.sam2.json", "-o", out) == 0
    assert tifffile.imread(out).any(axis=(1, 2)).sum() > 3


def test_only_the_asked_range_and_direction_is_segmented(small_stack, tmp_path, capsys):
    out = tmp_path / "out.tif"
    given = (small_stack.image, "-p", small_stack.prompts, "-o", out)
    assert segment(*given, "--direction", "backward", "--start", 0, "--stop", 2) == 0
    labels = tifffile.imread(out)
    assert labels[0].any()
    assert not labels[2].any()
    assert str(out) in capsys.readouterr().out


def test_ctrl_c_keeps_what_is_done(small_stack, tmp_path, monkeypatch, capsys):
    propagate = TrackingSession.propagate

    def interrupted(self, *arguments, **options):
        for number, result in enumerate(propagate(self, *arguments, **options)):
            yield result
            if number == 0:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrackingSession, "propagate", interrupted)
    out = tmp_path / "out.tif"
    given = (small_stack.image, "-p", small_stack.prompts, "-o", out)
    assert segment(*given, "--direction", "forward", "--json") == 130
    summary = json.loads(capsys.readouterr().out)
    assert summary["complete"] is False
    assert summary["frame_results"] >= 1
    labels = tifffile.imread(out)
    assert labels[1].any()
    assert not labels[2].any()


def test_an_error_on_the_way_keeps_what_is_done(small_stack, tmp_path, monkeypatch, capsys):
    propagate = TrackingSession.propagate

    def failing(self, *arguments, **options):
        yield next(iter(propagate(self, *arguments, **options)))
        raise StackError("Frame 2 cannot be read.", safe="Labels are kept.", remedy="Copy it.")

    monkeypatch.setattr(TrackingSession, "propagate", failing)
    out = tmp_path / "out.tif"
    given = (small_stack.image, "-p", small_stack.prompts, "-o", out)
    assert segment(*given, "--direction", "forward") == 1
    shown = capsys.readouterr().err
    assert "Frame 2 cannot be read." in shown
    assert f"done are in {out}" in shown
    assert tifffile.imread(out)[1].any()


@pytest.fixture
def damaged(small_stack) -> Path:
    """The small stack as a zarr whose last frame is damaged."""
    image = tifffile.imread(small_stack.image)
    path = small_stack.image.with_name("damaged.zarr")
    array = zarr.create_array(path, shape=image.shape, chunks=(1, 192, 192), dtype=image.dtype)
    array[:] = image
    (path / "c" / "2" / "0" / "0").write_bytes(b"not a chunk")
    return path


def test_a_frame_that_cannot_be_read_is_named_and_the_rest_is_done(
    small_stack, damaged, tmp_path, capsys
):
    out, sheet, session = (tmp_path / name for name in ("out.tif", "sheet.png", "session.json"))
    given = (damaged, "-p", small_stack.prompts, "-o", out, "--attempts", 1)
    with pytest.warns(UserWarning, match="Frame 2 cannot be read"):
        assert segment(*given, "--overlay", sheet, "--session", session, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["complete"] is True
    assert [each["frame"] for each in summary["skipped"]] == [2]
    assert "Frame 2 cannot be read" in summary["skipped"][0]["reason"]
    labels = tifffile.imread(out)
    assert [bool(plane.any()) for plane in labels] == [True, True, False]
    assert imread(sheet).any()
    assert json.loads(session.read_text())["settings"]["read_attempts"] == 1
    with pytest.warns(UserWarning, match="Frame 2 cannot be read"):
        assert segment(*given) == 0
    shown = capsys.readouterr().out
    assert "1 frame was skipped; the labels there are empty:\n  Frame 2 cannot be read" in shown


def test_by_option_the_first_unreadable_frame_is_the_end(small_stack, damaged, tmp_path, capsys):
    out = tmp_path / "out.tif"
    given = (damaged, "-p", small_stack.prompts, "-o", out, "--attempts", 1)
    with pytest.warns(UserWarning, match="Frame 2 cannot be read"):
        assert segment(*given, "--unreadable", "stop") == 1
    shown = capsys.readouterr().err
    assert "Frame 2 cannot be read" in shown
    assert f"done are in {out}" in shown
    assert tifffile.imread(out)[1].any()


def test_a_prompt_on_an_unreadable_frame_costs_only_that_prompt(
    small_stack, damaged, tmp_path, capsys
):
    clicks = tmp_path / "clicks.csv"
    clicks.write_text("frame,object,kind,y,x\n2,1,point,20,22\n1,2,point,44,45\n", encoding="utf-8")
    out = tmp_path / "out.tif"
    given = ("-o", out, "--attempts", 1, "--json")
    with pytest.warns(UserWarning, match="Frame 2 cannot be read"):
        assert segment(damaged, "-p", clicks, *given) == 0
    summary = json.loads(capsys.readouterr().out)
    assert [each["frame"] for each in summary["skipped"]] == [2]
    assert [each["object_id"] for each in summary["objects"]] == [2]
    assert set(np.unique(tifffile.imread(out)).tolist()) == {0, 2}
    clicks.write_text("frame,object,kind,y,x\n2,1,point,20,22\n", encoding="utf-8")
    with pytest.warns(UserWarning, match="Frame 2 cannot be read"):
        assert segment(damaged, "-p", clicks, *given) == 1
    assert "Frame 2 cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-o", "--overlay", "--session"])
def test_an_input_is_never_overwritten(small_stack, tmp_path, option, capsys):
    before = small_stack.image.read_bytes()
    outputs = {"-o": tmp_path / "out.tif"} | {option: small_stack.image}
    arguments = [word for pair in outputs.items() for word in pair]
    assert segment(small_stack.image, "-p", small_stack.prompts, *arguments) == 1
    assert "is an input" in capsys.readouterr().err
    assert small_stack.image.read_bytes() == before


def _no_model(*arguments, **options):
    raise AssertionError("nothing may be computed first")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("-o", "labels.npy"), "Name the file .tif, .ome.tif, .ome.zarr, .nii.gz or .nii."),
        (("-o", "other.zarr"), "is no label image"),
        (("-o", "labels.tif", "--start", 2, "--stop", 1), "no range of this stack"),
        (("-o", "labels.tif", "--stop", 4), "no range of this stack"),
        (("-o", "labels.tif", "--session", "labels.tif"), "for two outputs"),
        (("-o", "labels.tif", "--session", "session.csv"), "Name it .sam2.json"),
        (("-o", "labels.tif", "--at", "here"), "Write AXIS=INDEX"),
    ],
)
def test_impossible_outputs_are_reported_before_the_work(
    small_stack, tmp_path, monkeypatch, capsys, wrong, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("napari_sam2.tracking.load_model", _no_model)
    zarr.create_array(tmp_path / "other.zarr", shape=(2, 2), dtype="u1")
    before = tmp_path / "labels.tif"
    before.write_bytes(b"labels of another day")
    assert segment(small_stack.image, "-p", small_stack.prompts, *wrong) == 1
    assert said in capsys.readouterr().err
    assert before.read_bytes() == b"labels of another day"


def test_an_error_before_the_first_frame_leaves_former_labels(
    small_stack, tmp_path, monkeypatch, capsys
):
    def failing(self, *arguments, **options):
        raise StackError("The disk is gone.")
        yield

    monkeypatch.setattr(TrackingSession, "propagate", failing)
    out = tmp_path / "out.tif"
    out.write_bytes(b"labels of another day")
    assert segment(small_stack.image, "-p", small_stack.prompts, "-o", out) == 1
    assert "done are in" not in capsys.readouterr().err
    assert out.read_bytes() == b"labels of another day"


def test_labels_hold_any_id(small_stack, tmp_path, capsys):
    clicks, out, session = (tmp_path / name for name in ("clicks.csv", "out.tif", "s.sam2.json"))
    clicks.write_text("frame,object,kind,y,x\n1,70000,point,20,21\n", encoding="utf-8")
    given = ("-o", out, "--stop", 2)
    assert segment(small_stack.image, "-p", clicks, *given, "--session", session) == 0
    assert "1 of 1 objects in 2 of 3 frames" in capsys.readouterr().out
    labels = tifffile.imread(out)
    assert set(np.unique(labels).tolist()) == {0, 70000}
    assert segment(small_stack.image, "-p", session, *given) == 0
    np.testing.assert_array_equal(tifffile.imread(out), labels)


@pytest.mark.filterwarnings("ignore:Results cannot be kept")
def test_labels_that_their_place_does_not_take_are_kept_elsewhere(
    small_stack, tmp_path, monkeypatch, capsys
):
    folder, refuge = tmp_path / "full", tmp_path / "refuge"
    folder.mkdir()
    refuge.mkdir()
    propagate = TrackingSession.propagate

    def and_then_the_folder_is_gone(self, *arguments, **options):
        yield from propagate(self, *arguments, **options)
        shutil.rmtree(folder)

    monkeypatch.setattr(TrackingSession, "propagate", and_then_the_folder_is_gone)
    monkeypatch.setattr("tempfile.tempdir", str(refuge))
    assert segment(small_stack.image, "-p", small_stack.prompts, "-o", folder / "out.tif") == 1
    (kept,) = refuge.glob("*/out.tif")
    assert f"the labels are in {kept}" in capsys.readouterr().err
    assert set(np.unique(tifffile.imread(kept)).tolist()) == {0, 1, 2}


def test_a_click_outside_the_stack_is_one_clean_error(small_stack, tmp_path, capsys):
    wrong: Path = tmp_path / "wrong.csv"
    wrong.write_text("frame,object,kind,y,x\n7,1,point,3,3\n", encoding="utf-8")
    assert segment(small_stack.image, "-p", wrong, "-o", tmp_path / "out.tif") == 1
    assert "wrong.csv" in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()


def test_a_region_is_seen_alone_and_written_in_place(small_stack, tmp_path, capsys):
    out, file = tmp_path / "out.tif", tmp_path / "session.json"
    one = tmp_path / "one.csv"
    one.write_text("frame,object,kind,y,x\n1,1,point,20,21\n", encoding="utf-8")
    given = (small_stack.image, "-p", one, "-o", out, "--session", file)
    assert segment(*given, "--region", "4:68,6:72", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["shape"], summary["region"]) == ([3, 192, 192], [4, 6, 68, 72])
    labels = tifffile.imread(out)
    assert labels.shape == small_stack.truth.shape
    assert iou(labels == 1, small_stack.truth == 1) > 0.6
    image = tifffile.imread(small_stack.image)
    session = TrackingSession(load_model(), FrameStack(image, 0, region=(4, 6, 68, 72)))
    session.add_points(1, 1, [(16, 15)])
    list(session.propagate())
    np.testing.assert_array_equal(labels[:, 4:68, 6:72], session.labels)
    labels[:, 4:68, 6:72] = 0
    assert not labels.any()
    again = tmp_path / "again.tif"
    assert segment(small_stack.image, "-p", file, "-o", again) == 0
    np.testing.assert_array_equal(tifffile.imread(out), tifffile.imread(again))
    loaded = TrackingSession.load(file, load_model(), image)
    assert loaded.stack.region == session.stack.region
    list(loaded.propagate())
    np.testing.assert_array_equal(loaded.labels, session.labels)


def test_prompts_outside_the_region_are_one_clean_error(small_stack, tmp_path, capsys):
    given = (small_stack.image, "-p", small_stack.prompts, "-o", tmp_path / "out.tif")
    assert segment(*given, "--region", "0:40,0:40") == 1
    assert "object 2 in frame 1" in capsys.readouterr().err
    assert segment(*given, "--region", "all") == 1
    assert "Y0:Y1,X0:X1" in capsys.readouterr().err


def test_channels_are_chosen_and_remembered(small_stack, tmp_path):
    grey = tifffile.imread(small_stack.image)
    many = np.stack([np.zeros_like(grey), grey, 255 - grey, grey // 2, np.zeros_like(grey)], axis=1)
    image = tmp_path / "many.tif"
    tifffile.imwrite(image, many, metadata={"axes": "ZCYX"}, imagej=True)
    out, file = tmp_path / "out.tif", tmp_path / "session.json"
    given = (image, "-p", small_stack.prompts, "-o", out, "--session", file)
    assert segment(*given, "--channels", "3,1") == 0
    assert iou(tifffile.imread(out) == 1, small_stack.truth == 1) > 0.6
    loaded = TrackingSession.load(file, load_model(), many)
    assert loaded.stack.channels == (3, 1)
    again = tmp_path / "again.tif"
    assert segment(image, "-p", file, "-o", again) == 0
    np.testing.assert_array_equal(tifffile.imread(out), tifffile.imread(again))


def test_a_session_of_one_time_point_replays_there(small_stack, tmp_path):
    grey = tifffile.imread(small_stack.image)
    image = tmp_path / "movie.tif"
    tifffile.imwrite(
        image, np.stack([np.zeros_like(grey), grey]), metadata={"axes": "TZYX"}, imagej=True
    )
    stack = FrameStack(tifffile.imread(image), 1, at={0: 1})
    session = TrackingSession(load_model(), stack)
    session.add_points(1, 1, [(20, 21)])
    list(session.propagate())
    session.save(tmp_path / "saved.json")
    out = tmp_path / "out.tif"
    assert segment(image, "-p", tmp_path / "saved.json", "-o", out) == 0
    np.testing.assert_array_equal(tifffile.imread(out), session.labels)


@pytest.fixture
def movie(small_stack, tmp_path):
    """The disks in two volumes, in the second a little further; the first disk ends there."""
    grey = tifffile.imread(small_stack.image)
    later = np.roll(grey, (3, 2), axis=(1, 2))
    later[:, :36, :36] = grey[:, 100:136, 100:136]
    path = tmp_path / "movie.tif"
    volumes = np.stack([grey, later, grey])
    tifffile.imwrite(path, volumes, metadata={"axes": "TZYX"}, imagej=True)
    return path


def test_through_z_and_then_through_time(small_stack, movie, tmp_path, capsys):
    out = tmp_path / "out.tif"
    given = (movie, "-p", small_stack.prompts, "-o", out, "--axis", "Z", "--through", "T")
    assert segment(*given, "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["shape"], summary["axes"]) == ([3, 3, 192, 192], "TZYX")
    labels = tifffile.imread(out)
    assert labels.shape == (3, 3, 192, 192)
    second = np.roll(small_stack.truth == 2, (3, 2), axis=(1, 2))
    assert iou(labels[0] == 1, small_stack.truth == 1) > 0.6
    assert iou(labels[0] == 2, small_stack.truth == 2) > 0.6
    assert iou(labels[1] == 2, second) > 0.6
    assert iou(labels[2] == 2, small_stack.truth == 2) > 0.6
    for found in summary["objects"]:
        assert found["pixels"] == np.count_nonzero(labels == found["object_id"])


def test_all_volumes_have_one_session_file(small_stack, movie, tmp_path, capsys):
    out, file = tmp_path / "out.tif", tmp_path / "cells.sam2.json"
    given = (movie, "-p", small_stack.prompts, "-o", out, "--axis", "Z", "--through", "T")
    assert segment(*given, "--session", file, "--json") == 0
    assert json.loads(capsys.readouterr().out)["session"] == str(file)
    assert sorted(tmp_path.glob("cells*.json")) == [file]
    labels, image = tifffile.imread(out), tifffile.imread(movie)
    for volume in range(3):
        options = {"at": {0: volume}, "store": None}
        again = TrackingSession.load(file, load_model(), image, axis=1, **options)
        assert dict(again.stack.at) == {0: volume}
        assert again.handed_over == ({(i, f) for i, f, _ in again.prompts} if volume else set())
        list(again.propagate())
        np.testing.assert_array_equal(again.labels, labels[volume])
    kept = TrackingSession.load(file, load_model(), image, axis=1, at={0: 2})
    assert kept.kept_in == tmp_path / "cells.sam2.zarr" / "0=2"
    kept.close()


def test_a_session_of_volumes_is_repeated(small_stack, movie, tmp_path, capsys):
    out, file = tmp_path / "out.tif", tmp_path / "cells.sam2.json"
    given = (movie, "-p", small_stack.prompts, "-o", out, "--axis", "Z", "--through", "T")
    assert segment(*given, "--session", file, "--json") == 0
    labels = tifffile.imread(out)
    for options, volume in (((), 0), (("--at", "T=2"), 2)):
        assert segment(movie, "-p", file, "-o", out, *options) == 0
        np.testing.assert_array_equal(tifffile.imread(out), labels[volume])
    capsys.readouterr()
    file.write_text(file.read_text().replace('"0": 2', '"0": 7'))
    assert segment(movie, "-p", file, "-o", out, "--at", "T=2") == 1
    assert "none at axis 0 = 2" in capsys.readouterr().err


def test_what_was_decided_in_a_later_volume_is_replayed(small_stack, movie, tmp_path, capsys):
    out, file = tmp_path / "out.tif", tmp_path / "cells.sam2.json"
    given = ("-o", out, "--axis", "Z", "--through", "T")
    assert segment(movie, "-p", small_stack.prompts, *given, "--session", file) == 0
    first, second, third = read_sessions(file)
    drawn = small_stack.truth[1] == 1  # the first disk, which has moved and is found elsewhere
    drawn[20:] = False
    book = second.book.copy()
    book.put(9, 1, FramePrompt(points=((47, 47),), positive=(True,)))
    book.remove(2, next(frame for number, frame, _ in book if number == 2))
    book.put(2, 1, FramePrompt(mask=drawn))
    pair = ObjectFrame(2, 1)
    masks = MaskStore([(pair, drawn)])
    edited = replace(
        second, book=book, accepted=(pair,), accepted_masks=masks, handed_over=frozenset()
    )
    third = replace(third, book=PromptBook(third.book.shape), handed_over=frozenset())
    write_sessions([first, edited, third], file)
    capsys.readouterr()
    again = tmp_path / "again.sam2.json"
    assert segment(movie, "-p", file, *given, "--session", again, "--json") == 0
    labels = tifffile.imread(out)
    assert np.array_equal(labels[1, 1] == 2, drawn)
    later = np.roll(small_stack.truth == 2, (3, 2), axis=(1, 2))
    assert not np.any(labels[0] == 9)
    assert iou(labels[1] == 9, later) > 0.6
    assert iou(labels[2] == 9, small_stack.truth == 2) > 0.6
    assert {each["object_id"] for each in json.loads(capsys.readouterr().out)["objects"]} >= {1, 9}
    _, replayed, last = read_sessions(again)
    assert replayed.book.get(9, 1) == book.get(9, 1)
    assert (replayed.accepted, replayed.handed_over) == ((pair,), frozenset())
    assert {number for number, _ in last.handed_over} >= {9}


def test_a_volume_that_nothing_reaches_has_its_own_prompts(small_stack, movie, tmp_path):
    out, file = tmp_path / "out.tif", tmp_path / "cells.sam2.json"
    given = ("-o", out, "--axis", "Z", "--through", "T")
    assert segment(movie, "-p", small_stack.prompts, *given, "--session", file) == 0
    sessions = list(read_sessions(file))
    at = dict(sessions[0].at)
    first, last = PromptBook((3, 192, 192)), PromptBook((3, 192, 192))
    first.put(1, 1, FramePrompt(points=((20, 21),), positive=(True,)))  # it ends in volume 0
    last.put(5, 1, FramePrompt(points=((44, 45),), positive=(True,)))
    ours = [(first, at), (last, at | {0: 2})]
    write_sessions([replace(sessions[0], book=book, at=where) for book, where in ours], file)
    assert segment(movie, "-p", file, *given) == 0
    labels = tifffile.imread(out)
    assert [set(np.unique(volume)) for volume in labels] == [{0, 1}, {0}, {0, 5}]


def test_no_session_of_volumes_takes_the_place_of_the_prompts(small_stack, movie, tmp_path):
    prompts = tmp_path / "cells.json"
    write_prompts(read_prompts(small_stack.prompts, (3, 192, 192)), prompts)
    before = prompts.read_text()
    given = (movie, "-p", prompts, "-o", tmp_path / "out.tif", "--axis", "Z", "--through", "T")
    assert segment(*given, "--session", tmp_path / "cells.json") == 1
    assert prompts.read_text() == before


def test_ctrl_c_in_a_later_volume_keeps_the_earlier_ones(
    small_stack, movie, tmp_path, monkeypatch, capsys
):
    propagate = TrackingSession.propagate

    def interrupted(self, *arguments, **options):
        for result in propagate(self, *arguments, **options):
            yield result
            if dict(self.stack.at) == {0: 1}:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(TrackingSession, "propagate", interrupted)
    out = tmp_path / "out.tif"
    given = (movie, "-p", small_stack.prompts, "-o", out, "--axis", "Z", "--through", "T")
    assert segment(*given, "--json") == 130
    assert json.loads(capsys.readouterr().out)["complete"] is False
    labels = tifffile.imread(out)
    assert labels[0].any(axis=(1, 2)).all()
    assert labels[1].any()
    assert not labels[2].any()


def test_tracks_and_measurements_are_written_beside_the_labels(small_stack, tmp_path, capsys):
    out = tmp_path / "out.ome.tif"
    formats = [word for kind in ("ctc", "geff", "trackmate") for word in ("--tracks", kind)]
    given = (small_stack.image, "-p", small_stack.prompts, "-o", out, "--measure", "--json")
    assert segment(*given, *formats) == 0
    summary = json.loads(capsys.readouterr().out)
    names = ["out_RES", "out.geff.zarr", "out.trackmate.xml"]
    assert summary["tracks"] == [str(tmp_path / name) for name in names]
    assert all((tmp_path / name).exists() for name in names)
    labels = tifffile.imread(out)
    table = pd.read_csv(summary["table"], comment="#")
    assert len(table) == sum(len(np.unique(plane)) - 1 for plane in labels)
    assert table["intensity_mean"].between(100, 255).all()
    assert table["prompted"].sum() == 2
    assert table["score"].between(0, 1).all()


def test_foreign_data_where_tracks_should_be_stops_before_the_work(small_stack, tmp_path, capsys):
    (tmp_path / "out_RES").mkdir()
    (tmp_path / "out_RES" / "mine.txt").write_text("mine", "utf-8")
    given = (small_stack.image, "-p", small_stack.prompts, "-o", tmp_path / "out.tif")
    assert segment(*given, "--tracks", "ctc") == 1
    assert "mine.txt" in capsys.readouterr().err
    assert not (tmp_path / "out.tif").exists()


@pytest.fixture
def disks(small_stack):
    """The small stack's pixels."""
    return tifffile.imread(small_stack.image)


def test_noise_in_another_channel_does_no_harm(small_stack, disks, tmp_path, capsys):
    noise = np.random.default_rng(1).poisson(20, disks.shape).astype(np.uint8)
    image = tmp_path / "two.tif"
    both = np.stack([disks, noise], axis=1)
    tifffile.imwrite(image, both, metadata={"axes": "ZCYX"}, imagej=True)
    out = tmp_path / "out.tif"
    given = (image, "-p", small_stack.prompts, "-o", out)
    assert segment(*given) == 0
    assert "channel 0 of 2 (--channels)" in capsys.readouterr().out
    labels = tifffile.imread(out)
    assert all(iou(labels == k, small_stack.truth == k) > 0.6 for k in (1, 2))
    assert segment(*given, "--channels", "0,1", "--json") == 0
    shown = capsys.readouterr()
    assert "channels 0 and 1 of 2 (--channels)" in shown.err
    assert json.loads(shown.out)["channels"] == [0, 1]
    labels = tifffile.imread(out)
    assert all(iou(labels == k, small_stack.truth == k) > 0.5 for k in (1, 2))


def test_labels_of_an_image_of_x_y_z_lie_on_it(small_stack, disks, tmp_path):
    image, out, session = tmp_path / "xyz.zarr", tmp_path / "out.zarr", tmp_path / "s.json"
    names = ("x", "y", "z")
    zarr.create_array(image, data=disks.transpose(2, 1, 0).copy(), dimension_names=names)
    assert segment(image, "-p", small_stack.prompts, "-o", out, "--session", session) == 0
    plain = tmp_path / "plain.tif"
    assert segment(small_stack.image, "-p", small_stack.prompts, "-o", plain) == 0
    labels = zarr.open_group(out, mode="r")["0"][:]
    np.testing.assert_array_equal(labels.transpose(2, 1, 0), tifffile.imread(plain))
    again = tmp_path / "again.zarr"
    assert segment(image, "-p", session, "-o", again) == 0
    np.testing.assert_array_equal(zarr.open_group(again, mode="r")["0"][:], labels)


def test_a_click_on_the_wrong_image_of_a_file_names_the_option(
    small_stack, disks, tmp_path, capsys
):
    image = tmp_path / "series.ome.tif"
    with tifffile.TiffWriter(image) as file:
        file.write(disks[:, :40, :40], metadata={"axes": "ZYX"})
        file.write(disks, metadata={"axes": "ZYX"})
    given = (image, "-p", small_stack.prompts, "-o", tmp_path / "out.tif")
    assert segment(*given) == 1
    shown = capsys.readouterr()
    assert "image 0 (Image0) of the 2 in the file (--series)" in shown.out
    assert "holds 2 images; --series chooses another" in shown.err
    assert segment(*given, "--series", 1) == 0
    assert tifffile.imread(tmp_path / "out.tif").shape == disks.shape


def test_only_objects_found_beyond_their_prompts_are_counted(small_stack, disks, tmp_path, capsys):
    disks[[0, 2], 30:60, 30:60] = 40  # the second disk is in one frame only
    image = tmp_path / "one.tif"
    tifffile.imwrite(image, disks, metadata={"axes": "ZYX"})
    labels = np.zeros_like(small_stack.truth)
    labels[1] = small_stack.truth[1]
    labels[0, 20, 20] = 0
    tifffile.imwrite(tmp_path / "drawn.tif", labels, metadata={"axes": "ZYX"})
    given = (image, "-p", tmp_path / "drawn.tif", "-o", tmp_path / "out.tif")
    assert segment(*given, "--start", 1, "--stop", 2) == 0
    assert "2 of 2 objects in 1 of 3 frames" in capsys.readouterr().out
    assert segment(*given, "--json") == 0
    shown = capsys.readouterr()
    assert "drawn.tif: 2 mask prompts, of 2 objects drawn in 1 frame." in shown.err
    for found in json.loads(shown.out)["objects"]:
        assert found["tracked"] == (found["frames"] > 1)


def test_a_summary_names_objects_that_are_lost():
    outcome = RunOutcome(3, 1.0, True, {}, frames=3)
    labels = np.zeros((3, 4, 4), np.uint16)
    labels[1, 0, 0], labels[:, 1, 1], labels[:2, 2, 2] = 1, 2, 3
    book = PromptBook((3, 4, 4))
    for object_id, frames in ((1, [1]), (2, [0, 1, 2]), (3, [1]), (4, [2])):
        for frame in frames:
            book.add_points(object_id, frame, [(1, 1)])
    found = summarise_objects((1, 2, 3, 4), labels, outcome, book)
    assert [one.tracked for one in found] == [False, True, True, False]
    single = summarise_objects((1,), labels[1:2], replace(outcome, frames=1), book)
    assert [one.tracked for one in single] == [True]


def test_a_nifti_keeps_its_orientation(small_stack, disks, tmp_path):
    affine = np.array([[-0.5, 0.02, 0, 3], [0.02, 0.4, 0.01, -4], [0, 0, 2.0, 9], [0, 0, 0, 1]])
    image, out = tmp_path / "image.nii.gz", tmp_path / "out.nii.gz"
    nibabel.save(nibabel.Nifti1Image(disks.transpose(2, 1, 0), affine), image)
    assert segment(image, "-p", small_stack.prompts, "-o", out) == 0
    labels = nibabel.load(out)
    np.testing.assert_allclose(labels.affine, affine, atol=1e-6)
    found = np.asarray(labels.dataobj).transpose(2, 1, 0)
    assert all(iou(found == k, small_stack.truth == k) > 0.6 for k in (1, 2))
