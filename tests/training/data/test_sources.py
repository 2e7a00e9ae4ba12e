from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_sam2.errors import Sam2Error, TrainingError
from napari_sam2.training import make_stack, read_sources
from napari_sam2.training.data.sources import sampling_weights, stretch_contrast


def labels_of(*shape: int) -> np.ndarray:
    labels = np.zeros(shape, np.uint16)
    labels[..., 2:12, 3:13] = 5
    return labels


def write_pair(folder, name, shape, labels=None):
    folder.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(0).integers(0, 4000, shape).astype(np.uint16)
    tifffile.imwrite(folder / f"{name}_image.tif", image)
    tifffile.imwrite(folder / f"{name}_labels.tif", labels_of(*shape) if labels is None else labels)


def test_reads_stills_stacks_and_groups(tmp_path):
    write_pair(tmp_path / "nuclei", "a", (20, 30))
    write_pair(tmp_path / "nuclei", "b", (20, 30), np.zeros((20, 30), np.uint16))
    write_pair(tmp_path / "movies", "c", (5, 64, 64))
    write_pair(tmp_path / "volumes", "d", (40, 50, 60))
    stacks = {stack.name: stack for stack in read_sources([tmp_path])}
    assert set(stacks) == {"nuclei/a", "movies/c", "volumes/d"}
    assert stacks["nuclei/a"].video_axes == ()
    assert stacks["movies/c"].video_axes == (0,)
    assert stacks["volumes/d"].video_axes == (0, 1, 2)
    assert stacks["nuclei/a"].image.dtype == np.uint8
    assert stacks["nuclei/a"].diameter == pytest.approx(2 * np.sqrt(100 / np.pi))


def test_along_moves_the_axis():
    stack = make_stack(np.zeros((40, 50, 60)), labels_of(40, 50, 60), name="v")
    image, labels = stack.along(2)
    assert image.shape == labels.shape == (60, 40, 50)


def test_contrast_is_stretched_over_the_whole_stack():
    image = np.zeros((2, 10, 10), np.float64)
    image[1] = 1000.0
    assert stretch_contrast(image).min(axis=(1, 2)).tolist() == [0, 255]
    assert not stretch_contrast(np.full((3, 3), 7)).any()


def test_groups_weigh_by_the_square_root_of_objects():
    few = make_stack(np.zeros((20, 20)), labels_of(20, 20), name="few", group="few")
    many_labels = np.arange(16 * 25).reshape(20, 20) // 25 + 1
    many = [make_stack(np.zeros((20, 20)), many_labels, name="m", group="many") for _ in range(2)]
    weights = sampling_weights([few, *many])
    assert weights.sum() == pytest.approx(1.0)
    assert weights[1] == weights[2]
    assert (weights[1] + weights[2]) / weights[0] == pytest.approx(32**0.15)


@pytest.mark.parametrize(
    ("image", "labels"),
    [
        (np.zeros((4, 4)), np.ones((4, 5), int)),
        (np.zeros((4, 4, 4, 3)), np.ones((4, 4, 4, 3), int)),
        (np.zeros((0, 4)), np.zeros((0, 4), int)),
        (np.zeros((4, 4)), np.zeros((4, 4), int)),
        (np.zeros((4, 4, 2)), np.ones((4, 4), int)),
        (np.zeros((4, 4)), np.ones((4, 4))),
        (np.full((4, 4), np.nan), np.ones((4, 4), int)),
    ],
)
def test_what_is_no_pair_is_an_error(image, labels):
    with pytest.raises(TrainingError):
        make_stack(image, labels, name="x")


def test_missing_files_are_errors(tmp_path):
    with pytest.raises(TrainingError, match="No labelled pair"):
        read_sources([tmp_path])
    tifffile.imwrite(tmp_path / "a_image.tif", np.zeros((4, 4), np.uint8))
    with pytest.raises(TrainingError, match="a_labels"):
        read_sources([tmp_path])


def test_other_suffixes_and_colours_are_read(tmp_path):
    image = np.zeros((20, 30, 3), np.uint8)
    image[4:10, 4:10] = (30, 60, 90)
    tifffile.imwrite(tmp_path / "a_image.TIFF", image, photometric="rgb")
    tifffile.imwrite(tmp_path / "a_labels.tif", labels_of(20, 30))
    (stack,) = read_sources([tmp_path])
    assert stack.name == f"{tmp_path.name}/a"
    assert stack.image.shape == (1, 20, 30)
    assert stack.image[0, 5, 5] == 255


def test_truncated_files_are_errors(tmp_path):
    write_pair(tmp_path, "a", (20, 30))
    path = tmp_path / "a_image.tif"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(Sam2Error, match="a_image"):
        read_sources([tmp_path])


@pytest.mark.parametrize(("given", "kept"), [((-7, 3, 9), (0, 1, 2)), ((0, 5, 2**40), (0, 1, 2))])
def test_ids_that_are_negative_or_huge_become_plain(given, kept):
    labels = np.repeat(np.array(given)[:, None], 4, axis=1)
    stack = make_stack(np.zeros((3, 4)), labels, name="x")
    assert stack.n_objects == 2
    assert stack.labels[0, :, 0].tolist() == list(kept)
