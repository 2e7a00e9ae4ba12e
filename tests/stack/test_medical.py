"""NIfTI and DICOM files: order of axes, spacing, orientation."""

from __future__ import annotations

import sys

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from napari_sam2.errors import FrameError, SeriesError, StackError
from napari_sam2.stack import FrameStack, open_stack

VOLUME = np.random.default_rng(0).integers(-900, 900, (7, 6, 5)).astype(np.int16)  # X, Y, Z
AFFINE = np.array([[-0.5, 0.01, 0, 3], [0.01, 0.4, 0, -4], [0, 0, 2.0, 9], [0, 0, 0, 1]])


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("slope", [None, 0.5])
def test_nifti_slices_are_read_with_spacing_and_orientation(tmp_path, name, slope):
    image = nibabel.Nifti1Image(VOLUME, AFFINE)
    image.header.set_xyzt_units("mm", "sec")
    if slope is not None:
        image.header.set_slope_inter(slope, 3.0)
    nibabel.save(image, tmp_path / name)
    expected = np.asarray(nibabel.load(tmp_path / name).dataobj)
    opened = open_stack(tmp_path / name)
    assert (opened.axes, opened.data.shape) == ("XYZ", VOLUME.shape)
    assert opened.data.dtype == (np.int16 if slope is None else np.float32)
    zooms = np.sqrt((AFFINE[:3, :3] ** 2).sum(0)) * 1000
    assert opened.scale == pytest.approx(tuple(zooms))
    assert set(opened.units) == {"micrometer"}
    np.testing.assert_allclose(opened.affine, AFFINE, atol=1e-6)
    np.testing.assert_allclose(np.asarray(opened.data[:, :, 3]), expected[..., 3], atol=1e-3)
    np.testing.assert_allclose(np.asarray(opened.data), expected, atol=1e-3)
    stack = FrameStack(opened.data, 2, transposed=True, contrast=(-900, 900))
    assert stack.shape == (5, 6, 7)


def test_a_nifti_of_unknown_unit_claims_none(tmp_path):
    image = nibabel.Nifti1Image(VOLUME, None)
    image.header.set_zooms((2, 3, 4))
    nibabel.save(image, tmp_path / "a.nii")
    opened = open_stack(tmp_path / "a.nii")
    assert (opened.scale, set(opened.units)) == ((2, 3, 4), {""})
    assert opened.affine is None


def test_time_comes_last_in_nifti(tmp_path):
    image = nibabel.Nifti1Image(np.stack([VOLUME, VOLUME + 1], -1), AFFINE)
    image.header.set_zooms((1, 1, 1, 2.5))
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "a.nii.gz")
    opened = open_stack(tmp_path / "a.nii.gz")
    assert opened.axes == "XYZT"
    assert (opened.scale[3], opened.units[3]) == (2.5, "second")


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kept", [0, 10, 200, 360, 420])
def test_truncated_nifti_files(tmp_path, name, kept):
    noise = np.random.default_rng(1).integers(0, 2**15, (30, 30, 4)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(noise, AFFINE), tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:kept])

    def read_all():
        opened = open_stack(tmp_path / name)
        # What is packed shows only when it is unpacked.
        return FrameStack(opened.data, 2, contrast=(0, 9)).read(3)

    with pytest.raises(StackError) as caught:
        read_all()
    assert caught.value.remedy


def test_a_nifti_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path):
    header = nibabel.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    header.set_data_dtype(np.uint8)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(500))
    with pytest.raises(StackError, match="truncated"):
        open_stack(tmp_path / "a.nii")


@pytest.mark.parametrize(
    ("name", "content", "package"),
    [("a.nii", b"anything", "nibabel"), ("a.dcm", bytes(128) + b"DICM", "pydicom")],
)
def test_a_missing_extra_is_named(tmp_path, monkeypatch, name, content, package):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StackError, match=package) as caught:
        open_stack(tmp_path / name)
    assert "napari-sam2[medical]" in caught.value.remedy


