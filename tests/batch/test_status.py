"""Status files say what has become of a stack, and are whole."""

from __future__ import annotations

import errno
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2 import _atomic
from napari_sam2.batch.status import (
    StackFailure,
    StackState,
    StackStatus,
    read_status,
    write_status,
)
from napari_sam2.errors import BatchError, StackError

_TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
_STATUSES = st.builds(
    StackStatus,
    name=_TEXT,
    state=st.sampled_from(StackState),
    key=_TEXT,
    attempt=_TEXT,
    attempts=st.integers(0, 9),
    seconds=st.floats(0, 1e9),
    frames=st.integers(0, 10**6),
    notes=st.lists(_TEXT, max_size=3).map(tuple),
    outputs=st.lists(_TEXT, max_size=3).map(tuple),
    written=st.lists(_TEXT, max_size=3).map(tuple),
    error=st.none() | st.builds(StackFailure, _TEXT, _TEXT, _TEXT),
)


@given(status=_STATUSES)
def test_a_status_comes_back_as_it_was(tmp_path_factory, status):
    path = tmp_path_factory.mktemp("status") / "sub" / "a.status.json"
    write_status(path, status)
    assert read_status(path) == status


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: json.dumps(json.loads(text) | {"state": "asleep"}),
        lambda text: json.dumps(json.loads(text) | {"notes": 3}),
        lambda text: json.dumps(json.loads(text) | {"key": None}),
        lambda text: json.dumps(json.loads(text) | {"version": 99}),
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "frames"}),
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_status_is_none(tmp_path, damage):
    path = tmp_path / "a.status.json"
    write_status(path, StackStatus("a", notes=("b",)))
    path.write_text(damage(path.read_text(encoding="utf-8")), encoding="utf-8")
    assert read_status(path) is None


def test_an_error_is_kept_with_its_traceback():
    try:
        raise StackError("No pixels.", remedy="Copy it again.")
    except StackError as error:
        failure = StackFailure.of(error)
    assert failure.kind == "StackError"
    assert failure.message == "No pixels. Copy it again."
    assert "test_an_error_is_kept_with_its_traceback" in failure.traceback


def test_only_what_is_done_with_this_key_and_still_there_is_done(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"labels")
    done = StackStatus("a", StackState.DONE, key="k", outputs=("a.tif",))
    assert done.fits("k", tmp_path)
    assert not done.fits("other", tmp_path)
    assert not StackStatus("a", StackState.STOPPED, key="k").fits("k", tmp_path)
    (tmp_path / "a.tif").unlink()
    assert not done.fits("k", tmp_path)


def test_a_full_disk_leaves_the_former_status_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.status.json"
    write_status(path, StackStatus("a", StackState.RUNNING))

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_atomic, "_flush", full)
    with pytest.raises(BatchError, match="No space left"):
        write_status(path, StackStatus("a", StackState.DONE))
    assert read_status(path).state is StackState.RUNNING
    assert [each.name for each in tmp_path.iterdir()] == ["a.status.json"]
