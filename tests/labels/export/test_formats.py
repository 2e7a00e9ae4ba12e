from __future__ import annotations

import os
import warnings
from pathlib import Path

import dask.array
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2 import _atomic
from napari_sam2.errors import LabelsError
from napari_sam2.labels import write_labels
from napari_sam2.labels.export import tiff


def some_labels(shape=(3, 20, 30), dtype=np.uint16, largest=300):
    return np.random.default_rng(0).integers(0, largest, shape).astype(dtype)


def read_back(path):
    return (
        zarr.open_group(path, mode="r")["0"][:] if path.suffix == ".zarr" else tifffile.imread(path)
    )


@pytest.mark.parametrize(
    "name", ["a.tif", "a.TIFF", "a.ome.tif", "a.ome.tiff", "a.zarr", "a.ome.zarr"]
)
@pytest.mark.parametrize(
    ("shape", "axes"), [((20, 30), "YX"), ((3, 20, 30), "ZYX"), ((2, 3, 20, 30), "TZYX")]
)
def test_every_format_keeps_the_ids(tmp_path, name, shape, axes):
    labels = some_labels(shape)
    write_labels(tmp_path / name, labels, axes=axes)
    found = read_back(tmp_path / name)
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, labels)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_imagej_hyperstack_carries_the_scale(tmp_path):
    write_labels(
        tmp_path / "a.tif", some_labels((2, 3, 8, 9)), axes="TZYX", scale=(30, 2.0, 0.5, 0.25)
    )
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_imagej
        assert file.series[0].axes == "TZYX"
        assert file.imagej_metadata["spacing"] == 2.0
        assert file.imagej_metadata["finterval"] == 30
        assert file.imagej_metadata["unit"] == "um"
        tags = file.pages[0].tags
        assert tags["XResolution"].value == (4, 1)
        assert tags["YResolution"].value == (2, 1)
        assert file.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE


def test_ome_tiff_carries_the_scale(tmp_path):
    write_labels(tmp_path / "a.ome.tif", some_labels(), axes="TYX", scale=(60, 0.5, 0.25))
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        assert file.series[0].axes == "TYX"
        for text in ('PhysicalSizeX="0.25"', 'PhysicalSizeY="0.5"', 'TimeIncrement="60.0"'):
            assert text in file.ome_metadata


def test_ome_zarr_carries_axes_and_scale(tmp_path):
    write_labels(tmp_path / "a.zarr", some_labels(), scale=(2.0, 0.5, 0.25))
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    (image,) = group.attrs["ome"]["multiscales"]
    assert [axis["name"] for axis in image["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in image["axes"]} == {"micrometer"}
    assert image["datasets"][0]["coordinateTransformations"][0]["scale"] == [2.0, 0.5, 0.25]
    assert "image-label" in group.attrs["ome"]
    assert group["0"].chunks == (1, 20, 30)
    assert group["0"].metadata.dimension_names == ("z", "y", "x")


def test_labels_are_compressed(tmp_path):
    labels = np.zeros((4, 256, 256), np.uint16)
    labels[:, 50:90, 50:90] = 7
    for name in ("a.tif", "a.ome.tif"):
        write_labels(tmp_path / name, labels)
        assert (tmp_path / name).stat().st_size < labels.nbytes / 20


@pytest.mark.parametrize(
    ("dtype", "largest", "stored", "imagej"),
    [
        (bool, 2, np.uint8, True),
        (np.uint8, 200, np.uint8, True),
        (np.int32, 300, np.uint16, True),
        (np.int64, 70_000, np.uint32, False),
        (np.dtype(">u2"), 300, np.uint16, True),
    ],
)
def test_tiff_keeps_ids_of_any_integer_type(tmp_path, dtype, largest, stored, imagej):
    labels = some_labels(dtype=dtype, largest=largest)
    write_labels(tmp_path / "a.tif", labels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        found = file.asarray()
        assert file.is_imagej == imagej
        assert file.series[0].axes == "ZYX"
    assert found.dtype == stored
    np.testing.assert_array_equal(found, labels)


def test_negative_values_are_kept(tmp_path):
    labels = some_labels(dtype=np.int64) - 5
    write_labels(tmp_path / "a.tif", labels)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), labels)


@pytest.mark.parametrize("axes", ["ZTYX", "TZYX"])
def test_axes_in_an_order_that_imagej_lacks_are_kept(tmp_path, axes):
    labels = some_labels((2, 3, 20, 30))
    write_labels(tmp_path / "a.tif", labels, axes=axes)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.series[0].axes == axes
        np.testing.assert_array_equal(file.asarray(), labels)


def test_a_stack_beyond_classic_tiff_becomes_bigtiff(tmp_path, monkeypatch):
    monkeypatch.setattr(tiff, "_CLASSIC_BYTES", 1000)
    labels = some_labels()
    write_labels(tmp_path / "a.tif", labels, scale=(1, 2, 3))
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.is_bigtiff
        assert file.is_ome
        np.testing.assert_array_equal(file.asarray(), labels)


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_lazy_arrays_are_written_plane_by_plane(tmp_path, name):
    labels = some_labels()
    read = []

    def plane(block, block_info=None):
        read.append(block.shape)
        return block

    lazy = dask.array.from_array(labels, chunks=(1, 20, 30)).map_blocks(plane, dtype=labels.dtype)
    write_labels(tmp_path / name, lazy)
    np.testing.assert_array_equal(read_back(tmp_path / name), labels)
    assert max(shape[0] for shape in read) == 1
    on_disk = zarr.create_array(
        tmp_path / "source.zarr", shape=labels.shape, chunks=(2, 8, 8), dtype="u2"
    )
    on_disk[:] = labels
    write_labels(tmp_path / f"copy_{name}", on_disk)
    np.testing.assert_array_equal(read_back(tmp_path / f"copy_{name}"), labels)


@pytest.mark.parametrize("shape", [(1, 1, 1), (4, 1, 1), (4, 5, 1), (4, 1, 5), (1, 5, 5)])
@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.zarr"])
def test_tiny_stacks(tmp_path, name, shape):
    labels = some_labels(shape)
    write_labels(tmp_path / name, labels, scale=(1, 2, 3))
    np.testing.assert_array_equal(read_back(tmp_path / name).reshape(shape), labels)


@settings(max_examples=10, deadline=None)
@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.uint32, np.int32]),
        hnp.array_shapes(min_dims=3, max_dims=3, max_side=5),
        elements=st.integers(0, 255),
    )
)
def test_tiff_round_trip(tmp_path_factory, labels):
    path = tmp_path_factory.mktemp("tiff") / "a.tif"
    write_labels(path, labels)
    with tifffile.TiffFile(path) as file:
        np.testing.assert_array_equal(file.asarray().reshape(labels.shape), labels)