def write_slice(path, plane, *, place, instance, uid, **tags):
    """Write one CT slice of 0.4 x 0.5 mm at a place along z, in millimetres."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    found = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    found.Rows, found.Columns = plane.shape
    found.SamplesPerPixel, found.PhotometricInterpretation = 1, "MONOCHROME2"
    found.BitsAllocated = found.BitsStored = 16
    found.HighBit, found.PixelRepresentation = 15, 1
    found.PixelSpacing = [0.4, 0.5]
    found.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    found.ImagePositionPatient = [-3.0, 4.0, place]
    found.InstanceNumber, found.SeriesInstanceUID = instance, uid
    for name, value in tags.items():
        setattr(found, name, value)
    found.PixelData = plane.astype("<i2").tobytes()
    found.save_as(path, enforce_file_format=True)


SLICES = np.random.default_rng(2).integers(-900, 900, (5, 6, 7)).astype(np.int16)


@pytest.fixture
def series(tmp_path):
    """A series whose names and instance numbers are not in the order of its slices."""
    uid = generate_uid()
    for number in (3, 0, 4, 1, 2):
        path = tmp_path / f"IM{(number * 3) % 5}"
        write_slice(path, SLICES[number], place=2.5 * number, instance=9 - number, uid=uid)
    return tmp_path


def test_a_dicom_series_is_a_stack_in_the_order_of_its_places(series):
    opened = open_stack(series)
    assert (opened.axes, opened.data.shape, opened.data.dtype) == ("ZYX", (5, 6, 7), np.int16)
    np.testing.assert_array_equal(np.asarray(opened.data), SLICES)
    assert opened.scale == pytest.approx((2500, 400, 500))
    assert set(opened.units) == {"micrometer"}
    expected = [[-0.5, 0, 0, 3], [0, -0.4, 0, -4], [0, 0, 2.5, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(opened.affine, expected)
    assert FrameStack(opened.data).n_frames == 5


def test_dicom_values_are_rescaled(tmp_path):
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000}
    write_slice(tmp_path / "a.dcm", SLICES[0], place=0, instance=1, uid="1.2", **tags)
    opened = open_stack(tmp_path / "a.dcm")
    assert opened.data.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(opened.data[0]), SLICES[0] * 2.0 - 1000)


def test_dicom_slices_at_the_same_places_are_time_points(tmp_path):
    for time in range(2):
        for number in range(3):
            plane, instance = SLICES[number] + time, 3 * time + number
            path = tmp_path / f"{instance}.dcm"
            write_slice(path, plane, place=number, instance=instance, uid="1.2")
    opened = open_stack(tmp_path)
    assert (opened.axes, opened.data.shape) == ("TZYX", (2, 3, 6, 7))
    np.testing.assert_array_equal(np.asarray(opened.data[1, 2]), SLICES[2] + 1)


def test_one_dicom_series_of_several_is_chosen_by_name(tmp_path):
    for number, name in enumerate(("scout", "thorax")):
        for place in range(2):
            path = tmp_path / f"{name}{place}.dcm"
            tags = {"SeriesNumber": number, "SeriesDescription": name}
            uid = f"1.2.{number}"
            write_slice(path, SLICES[number], place=place, instance=place, uid=uid, **tags)
    first, second = open_stack(tmp_path), open_stack(tmp_path, series="thorax")
    assert (first.series.available, first.series.name) == (2, "scout")
    np.testing.assert_array_equal(np.asarray(second.data[1]), SLICES[1])
    with pytest.raises(StackError, match="scout, thorax"):
        open_stack(tmp_path, series="legs")


def test_a_dicom_slice_that_does_not_fit_is_named(series):
    uid = pydicom.dcmread(series / "IM0").SeriesInstanceUID
    write_slice(series / "odd", SLICES[0, :4], place=50, instance=1, uid=uid)
    with pytest.raises(StackError, match="odd"):
        open_stack(series)


@pytest.mark.parametrize("start", [b"II*\0\x54\x18\x08\0", b"MM\0*\0\0\0\x09"])
def test_a_dicom_file_may_begin_like_a_tiff(tmp_path, start):
    write_slice(tmp_path / "a.dcm", SLICES[0], place=0, instance=1, uid="1.2")
    content = (tmp_path / "a.dcm").read_bytes()
    (tmp_path / "a.dcm").write_bytes(start + content[len(start) :])
    np.testing.assert_array_equal(np.asarray(open_stack(tmp_path / "a.dcm").data[0]), SLICES[0])


def test_segments_of_a_bit_per_pixel_are_bytes(tmp_path):
    tags = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelRepresentation": 0}
    write_slice(tmp_path / "a.dcm", SLICES[0], place=0, instance=1, uid="1.2", **tags)
    found = pydicom.dcmread(tmp_path / "a.dcm")
    found.PixelData = np.packbits(SLICES[0] > 0, bitorder="little").tobytes()
    found.save_as(tmp_path / "a.dcm")
    opened = open_stack(tmp_path / "a.dcm")
    assert opened.data.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(opened.data[0]), SLICES[0] > 0)


def test_floats_stay_floats(tmp_path):
    write_slice(tmp_path / "a.dcm", SLICES[0], place=0, instance=1, uid="1.2")
    found, pixels = pydicom.dcmread(tmp_path / "a.dcm"), SLICES[0].astype("<f4") / 7
    del found.PixelData, found.PixelRepresentation, found.BitsStored, found.HighBit
    found.BitsAllocated, found.FloatPixelData = 32, pixels.tobytes()
    found.save_as(tmp_path / "a.dcm")
    opened = open_stack(tmp_path / "a.dcm")
    assert opened.data.dtype == np.float32
    np.testing.assert_array_equal(np.asarray(opened.data[0]), pixels)


def test_a_first_series_that_is_no_stack_leaves_the_choice_of_others(tmp_path):
    for number, name in enumerate(("scout", "thorax")):
        for place in range(2):
            plane = SLICES[place] if number else SLICES[place, : 4 + place]
            tags = {"SeriesNumber": number, "SeriesDescription": name}
            path, uid = tmp_path / f"{name}{place}", f"1.2.{number}"
            write_slice(path, plane, place=place, instance=place, uid=uid, **tags)
    with pytest.raises(SeriesError, match="scout0") as caught:
        open_stack(tmp_path)
    assert caught.value.names == ("scout", "thorax")
    with pytest.raises(StackError, match="scout0") as caught:
        open_stack(tmp_path, series="scout")
    assert not isinstance(caught.value, SeriesError)
    np.testing.assert_array_equal(np.asarray(open_stack(tmp_path, series=1).data), SLICES[:2])


def test_a_folder_without_images_is_told_so(tmp_path):
    (tmp_path / "patient" / "series").mkdir(parents=True)
    with pytest.raises(StackError, match="no image") as caught:
        open_stack(tmp_path / "patient")
    assert "inside" in caught.value.remedy


def test_a_missing_dicom_slice_at_one_time_is_named(series):
    uid = pydicom.dcmread(series / "IM0").SeriesInstanceUID
    write_slice(series / "again", SLICES[0], place=0, instance=1, uid=uid)
    with pytest.raises(StackError, match="not complete"):
        open_stack(series)


def test_uneven_dicom_slices_have_no_distance(tmp_path):
    for number, place in enumerate((0, 1, 3)):
        write_slice(tmp_path / f"{number}", SLICES[0], place=place, instance=number, uid="1.2")
    opened = open_stack(tmp_path)
    assert (opened.scale[0], opened.units[0], opened.affine) == (1.0, "", None)


def test_damaged_dicom_pixels_are_an_error_of_the_frame(series):
    opened = open_stack(series)
    path = series / "IM0"
    path.write_bytes(path.read_bytes()[:-30])
    stack = FrameStack(opened.data, contrast=(-900, 900))
    with pytest.raises(FrameError, match="IM0"):
        stack.read(0)
    assert [stack.read(frame).shape for frame in range(1, 5)] == [(6, 7, 1)] * 4


def test_a_file_that_only_begins_like_dicom(tmp_path):
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM" + b"\x01" * 40)
    with pytest.raises(StackError) as caught:
        open_stack(tmp_path / "a.dcm")
    assert caught.value.remedy
