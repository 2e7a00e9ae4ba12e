"""Cellpose's pickled files give their masks, and never run anything."""

from __future__ import annotations

import io
import os
import pickle
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import PromptError
from napari_sam2.prompts import read_cellpose_masks

MASKS = np.random.default_rng(0).integers(0, 900, (12, 9)).astype(np.uint16)


def content_of(value, *, protocol=None):
    """Return the bytes of a .npy file that holds one object."""
    file = io.BytesIO()
    array = np.empty((), object)
    array[()] = value
    if protocol is None:
        np.save(file, array, allow_pickle=True)
    else:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(array, file, protocol=protocol)
    return file.getvalue()


def seg_of(masks):
    return {
        "masks": masks,
        "outlines": masks > 3,
        "filename": Path("image.tif"),
        "flows": [np.zeros((3, 4), np.float32), [], None],
        "diameter": np.float64(30.0),
        "ismanual": np.zeros(3, bool),
        "chan_choose": [0, 0],
    }


@pytest.mark.parametrize("protocol", [None, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u4", ">u2", "i8"])
def test_masks_are_read(tmp_path, protocol, dtype):
    masks = (MASKS % 200).astype(dtype)
    (tmp_path / "a_seg.npy").write_bytes(content_of(seg_of(masks), protocol=protocol))
    np.testing.assert_array_equal(read_cellpose_masks(tmp_path / "a_seg.npy"), masks)


def test_masks_of_columns_and_of_volumes(tmp_path):
    volume = np.asfortranarray(MASKS.reshape(3, 4, 9))
    (tmp_path / "a_seg.npy").write_bytes(content_of({"masks": volume}))
    np.testing.assert_array_equal(read_cellpose_masks(tmp_path / "a_seg.npy"), volume)


class Runs:
    """A value that asks for a command when it is unpickled."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("key", ["masks", "flows"])
def test_nothing_in_a_file_is_ever_run(tmp_path, key):
    proof = tmp_path / "proof"
    value = seg_of(MASKS) | {key: Runs(os.mkdir, (str(proof),))}
    (tmp_path / "a_seg.npy").write_bytes(content_of(value))
    if key == "masks":
        with pytest.raises(PromptError):
            read_cellpose_masks(tmp_path / "a_seg.npy")
    else:
        np.testing.assert_array_equal(read_cellpose_masks(tmp_path / "a_seg.npy"), MASKS)
    assert not proof.exists()


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        {},
        {"masks": None},
        {"masks": MASKS.astype(float)},
        {"masks": np.array([None, 1], object)},
        {"masks": np.array("text")},
        {"masks": np.array(5)},
        {"masks": MASKS[0]},
        {"masks": Runs(np.ndarray, ((1 << 40,), "u1"))},
        {"masks": Runs(bytearray, (1 << 40,))},
        {"masks": Runs(pow, (9, 9 << 24))},
    ],
)
def test_files_without_masks_are_refused(tmp_path, value):
    (tmp_path / "a_seg.npy").write_bytes(content_of(value))
    with pytest.raises(PromptError) as caught:
        read_cellpose_masks(tmp_path / "a_seg.npy")
    assert caught.value.remedy


def test_plain_labels_of_that_name_are_told(tmp_path):
    np.save(tmp_path / "a_seg.npy", MASKS)
    with pytest.raises(PromptError, match="no file of Cellpose"):
        read_cellpose_masks(tmp_path / "a_seg.npy")


def test_places_that_a_file_only_names_take_no_memory(tmp_path):
    file = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(file, header)
    # One number, remembered at place 2**31; then 2**40 bytes that are not there.
    file.write(b"\x80\x04K\x01r" + (2**31).to_bytes(4, "little"))
    file.write(b"\x8e" + (2**40).to_bytes(8, "little") + b"few.")
    (tmp_path / "a_seg.npy").write_bytes(file.getvalue())
    tracemalloc.start()
    try:
        with pytest.raises(PromptError):
            read_cellpose_masks(tmp_path / "a_seg.npy")
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


WHOLE = content_of(seg_of(MASKS))


@given(data=st.data())
def test_a_damaged_file_gives_masks_or_a_prompt_error(tmp_path_factory, data):
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("seg") / "a_seg.npy"
    path.write_bytes(damaged[: data.draw(st.integers(0, len(damaged)))])
    with suppress(PromptError):
        assert read_cellpose_masks(path).ndim >= 2