@pytest.mark.parametrize("name", ["a.tif", "a.zarr"])
def test_writing_again_replaces(tmp_path, name):
    write_labels(tmp_path / name, some_labels())
    newer = some_labels((2, 9, 9))
    write_labels(tmp_path / name, newer)
    np.testing.assert_array_equal(read_back(tmp_path / name), newer)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_zarr_data_of_others_is_never_replaced(tmp_path):
    path = tmp_path / "image.zarr"
    image = zarr.create_array(path, shape=(3, 3), dtype="u1")
    image[:] = 5
    with pytest.raises(LabelsError, match="no label image") as caught:
        write_labels(path, some_labels())
    assert caught.value.safe
    assert (zarr.open_array(path, mode="r")[:] == 5).all()
    (tmp_path / "empty.zarr").mkdir()
    write_labels(tmp_path / "empty.zarr", some_labels())
    assert "0" in zarr.open_group(tmp_path / "empty.zarr", mode="r")


@pytest.mark.parametrize("consolidated", [False, True])
@pytest.mark.parametrize("labels_beside", [False, True])
def test_an_image_with_labels_in_it_is_no_label_image(tmp_path, consolidated, labels_beside):
    path = tmp_path / "image.zarr"
    write_labels(path, some_labels())
    root = zarr.open_group(path)
    if labels_beside:  # a label image in which someone has put more
        root.create_array("mine", data=np.ones(3))
    else:  # an image
        write_labels(path / "labels.zarr", some_labels())
        root.attrs["ome"] = {k: v for k, v in root.attrs["ome"].items() if k != "image-label"}
    if consolidated:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zarr: that this is no part of its format 3
            zarr.consolidate_metadata(path)
    before = {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}
    with pytest.raises(LabelsError, match="no label image"):
        write_labels(path, some_labels())
    assert before == {each: each.read_bytes() for each in path.rglob("*") if each.is_file()}


def test_a_label_image_with_consolidated_metadata_is_replaced(tmp_path):
    path = tmp_path / "a.zarr"
    write_labels(path, some_labels())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path)
    write_labels(path, some_labels((2, 5, 6)))
    assert read_back(path).shape == (2, 5, 6)


