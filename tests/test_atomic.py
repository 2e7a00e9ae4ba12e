"""Files and folders that appear whole or not at all, whatever happens to the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from napari_sam2 import _atomic
from napari_sam2._atomic import clear_leftovers, replacing, short_name, write_text
from napari_sam2._locks import hold
from napari_sam2.errors import LabelsError, Sam2Error
from napari_sam2.labels import write_labels
from napari_sam2.stack import open_stack

needs_kill = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def killed(code: str, *arguments: object) -> None:
    """Run Python code in a process that kills itself."""
    head = "import os, signal, sys\nfrom pathlib import Path\nfrom napari_sam2 import _atomic\n"
    done = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(code), *map(str, arguments)], check=False
    )
    assert done.returncode == -signal.SIGKILL


def zarr_of(value: int, path: Path) -> None:
    write_labels(path, np.full((2, 5, 6), value, np.uint16))


def ids(path: Path) -> list[int]:
    return np.unique(open_stack(path).data[:]).tolist()


@pytest.mark.parametrize("length", [200, 243, 244, 250, 254, 255])
def test_every_name_that_the_file_system_takes_is_written(tmp_path, length):
    path = tmp_path / ("n" * (length - 5) + ".json")
    write_text(path, "text")
    assert path.read_text() == "text"
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", [".tif", ".ome.tif", ".zarr"])
def test_labels_of_long_names_are_written(tmp_path, suffix):
    path = tmp_path / ("n" * (255 - len(suffix)) + suffix)
    zarr_of(3, path)
    zarr_of(4, path)
    assert ids(path) == [4]


def test_a_failed_writer_leaves_the_target_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "before")
    before = path.stat()

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise ValueError("on the way")

    with pytest.raises(ValueError, match="on the way"), replacing(path) as temporary:
        fail(temporary)
    assert path.read_text() == "before"
    assert path.stat().st_ino == before.st_ino
    assert names(tmp_path) == ["a.txt"]


def test_the_target_is_never_opened_for_writing(tmp_path):
    """Whoever has the former file open still reads it whole: the name goes to another file."""
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with path.open() as reader:
        write_text(path, "after, and longer")
        assert reader.read() == "before"
    assert path.read_text() == "after, and longer"


def test_nothing_is_written_over_the_target_afterwards(tmp_path, monkeypatch):
    path, opened, real = tmp_path / "a.txt", [], Path.open

    def watched(self, *args, **options):
        opened.append(self)
        return real(self, *args, **options)

    monkeypatch.setattr(Path, "open", watched)
    write_text(path, "text")
    assert opened
    assert path not in opened


def test_a_write_that_ends_half_way_through_the_last_rename_keeps_the_former(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        write_text(path, "after")
    assert path.read_text() == "before"


@needs_kill
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_leftovers_of_killed_processes_are_cleared(tmp_path, kind):
    killed(
        """
        with _atomic.replacing(Path(sys.argv[1])) as temporary:
            if sys.argv[2] == "folder":
                temporary.mkdir()
                temporary = temporary / "inside"
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
        """,
        tmp_path / "a.txt",
        kind,
    )
    assert len(names(tmp_path)) == 1
    write_text(tmp_path / "other.txt", "text")
    assert names(tmp_path) == ["other.txt"]


def test_what_another_writer_writes_is_not_cleared(tmp_path):
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("a")
        write_text(tmp_path / "b.txt", "b")
        assert temporary.exists()
    assert names(tmp_path) == ["a.txt", "b.txt"]


def test_files_of_others_are_not_cleared(tmp_path):
    kept = [".napari-sam2-notes.tmp", ".napari-sam2-0123456789abcdef.tmp.txt", ".a.1234abcd.tmp"]
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / ".napari-sam2-0123456789abcdef.tmp").write_text("a file, not a folder")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "lock").touch()
    (tmp_path / ".napari-sam2-0123456789abcdee.tmp").symlink_to(outside, target_is_directory=True)
    (tmp_path / ".napari-sam2-0123456789abcded.tmp").mkdir()  # its lock is about to come
    before = names(tmp_path)
    clear_leftovers(tmp_path)
    assert names(tmp_path) == before
    assert names(outside) == ["lock"]


@needs_kill
@pytest.mark.parametrize("found_by", ["the next writer", "a reader"])
@pytest.mark.parametrize("renames", [1, 2])
def test_a_kill_between_the_renames_of_a_folder_loses_nothing(tmp_path, found_by, renames):
    path = tmp_path / "a.zarr"
    zarr_of(3, path)
    killed(
        f"""
        import numpy as np
        from napari_sam2.labels import write_labels
        _atomic._exchange = lambda one, other: False
        rename, done = Path.rename, []
        def last(self, target):
            if len(done) == {renames}:
                os.kill(os.getpid(), signal.SIGKILL)
            done.append(target)
            return rename(self, target)
        Path.rename = last
        write_labels(sys.argv[1], np.full((2, 5, 6), 4, np.uint16))
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        path,
    )
    if found_by == "the next writer":
        write_text(tmp_path / "other.txt", "text")
        (tmp_path / "other.txt").unlink()
    assert ids(path) == [4]
    if renames == 1:
        assert names(tmp_path) == ["a.zarr"]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_replaces_another(tmp_path, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(_atomic, "_exchange", lambda one, other: False)
    for value in (3, 4):
        zarr_of(value, tmp_path / "a.zarr")
    assert ids(tmp_path / "a.zarr") == [4]
    assert names(tmp_path) == ["a.zarr"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="renameat2 is of Linux")
def test_folders_are_exchanged_in_one_step(tmp_path, monkeypatch):
    zarr_of(3, tmp_path / "a.zarr")

    def refuse(self, target):
        raise AssertionError("two renames leave a moment without the folder")

    monkeypatch.setattr(Path, "rename", refuse)
    zarr_of(4, tmp_path / "a.zarr")
    assert ids(tmp_path / "a.zarr") == [4]


def test_a_symlink_loop_is_replaced(tmp_path):
    (tmp_path / "a.txt").symlink_to(tmp_path / "b.txt")
    (tmp_path / "b.txt").symlink_to(tmp_path / "a.txt")
    write_text(tmp_path / "a.txt", "text")
    assert (tmp_path / "a.txt").read_text() == "text"


def test_a_link_to_a_file_stays_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    write_text(tmp_path / "far" / "a.txt", "before")
    (tmp_path / "a.txt").symlink_to(tmp_path / "far" / "a.txt")
    write_text(tmp_path / "a.txt", "after")
    assert (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "far" / "a.txt").read_text() == "after"


def test_short_names_are_kept_and_long_ones_stay_apart():
    assert short_name("cells", 20) == "cells"
    one, other = short_name("µ" * 300 + "1", 200), short_name("µ" * 300 + "2", 200)
    assert one != other
    assert len(os.fsencode(one)) <= 200
    assert one.startswith("µµµ")


def test_a_lock_refuses_the_second_and_is_free_afterwards(tmp_path):
    busy = LabelsError("busy")
    second = hold(tmp_path / "lock", busy)
    with hold(tmp_path / "lock", busy), pytest.raises(Sam2Error, match="busy"):
        second.__enter__()
    with hold(tmp_path / "lock", busy):
        pass


def test_where_no_lock_can_be_made_the_work_is_done_without(tmp_path):
    done = []
    with hold(tmp_path / "none" / "there" / "lock", LabelsError("busy")):
        done.append(1)
    assert done
