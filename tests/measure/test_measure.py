"""Measurements against values worked out by hand and against scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from skimage.measure import regionprops_table

from napari_sam2.errors import LabelsError, LineageError, MeasurementError
from napari_sam2.labels import FrameRecord
from napari_sam2.measure import Measurements, Review, measure
from napari_sam2.types import Division, ObjectFrame


def disc(shape, centre, radius) -> np.ndarray:
    y, x = np.ogrid[: shape[0], : shape[1]]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


@pytest.fixture
def moving() -> np.ndarray:
    """Two discs over four frames: 3 moves by (3, 4) pixels a frame and misses frame 2."""
    labels = np.zeros((4, 90, 100), np.uint16)
    for frame in range(4):
        if frame != 2:
            labels[frame][disc((90, 100), (30 + 3 * frame, 40 + 4 * frame), 20)] = 3
        labels[frame][disc((90, 100), (70, 80), 10)] = 7
    return labels


def row(table, label, frame):
    (found,) = table[(table.label == label) & (table.frame == frame)].to_dict("records")
    return found


def test_discs_have_the_values_of_circles(moving):
    table = measure(moving)
    assert len(table) == 7
    found = row(table, 3, 1)
    assert found["area"] == found["num_pixels"] == np.count_nonzero(moving[1] == 3)
    assert found["area"] == pytest.approx(math.pi * 20**2, rel=0.01)
    assert (found["centroid-0"], found["centroid-1"]) == (33, 44)
    assert found["perimeter"] == pytest.approx(2 * math.pi * 20, rel=0.06), "scikit-image's"
    assert found["axis_major_length"] == pytest.approx(40, rel=0.01)
    assert found["axis_minor_length"] == pytest.approx(40, rel=0.01)
    assert found["eccentricity"] == pytest.approx(0, abs=0.01)
    assert 0.96 < found["solidity"] <= 1
    assert [found[f"bbox-{i}"] for i in range(4)] == [13, 24, 54, 65]


def test_displacement_and_speed_are_per_frame_and_cross_gaps(moving):
    table = measure(moving, scale=(30, 0.5, 0.5), units=("s", "µm", "µm"))
    first, second, last = (row(table, 3, frame) for frame in (0, 1, 3))
    assert math.isnan(first["displacement"])
    assert math.isnan(first["speed"])
    assert second["displacement_px"] == pytest.approx(5)
    assert second["displacement"] == pytest.approx(2.5)
    assert second["speed"] == pytest.approx(2.5 / 30)
    assert last["displacement_px"] == pytest.approx(10), "two frames further"
    assert last["speed"] == pytest.approx(2.5 / 30)
    assert last["time"] == 90
    assert table.attrs["units"]["speed"] == "µm/s"


def test_physical_units_stand_beside_pixels(moving):
    plain, scaled = measure(moving), measure(moving, scale=(1, 0.5, 0.5), units="µm")
    for name, factor in (("area", 0.25), ("perimeter", 0.5), ("centroid-1", 0.5)):
        in_pixels = name.replace("centroid", "centroid_px") if "-" in name else name + "_px"
        np.testing.assert_allclose(scaled[in_pixels], plain[name])
        np.testing.assert_allclose(scaled[name], factor * plain[name])
    assert scaled.attrs["units"]["area"] == "µm^2"
    assert scaled.attrs["units"]["area_px"] == "pixel^2"
    assert not any(name.endswith("_px") for name in plain)


def test_pixels_that_are_not_square():
    y, x = np.mgrid[:61, :121]
    circle = ((y - 30) * 1.0) ** 2 + ((x - 60) * 0.5) ** 2 <= 25**2  # 25 µm around
    table = measure(circle[None].astype(np.uint8), scale=(1, 1.0, 0.5), units="µm")
    found = row(table, 1, 0)
    assert found["area"] == pytest.approx(math.pi * 25**2, rel=0.01)
    assert found["perimeter"] == pytest.approx(2 * math.pi * 25, rel=0.02)
    assert found["axis_major_length"] == pytest.approx(50, rel=0.01)
    assert found["eccentricity"] < 0.1
    assert found["area_px"] == found["num_pixels"]
    assert found["axis_major_length_px"] == pytest.approx(100, rel=0.02)


def ellipsoid() -> tuple[np.ndarray, tuple[float, float, float], tuple[float, float, float]]:
    spacing, radii = (2.0, 0.5, 1.0), (12.0, 9.0, 15.0)
    z, y, x = (np.arange(-n, n + 1) * s for n, s in zip((8, 20, 17), spacing, strict=True))
    inside = (
        (z[:, None, None] / radii[0]) ** 2
        + (y[None, :, None] / radii[1]) ** 2
        + (x[None, None] / radii[2]) ** 2
    ) <= 1
    return inside.astype(np.uint16) * 5, spacing, radii


def test_an_ellipsoid_in_anisotropic_voxels():
    volume, spacing, radii = ellipsoid()
    table = measure(volume[None], scale=(60, *spacing), units="µm")
    found = row(table, 5, 0)
    assert found["area"] == pytest.approx(4 / 3 * math.pi * math.prod(radii), rel=0.02)
    assert found["axis_major_length"] == pytest.approx(2 * max(radii), rel=0.02)
    assert found["axis_minor_length"] == pytest.approx(2 * min(radii), rel=0.03)
    a, b, c = ((one * other) ** 1.6075 for one, other in ((12, 9), (12, 15), (9, 15)))
    surface = 4 * math.pi * ((a + b + c) / 3) ** (1 / 1.6075)  # Thomsen's formula, within 1 %
    assert found["surface_area"] == pytest.approx(surface, rel=0.05)
    assert found["centroid-0"] == pytest.approx(16)
    assert found["num_pixels"] == np.count_nonzero(volume)
    assert table.attrs["units"]["area"] == "µm^3"
    assert table.attrs["units"]["surface_area"] == "µm^2"


def test_a_whole_volume_is_measured_as_by_scikit_image():
    rng = np.random.default_rng(1)
    volume, spacing, _ = ellipsoid()
    volume[:5, :12, :9] = 9
    image = rng.integers(0, 1000, volume.shape).astype(np.uint16)
    table = measure(volume, image, scale=spacing, axes="ZYX", volumes=True)
    names = ("label", "area", "centroid", "bbox", "solidity", "axis_major_length")
    names += ("axis_minor_length", "intensity_mean", "intensity_min", "intensity_max")
    names += ("intensity_std", "num_pixels")
    theirs = regionprops_table(volume, image, properties=names, spacing=spacing)
    assert len(table) == 2
    for name, values in theirs.items():
        np.testing.assert_allclose(table[name], values, err_msg=name)
    assert table["intensity_sum"][0] == image[volume == 5].sum()


def test_frames_are_measured_as_by_scikit_image():
    rng = np.random.default_rng(2)
    labels = np.kron(rng.integers(0, 30, (12, 15)), np.ones((9, 7), int)).astype(np.int32)
    labels[rng.random(labels.shape) < 0.1] = 0
    image = rng.normal(size=labels.shape)
    names = ("label", "area", "centroid", "perimeter", "solidity", "axis_major_length")
    names += ("axis_minor_length", "eccentricity", "orientation", "intensity_std", "bbox")
    theirs = regionprops_table(labels, image, properties=names, spacing=(0.3, 0.3))
    table = measure(labels, image, scale=(0.3, 0.3))
    for name, values in theirs.items():
        np.testing.assert_allclose(table[name], values, rtol=1e-6, atol=1e-9, err_msg=name)


def test_a_z_stack_has_a_row_per_slice_and_no_speed():
    volume, spacing, _ = ellipsoid()
    table = measure(volume, scale=spacing, units="µm", axes="ZYX")
    assert len(table) == np.count_nonzero(volume.any(axis=(1, 2)))
    assert "speed" not in table
    assert table["position"].max() == 2.0 * table["frame"].max()


def test_an_image_is_matched_by_the_letters_of_its_axes():
    labels = np.zeros((3, 3, 3), np.uint8)
    labels[1:, 0, 2] = 1
    image = np.arange(2 * 27).reshape(2, 3, 3, 3)  # C, T, Y, X
    expected = image[:, 1:, 0, 2].T
    for order, letters in (((0, 1, 2, 3), "CTYX"), ((3, 1, 0, 2), "XTCY"), ((1, 2, 3, 0), "tyxs")):
        table = measure(labels, image.transpose(order), image_axes=letters)
        found = table[["intensity_mean-0", "intensity_mean-1"]]
        np.testing.assert_array_equal(found, expected, err_msg=letters)
    one = measure(labels, image[:1], image_axes="ZTYX")
    np.testing.assert_array_equal(one["intensity_mean"], expected[:, 0])


def test_rows_may_follow_any_axis():
    """Frames of Z and X along Y: pixels are not square, and no step is time."""
    labels = np.zeros((6, 3, 8), np.uint8)
    labels[2:4, 1, 2:6] = 1
    table = measure(labels, scale=(0.5, 2, 0.5), units="µm", axes="YZX")
    assert table["position"].tolist() == [1.0, 1.5]
    assert table["area"].tolist() == [4.0, 4.0]
    assert (table["centroid-0"] == 2.0).all()
    assert table.attrs["axes"] == "YZX"
    assert "speed" not in table
    whole = measure(labels, scale=(0.5, 2, 0.5), units="µm", volumes=True)
    assert whole.attrs["axes"] == "TZYX"


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (2, 2)])
def test_the_smallest_objects_have_finite_shapes(shape):
    labels = np.zeros((1, 8, 8), np.uint8)
    labels[0, : shape[0], : shape[1]] = 1  # at the corner of the frame
    found = row(measure(labels, labels), 1, 0)
    assert found["area"] == shape[0] * shape[1]
    assert found["solidity"] == 1
    assert all(math.isfinite(value) for name, value in found.items() if name.startswith("axis"))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 4, 4), (4, 1, 3), (1, 1, 5), (3, 3, 3)])
def test_the_smallest_objects_of_volumes_have_finite_shapes(shape):
    labels = np.zeros((1, 6, 6, 6), np.uint8)
    labels[0, : shape[0], : shape[1], : shape[2]] = 1
    found = row(measure(labels), 1, 0)
    assert found["area"] == math.prod(shape)
    assert found["solidity"] == 1
    assert math.isfinite(found["surface_area"])
    assert math.isfinite(found["axis_minor_length"])


def test_a_slanted_sheet_has_a_solidity():
    labels = np.zeros((1, 6, 6, 6), np.uint8)
    for step in range(6):
        labels[0, step, step] = 1
    assert row(measure(labels), 1, 0)["solidity"] == 1


def test_channels_have_their_names(moving):
    image = np.stack([moving, 2 * moving], axis=-1)
    table = measure(moving, image, channels=("DAPI", "GFP"))
    assert row(table, 3, 0)["intensity_mean-DAPI"] == 3
    assert row(table, 3, 0)["intensity_sum-GFP"] == 6 * row(table, 3, 0)["area"]
    assert "intensity_max-1" in measure(moving, np.moveaxis(image, -1, 1))
    assert "intensity_max-1" in measure(moving, [moving, moving])
    assert "intensity_max" in measure(moving, moving)


def test_ids_of_any_size():
    labels = np.zeros((1, 9, 9), np.uint32)
    labels[0, :3, :3], labels[0, 5:, 5:] = 4_000_000_000, 70_000
    assert measure(labels)["label"].tolist() == [70_000, 4_000_000_000]


def test_ids_beyond_63_bit_are_a_clear_error():
    labels = np.zeros((2, 9, 9), np.uint64)
    labels[1, :3, :3] = 2**63 - 1
    assert measure(labels)["label"].tolist() == [2**63 - 1]
    labels[1, :3, :3] = 2**63
    with pytest.raises(LabelsError, match=f"Frame 1 .* {2**63}"):
        measure(labels)


def test_no_object_is_an_empty_table_with_all_columns(moving):
    empty = measure(np.zeros_like(moving), moving, scale=(1, 1, 1))
    assert len(empty) == 0
    assert list(empty.columns) == list(measure(moving, moving, scale=(1, 1, 1)).columns)


def test_parent_and_generation(moving):
    moving[2:][moving[2:] == 7] = 8
    moving[2:, 5:9, 5:9] = 9
    table = measure(moving, divisions=[Division(7, (8, 9), 2)])
    assert row(table, 8, 2)["parent"] == 7
    assert row(table, 8, 3)["generation"] == 1
    assert table[table.label == 7]["parent"].isna().all()
    with pytest.raises(LineageError, match="own child"):
        measure(moving, divisions=[Division(7, (7, 9), 2)])


def test_review_columns(moving):
    records = [FrameRecord(3, f, 1256, (30.0, 40.0), 0.9, 0.95) for f in (0, 1, 3)]
    records[1] = FrameRecord(3, 1, 1256, (30.0, 40.0), 0.1, 0.2)
    review = Review.of(records, {ObjectFrame(3, 0)}, {ObjectFrame(3, 3)})
    table = measure(moving, review=review)
    assert row(table, 3, 0)["prompted"]
    assert row(table, 3, 3)["accepted"]
    assert row(table, 3, 1)["score"] == pytest.approx(0.1)
    assert row(table, 3, 1)["doubtful"]
    assert "low object score" in row(table, 3, 1)["doubts"]
    assert not row(table, 7, 1)["doubtful"]
    assert math.isnan(row(table, 7, 1)["score"])


def test_decisions_are_gone_through_once_however_many_objects_there_are():
    class Decisions(frozenset):
        rounds = 0

        def __iter__(self):
            Decisions.rounds += 1
            return super().__iter__()

    records = [FrameRecord(i, f, 10, (4.0, 4.0), 0.1, 0.2) for i in range(1, 60) for f in range(4)]
    accepted = Decisions(ObjectFrame(number, number % 4) for number in range(1, 60))
    review = Review.of(records, (), accepted)
    assert Decisions.rounds <= 2
    assert review.doubtful.keys() == {each.key for each in records} - accepted


class Counting:
    """Labels or an image that counts what is read, and may fail in one frame."""

    def __init__(self, array, broken=None) -> None:
        self.array, self.read, self.broken = array, [], broken
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim

    def __getitem__(self, frame):
        self.read.append(frame)
        if frame == self.broken:
            raise OSError("disk gone")
        return self.array[frame]


def test_only_changed_frames_are_measured_again(moving):
    image = Counting(moving)
    known = Measurements(moving, image)
    assert known.update() == (0, 1, 2, 3)
    moving[1][moving[1] == 7] = 0
    image.read.clear()
    assert known.update() == (1,)
    assert image.read == [1]
    assert known.table().equals(measure(moving, moving))
    assert known.update([0, 3]) == ()
    known.invalidate([3])
    assert known.update() == (3,)


def test_frames_are_read_one_at_a_time(moving):
    labels = Counting(moving)
    measure(labels)
    assert labels.read == [0, 1, 2, 3]


def test_a_frame_of_the_image_that_cannot_be_read_has_no_intensities(moving):
    known = Measurements(moving, Counting(moving, broken=1))
    known.update()
    table = known.table()
    assert "disk gone" in known.unreadable[1]
    assert table[table.frame == 1]["intensity_mean"].isna().all()
    assert table[table.frame != 1]["intensity_mean"].notna().all()
    assert table["area"].notna().all()


def test_a_frame_of_the_labels_that_cannot_be_read_is_an_error(moving):
    known = Measurements(Counting(moving, broken=2))
    with pytest.raises(LabelsError, match="frame 2"):
        known.update()
    assert set(known.table().frame) == {0, 1}


@pytest.mark.parametrize(
    ("labels", "options", "reason"),
    [
        (np.zeros((3, 4, 5), float), {}, "whole numbers"),
        (np.zeros(4, int), {}, "cannot be measured"),
        (np.zeros((0, 4, 5), int), {}, "cannot be measured"),
        (np.zeros((3, 4, 5), int), {"scale": (1, 0, 1)}, "scale"),
        (np.zeros((3, 4, 5), int), {"scale": (1, 1)}, "scale"),
        (np.zeros((3, 4, 5), int), {"scale": (1, math.nan, 1)}, "scale"),
        (np.zeros((3, 4, 5), int), {"scale": "large"}, "scale"),
        (np.zeros((3, 4, 5), int), {"images": np.zeros((3, 4, 4))}, "shape"),
        (np.zeros((3, 4, 5), int), {"images": np.zeros((3, 4, 5), complex)}, "complex"),
        (np.zeros((3, 4, 5), int), {"channels": ("one",)}, "channel name"),
        (
            np.zeros((3, 4, 5), int),
            {"images": [np.zeros((3, 4, 5))] * 2, "channels": ("1", "")},
            "one name",
        ),
        (np.zeros((3, 4, 5), int), {"axes": "YXT"}, "axes"),
        (np.zeros((3, 2, 4, 5), int), {"axes": "ZTYX"}, "axes"),
        (np.zeros((3, 4, 5), int), {"axes": "TYX", "volumes": True}, "no volume"),
        (np.zeros((3, 4, 5), int), {"images": np.zeros((3, 3, 4, 5))}, "image_axes"),
        (
            np.zeros((3, 4, 5), int),
            {"images": np.zeros((2, 3, 4, 5)), "axes": "ZYX", "image_axes": "TZYX"},
            "besides axes of channels",
        ),
        (
            np.zeros((3, 4, 5), int),
            {"images": np.zeros((3, 4, 5)), "image_axes": "ZYX"},
            "besides axes of channels",
        ),
        (
            np.zeros((3, 4, 5), int),
            {"images": np.zeros((3, 5, 4)), "image_axes": "TYX"},
            "the shape",
        ),
        (np.zeros((3, 4, 5), int), {"images": np.zeros((3, 4, 5)), "image_axes": "YX"}, "3 axes"),
        (np.zeros((3, 4, 5), int), {"scale": (1, 1, 1), "units": ("s", "µm", "nm")}, "combined"),
    ],
)
def test_wrong_input_is_a_clear_error(labels, options, reason):
    with pytest.raises(MeasurementError, match=reason):
        measure(labels, **options)


def test_dask_and_zarr_are_measured_alike(moving, tmp_path):
    import dask.array
    import zarr

    stored = zarr.create_array(tmp_path / "l.zarr", shape=moving.shape, dtype=moving.dtype)
    stored[:] = moving
    plain = measure(moving)
    assert measure(dask.array.from_array(moving, chunks=(1, -1, -1))).equals(plain)
    assert measure(stored).equals(plain)