class FailingLabels:
    """Labels on a disk that fails at the second plane."""

    shape, dtype = (3, 20, 30), np.dtype(np.uint16)

    def __getitem__(self, place):
        if place[0] > 0:
            raise OSError(5, "Input/output error")
        return np.ones(self.shape[1:], self.dtype)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.zarr"])
def test_a_failure_half_way_leaves_what_was_there(tmp_path, name):
    labels = some_labels()
    write_labels(tmp_path / name, labels)
    with pytest.raises(LabelsError, match="Input/output error") as caught:
        write_labels(tmp_path / name, FailingLabels())
    assert "unchanged" in caught.value.safe
    np.testing.assert_array_equal(read_back(tmp_path / name), labels)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_full_disk(tmp_path, monkeypatch):
    labels = some_labels()
    write_labels(tmp_path / "a.tif", labels)

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(LabelsError, match="No space left") as caught:
        write_labels(tmp_path / "a.tif", labels + 1)
    assert caught.value.remedy
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), labels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


def test_a_folder_that_cannot_be_swapped_comes_back(tmp_path, monkeypatch):
    labels = some_labels()
    write_labels(tmp_path / "a.zarr", labels)
    rename = Path.rename

    def fail_for_the_new(self, target):
        if self.parent.name == "new":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(_atomic, "_exchange", lambda one, other: False)
    monkeypatch.setattr(Path, "rename", fail_for_the_new)
    with pytest.raises(LabelsError, match="Permission denied"):
        write_labels(tmp_path / "a.zarr", labels + 1)
    monkeypatch.undo()
    np.testing.assert_array_equal(read_back(tmp_path / "a.zarr"), labels)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_a_missing_folder(tmp_path):
    with pytest.raises(LabelsError, match="cannot be written"):
        write_labels(tmp_path / "none" / "a.tif", some_labels())


@pytest.mark.parametrize(
    ("name", "labels", "options", "says"),
    [
        ("a.png", some_labels(), {}, r"a\.png"),
        ("labels", some_labels(), {}, "labels"),
        ("a.tif", some_labels(), {"axes": "YX"}, "'YX' do not describe"),
        ("a.tif", some_labels(), {"axes": "ZTX"}, "do not describe"),
        ("a.tif", some_labels(), {"axes": "QYX"}, "do not describe"),
        ("a.tif", some_labels((2, 2, 5, 5)), {"axes": "ZZYX"}, "do not describe"),
        ("a.tif", some_labels((0, 5, 5)), {}, "no pixels"),
        ("a.tif", some_labels(), {"scale": (1, 1)}, "does not fit the axes"),
        ("a.tif", some_labels(), {"scale": (1, 0, 1)}, "does not fit the axes"),
        ("a.tif", some_labels(), {"scale": 0.5}, "does not fit the axes"),
        ("a.tif", some_labels(), {"scale": (None, 0.5, 0.5)}, "does not fit the axes"),
        ("a.tif", some_labels(), {"scale": "fine"}, "does not fit the axes"),
        ("a.tif", some_labels(), {"scale": (1, np.nan, 1)}, "does not fit the axes"),
        ("a.tif", some_labels().astype(float), {}, "float64"),
        ("a.tif", some_labels(dtype=np.uint64) + np.uint64(2**40), {}, "cannot hold the label ids"),
    ],
)
def test_bad_input_writes_nothing(tmp_path, name, labels, options, says):
    with pytest.raises(LabelsError, match=says) as caught:
        write_labels(tmp_path / name, labels, **options)
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_lower_case_axes_and_text_paths(tmp_path):
    write_labels(str(tmp_path / "a.tif"), some_labels(), axes="tyx")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.series[0].axes == "TYX"


def test_ids_beyond_32_bits_go_into_zarr(tmp_path):
    labels = some_labels(dtype=np.uint64) + np.uint64(2**40)
    write_labels(tmp_path / "a.zarr", labels)
    np.testing.assert_array_equal(read_back(tmp_path / "a.zarr"), labels)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.zarr"])
def test_progress_is_reported_plane_by_plane(tmp_path, name):
    told = []
    labels = some_labels((2, 3, 20, 30), np.uint32, largest=70_000)
    write_labels(
        tmp_path / name,
        labels,
        axes="TZYX",
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(done, 6) for done in range(1, 7)]


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif", "a.zarr"])
def test_stopped_from_outside_leaves_what_was_there(tmp_path, name):
    write_labels(tmp_path / name, np.zeros((3, 20, 30), np.uint16))

    def stop(done, total):
        if done == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        write_labels(tmp_path / name, some_labels(), progress=stop)
    assert not read_back(tmp_path / name).any()
    assert [path.name for path in tmp_path.iterdir()] == [name]
