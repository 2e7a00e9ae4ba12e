"""`segment --resume` after SIGKILL: the labels are those of a run that nobody killed."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import forked
import numpy as np
import pytest
import tifffile
from command_jobs import slow_command

from napari_sam2.cli import main


def disks(path: Path, frames: int) -> Path:
    """Write two disks that drift apart."""
    y, x = np.mgrid[:96, :96]
    image = np.full((frames, 96, 96), 40.0)
    for frame, plane in enumerate(image):
        plane[np.hypot(y - 20, x - 20 - frame) < 9] = 180
        plane[np.hypot(y - 60, x - 66 + frame) < 8] = 180
    image += np.random.default_rng(0).normal(0, 6, image.shape)
    tifffile.imwrite(path, np.clip(image, 0, 255).astype(np.uint8), metadata={"axes": "ZYX"})
    return path


@pytest.fixture
def longer(tmp_path: Path) -> Path:
    """Eight frames, so that a run can be killed twice."""
    return disks(tmp_path / "disks.tif", 8)


@pytest.fixture
def shorter(tmp_path: Path) -> Path:
    """Six frames."""
    return disks(tmp_path / "disks.tif", 6)


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    path = tmp_path / "clicks.csv"
    path.write_text("frame,object,kind,y,x\n1,1,point,20,21\n4,2,point,60,62\n", encoding="utf-8")
    return path


def segment(*arguments: object) -> int:
    with pytest.raises(SystemExit) as exit_info:
        main(["segment", *map(str, arguments)])
    return int(exit_info.value.code or 0)


def killed_run(store: Path, arguments: list[str], frames: int) -> bool:
    """Run the command and kill it when so many commits are there; False if it ended before."""
    process = forked.start(slow_command, ["segment", *arguments])
    seen: set[int] = set()
    try:
        while process.is_alive() and len(seen) < frames:
            # os.walk passes over folders that are gone before it gets there.
            for folder, _, names in os.walk(store):
                for name in names:
                    if name.startswith("commit-"):
                        with suppress(OSError):  # it is being replaced
                            seen.add((Path(folder) / name).stat().st_mtime_ns)
            time.sleep(0.01)
    finally:
        process.kill()
        process.join()
    return process.exitcode == -signal.SIGKILL


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_run_goes_on_to_the_same_labels(longer, clicks, tmp_path):
    given = [str(longer), "-p", str(clicks)]
    whole, out = tmp_path / "whole.tif", tmp_path / "out.tif"
    assert segment(*given, "-o", whole, "--json") == 0
    assert not (tmp_path / "whole.tif.sam2.zarr").exists()
    store = tmp_path / "out.tif.sam2.zarr"
    arguments = [*given, "-o", str(out), "--resume"]
    assert killed_run(store, arguments, 3)
    assert not out.exists()
    killed_run(store, arguments, 2)
    assert segment(*arguments) == 0
    assert out.read_bytes() == whole.read_bytes()
    assert not store.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_volumes_over_time_go_on_where_they_were(shorter, clicks, tmp_path):
    volume = tifffile.imread(shorter)
    movie = tmp_path / "movie.tif"
    tifffile.imwrite(movie, np.stack([volume, volume]), metadata={"axes": "TZYX"})
    given = [str(movie), "-p", str(clicks), "--axis", "Z", "--through", "T"]
    whole, out = tmp_path / "whole.tif", tmp_path / "out.tif"
    assert segment(*given, "-o", whole) == 0
    arguments = [*given, "-o", str(out), "--resume"]
    assert killed_run(tmp_path / "out.tif.sam2.zarr" / "0=1", arguments, 3)
    assert segment(*arguments) == 0
    assert out.read_bytes() == whole.read_bytes()


def test_what_a_stopped_run_computed_is_not_deleted_in_silence(
    shorter, clicks, tmp_path, monkeypatch, capsys
):
    from napari_sam2 import TrackingSession

    out, real = tmp_path / "out.tif", TrackingSession.propagate

    def interrupted(session, *scope, **options):
        for number, result in enumerate(real(session, *scope, **options)):
            if number == 3:
                signal.raise_signal(signal.SIGINT)
            yield result

    given = (shorter, "-p", clicks, "-o", out)
    monkeypatch.setattr(TrackingSession, "propagate", interrupted)
    assert segment(*given) == 130
    assert "--resume" in capsys.readouterr().out
    monkeypatch.undo()
    assert segment(*given) == 1
    assert "--anew" in " ".join(capsys.readouterr().err.split())
    assert segment(*given, "--resume", "--speed", "fastest") == 1
    assert "another" in capsys.readouterr().err
    assert segment(*given, "--resume", "--json") == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["frames_done"] == 6
    assert segment(*given, "--anew") == 0


def test_a_session_file_keeps_its_results(shorter, clicks, tmp_path):
    from napari_sam2 import TrackingSession, load_model

    out, file = tmp_path / "out.tif", tmp_path / "cells.sam2.json"
    assert segment(shorter, "-p", clicks, "-o", out, "--session", file) == 0
    assert (tmp_path / "cells.sam2.zarr").is_dir()
    session = TrackingSession.load(file, load_model(device="cpu"), tifffile.imread(shorter))
    np.testing.assert_array_equal(session.labels, tifffile.imread(out))
    session.close()
    assert segment(shorter, "-p", clicks, "-o", out, "--session", file) == 0


def test_work_of_the_window_on_the_image_outlives_labels_beside_it(shorter, clicks):
    from napari_sam2 import TrackingSession, load_model

    model, image = load_model(device="cpu"), tifffile.imread(shorter)
    session = TrackingSession(model, image, store=shorter.with_suffix(".sam2.zarr"))
    session.add_points(object_id=1, frame=0, points=[(20, 21)])
    session.save(shorter.with_suffix(".sam2.json"))
    session.close()
    given = (shorter, "-p", clicks, "-o", shorter.with_suffix(".ome.tif"), "--stop", "1")
    assert segment(*given) == 0
    again = TrackingSession.load(shorter.with_suffix(".sam2.json"), model, image)
    np.testing.assert_array_equal(again.labels, session.labels)
    assert again.labels.any()
    again.close()
    assert segment(*given, "--session", shorter.with_suffix(".sam2.json")) == 1
