"""Labels as prompts: each object where it is drawn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_sam2.errors import PromptError
from napari_sam2.labels import write_labels
from napari_sam2.segmentation.image_source import ImageSelection, given_prompts, open_frames
from napari_sam2.segmentation.label_prompts import describe_label_prompts
from napari_sam2.types import Region

SIDES = {"T": 2, "Z": 4, "Y": 9, "X": 8}


@pytest.fixture
def drawn():
    """Two objects in three frames (Z, Y, X); the first is drawn in two of them."""
    labels = np.zeros((4, 9, 8), np.uint32)
    labels[1, 2:5, 1:4] = 70_000
    labels[3, 2:5, 2:5] = 70_000
    labels[2, 6:8, 5:7] = 2
    return labels


@pytest.fixture
def image(tmp_path):
    def write(axes, name="image.zarr"):
        shape = tuple(SIDES[letter] for letter in axes)
        data = np.random.default_rng(0).integers(0, 99, shape).astype(np.uint16)
        zarr.create_array(tmp_path / name, data=data, dimension_names=list(axes.lower()))
        return tmp_path / name

    return write


def check(book, drawn):
    assert {(i, frame) for i, frame, _ in book} == {(70_000, 1), (70_000, 3), (2, 2)}
    for object_id, frame, prompt in book:
        np.testing.assert_array_equal(prompt.mask, drawn[frame] == object_id)


@pytest.mark.parametrize("axes", ["".join(order) for order in itertools.permutations("ZYX")])
@pytest.mark.parametrize("name", ["a.tif", "a.zarr", "a.npy", "a.ome.tif"])
def test_labels_in_the_order_of_the_image_are_mask_prompts(image, drawn, tmp_path, axes, name):
    turned = drawn.transpose(["ZYX".index(letter) for letter in axes])
    path = tmp_path / name
    if name == "a.npy":
        np.save(path, turned)
    else:
        write_labels(path, turned, axes=axes)
    frames = open_frames(image(axes))
    book = given_prompts(path, None, frames)
    check(book, drawn)
    assert describe_label_prompts(path, book) == (
        f"{name}: 3 mask prompts, of 2 objects drawn in 3 frames."
    )


def test_labels_of_all_axes_are_read_where_the_image_is_held(image, drawn, tmp_path):
    np.save(tmp_path / "a.npy", np.stack([np.zeros_like(drawn), drawn]))
    frames = open_frames(image("TZYX"), ImageSelection("Z", ("T=1",)))
    check(given_prompts(tmp_path / "a.npy", None, frames), drawn)
    np.save(tmp_path / "three.npy", drawn)
    check(given_prompts(tmp_path / "three.npy", None, frames), drawn)


def test_labels_beside_channels(tmp_path, drawn):
    data = np.zeros((4, 2, 9, 8), np.uint16)
    tifffile.imwrite(tmp_path / "two.tif", data, imagej=True, metadata={"axes": "ZCYX"})
    tifffile.imwrite(tmp_path / "labels.tif", drawn)
    book = given_prompts(tmp_path / "labels.tif", None, open_frames(tmp_path / "two.tif"))
    check(book, drawn)


def test_masks_of_cellpose_serve_a_single_frame(tmp_path, drawn):
    tifffile.imwrite(tmp_path / "one.tif", np.zeros((9, 8), np.uint16))
    np.save(tmp_path / "one_seg.npy", {"masks": drawn[1]}, allow_pickle=True)
    frames = open_frames(tmp_path / "one.tif")
    book = given_prompts(tmp_path / "one_seg.npy", None, frames)
    np.testing.assert_array_equal(book.get(70_000, 0).mask, drawn[1] > 0)


def test_pictures_with_a_palette_are_labels(tmp_path, drawn):
    image = tmp_path / "image.tif"
    tifffile.imwrite(image, np.zeros((9, 8), np.uint8))
    picture = Image.fromarray((drawn[2] > 0).astype(np.uint8), mode="P")
    picture.putpalette(bytes((0, 0, 0, 128, 0, 0)) + bytes(762))
    picture.save(tmp_path / "mask.png")
    ((object_id, frame, prompt),) = given_prompts(tmp_path / "mask.png", None, open_frames(image))
    assert (object_id, frame) == (1, 0)
    np.testing.assert_array_equal(prompt.mask, drawn[2] > 0)


def test_labels_are_cut_to_the_region(image, drawn, tmp_path):
    np.save(tmp_path / "a.npy", drawn)
    frames = open_frames(image("ZYX"), ImageSelection(region=Region(1, 1, 9, 8)))
    book = given_prompts(tmp_path / "a.npy", None, frames)
    np.testing.assert_array_equal(book.get(2, 2).mask, drawn[2, 1:, 1:] == 2)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros((4, 9, 8), np.uint8), "every pixel is background"),
        (np.ones((3, 9, 8), np.uint8), r"shape \(3, 9, 8\)"),
        (np.ones((9, 8), np.uint8), r"shape \(9, 8\)"),
        (np.full((4, 9, 8), 0.5), "float64, not labels"),
        (np.full((4, 9, 8), -1), "no labels"),
        (np.full((4, 9, 8), 2**40), "no labels"),
    ],
)
def test_what_are_no_labels_of_the_image_is_refused(image, tmp_path, labels, said):
    np.save(tmp_path / "a.npy", labels)
    with pytest.raises(PromptError, match=said) as caught:
        given_prompts(tmp_path / "a.npy", None, open_frames(image("ZYX")))
    assert caught.value.remedy


def test_whole_numbers_in_floats_are_labels(image, drawn, tmp_path):
    np.save(tmp_path / "a.npy", drawn.astype(np.float32))
    check(given_prompts(tmp_path / "a.npy", None, open_frames(image("ZYX"))), drawn)
