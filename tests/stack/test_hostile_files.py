"""Image files that flood the memory, take for ever, or are damaged in their headers."""

from __future__ import annotations

import json
import os
import struct
import sys

import numpy as np
import pytest
import zarr

from napari_sam2.errors import StackError
from napari_sam2.stack import open_stack


def npy(path, header: str, data: bytes = b""):
    encoded = header.encode("latin1")
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(encoded)) + encoded + data)
    return path


HEADERS = {
    "no dictionary": "[]",
    "no text": "\x00\x00",
    "shape of 5,000 digits": "{'descr': '<u1', 'fortran_order': False, 'shape': (" + "9" * 5000,
    "huge shape": "{'descr': '<u1', 'fortran_order': False, 'shape': (1" + "0" * 400 + ",)}",
    "negative shape": "{'descr': '<u1', 'fortran_order': False, 'shape': (-3, 4)}",
    "odd dtype": "{'descr': 'no such type', 'fortran_order': False, 'shape': (3, 4)}",
    "dtype that is a list": "{'descr': [('a', '<u1', (2,)), 3], 'fortran_order': False, "
    "'shape': (3, 4)}",
    "deep": "(" * 9000,
    "missing key": "{'descr': '<u1'}",
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (3, 4)}",
    "no pixels": "{'descr': '<u1', 'fortran_order': False, 'shape': (3000000, 4000000)}",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_damaged_npy_headers_are_named(tmp_path, header):
    path = npy(tmp_path / "a.npy", header + "\n")
    with pytest.raises(StackError, match=r"a\.npy cannot be opened as a numpy array") as caught:
        open_stack(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("end", range(6, 130, 7))
def test_npy_files_that_are_cut_short_are_named(tmp_path, end):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((3, 4, 5), np.uint8))
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(StackError, match=r"a\.npy"):
        open_stack(path)


@pytest.fixture
def stored(tmp_path):
    """``stored(**changes)``: a zarr array whose metadata says something else."""

    def make(**changes):
        path = tmp_path / "a.zarr"
        zarr.create_array(path, shape=(4, 600, 600), chunks=(1, 600, 600), dtype="u2")
        file = path / "zarr.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))
        return path

    return make


def assert_opens_or_is_named(path):
    """Which damage is one depends on the version of zarr."""
    complaints = []
    try:
        open_stack(path)
    except StackError as error:
        complaints.append(str(error))
    assert all("a.zarr" in complaint and len(complaint) < 1000 for complaint in complaints)


def grid(*chunks):
    return {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(chunks)}}}


@pytest.mark.parametrize(
    ("chunks", "word"),
    [
        ((1, 1, 1), "is in 360000 of them"),
        ((4, 8, 8), "is in 5625 of them"),
        ((4, 40_000, 40_000), "12.8 GB each"),
        ((1, 10**9, 10**9), "GB each"),
    ],
)
def test_chunks_that_no_reading_ends_of_are_refused(stored, chunks, word):
    with pytest.raises(StackError, match=rf"a\.zarr has chunks of .*{word}"):
        open_stack(stored(**grid(*chunks)))


@pytest.mark.parametrize("chunks", [(1, 16, 16), (4, 600, 600), (1, 64, 64), (1, 1, 600)])
def test_usual_chunks_are_read(stored, chunks):
    opened = open_stack(stored(**grid(*chunks)))
    assert opened.data[2].shape == (600, 600)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [10**400, 3, 3]},
        {"shape": [-1, 3, 3]},
        {"shape": "large"},
        {"data_type": "no such type"},
        {"dimension_names": [1, 2, 3]},
        {"codecs": []},
        {"codecs": [{"name": "no such codec"}]},
        {"zarr_format": 99},
        {"node_type": None},
        {"chunk_grid": None},
        grid(0, 0, 0),
        grid(1, 1),
    ],
    ids=str,
)
def test_damaged_zarr_metadata_is_named(stored, changes):
    assert_opens_or_is_named(stored(**changes))


@pytest.mark.parametrize("text", ['{"shape":' * 100_000, '{"shape": ' + "9" * 5000 + "}", "\xff"])
def test_zarr_metadata_that_is_no_json_is_named(stored, text):
    path = stored()
    (path / "zarr.json").write_bytes(text.encode("latin1"))
    with pytest.raises(StackError, match=r"a\.zarr cannot be opened as zarr: zarr\.json"):
        open_stack(path)


@pytest.mark.parametrize(
    "ome",
    [
        {"multiscales": 5},
        {"multiscales": [{}]},
        {"multiscales": [{"datasets": [{"path": ["0"]}]}]},
        {"multiscales": [{"datasets": [{"path": "../.."}]}]},
        {"multiscales": {"0": 1}},
        {"multiscales": [{"datasets": [{"path": "0"}], "axes": [{"name": 3}] * 3}]},
        {"multiscales": [{"datasets": [{"path": "0"}], "axes": ["z", "y"]}]},
        5,
        [1, 2],
        "text",
    ],
    ids=str,
)
def test_damaged_ome_metadata_is_named(tmp_path, ome):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", shape=(3, 4, 5), dtype="u1")
    group.attrs["ome"] = ome
    assert_opens_or_is_named(tmp_path / "a.zarr")


def test_steps_of_hundreds_of_digits_are_unknown(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", shape=(3, 4, 5), dtype="u1")
    scale = [{"type": "scale", "scale": [1, 10**200, 10**200]}]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {
        "multiscales": [
            {
                "axes": [{"name": name} for name in "zyx"],
                "datasets": levels,
                "coordinateTransformations": scale,
            }
        ]
    }
    assert open_stack(tmp_path / "a.zarr").scale == (1.0, 1.0, 1.0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["device", "pipe", "loop"])
def test_what_is_no_file_is_not_opened(tmp_path, kind):
    path = tmp_path / "a.tif"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path)
    with pytest.raises(StackError, match=r"a\.tif cannot be read"):
        open_stack(path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["device", "pipe", "loop"])
def test_a_device_inside_a_zarr_is_not_opened(stored, kind):
    path = stored()
    (path / "zarr.json").unlink()
    if kind == "device":
        (path / "zarr.json").symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path / "zarr.json")
    else:
        (path / "zarr.json").symlink_to("zarr.json")
    with pytest.raises(StackError, match=r"a\.zarr cannot be opened as zarr"):
        open_stack(path)
