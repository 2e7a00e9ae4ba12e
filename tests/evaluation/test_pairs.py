"""Labelled stacks are found on disk and opened, or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from napari_sam2.errors import EvaluationError
from napari_sam2.evaluation import find_pairs
from napari_sam2.evaluation.pairs import read_pair, spread
from napari_sam2.segmentation.image_source import ImageSelection, open_frames
from napari_sam2.types import StackKind


def write_pair(
    folder: Path, name: str, image: np.ndarray | None = None, labels: np.ndarray | None = None
) -> None:
    folder.mkdir(exist_ok=True)
    image = np.full((2, 8, 9), 7, dtype=np.uint8) if image is None else image
    labels = np.ones((2, 8, 9), dtype=np.uint16) if labels is None else labels
    tifffile.imwrite(folder / f"{name}_image.tif", image)
    tifffile.imwrite(folder / f"{name}_labels.tif", labels)


def test_pairs_are_found_in_the_folder_and_one_level_below(tmp_path):
    write_pair(tmp_path, "top")
    write_pair(tmp_path / "b", "two")
    write_pair(tmp_path / "b", "one")
    (tmp_path / "b" / "deep").mkdir()
    write_pair(tmp_path / "b" / "deep", "hidden")
    found = [(pair.group, pair.name) for pair in find_pairs(tmp_path)]
    assert found == [(tmp_path.name, "top"), ("b", "one"), ("b", "two")]


def test_the_limit_holds_for_each_folder(tmp_path):
    for folder in ("a", "b"):
        for number in range(4):
            write_pair(tmp_path / folder, str(number))
    found = [(pair.group, pair.name) for pair in find_pairs(tmp_path, limit=2)]
    assert found == [("a", "0"), ("a", "2"), ("b", "0"), ("b", "2")]


def test_a_pair_opens_as_frames_and_truth(tmp_path):
    write_pair(tmp_path, "stack")
    stack, truth = read_pair(find_pairs(tmp_path)[0])
    assert stack.shape == truth.shape == (2, 8, 9)


def test_a_single_image_is_one_frame(tmp_path):
    image = np.arange(72, dtype=np.uint8).reshape(8, 9)
    write_pair(tmp_path, "image", image, np.eye(8, 9, dtype=np.uint16))
    stack, truth = read_pair(find_pairs(tmp_path)[0])
    assert stack.shape == truth.shape == (1, 8, 9)


def test_three_frames_are_no_colours_where_labels_say_so(tmp_path):
    image = np.zeros((3, 8, 9), dtype=np.uint8)
    write_pair(tmp_path, "three", image, np.ones((3, 8, 9), dtype=np.uint16))
    stack, truth = read_pair(find_pairs(tmp_path)[0])
    assert stack.shape == truth.shape == (3, 8, 9)
    assert stack.n_channels == 1


def test_colours_are_no_frames_where_labels_say_so(tmp_path):
    image = np.zeros((8, 9, 3), dtype=np.uint8)
    write_pair(tmp_path, "colour", image, np.ones((8, 9), dtype=np.uint16))
    stack, truth = read_pair(find_pairs(tmp_path)[0])
    assert stack.shape == truth.shape == (1, 8, 9)
    assert stack.n_channels == 3


@pytest.mark.parametrize(("axes", "count"), [("CYX", 2), ("CYX", 3), ("TCYX", 2), ("TCYX", 3)])
def test_the_first_channel_is_looked_at_as_segment_does(tmp_path, axes, count):
    shape = (4, count, 8, 9)[4 - len(axes) :]
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    labels = np.ones((*shape[:-3], 8, 9), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a_image.tif", image, metadata={"axes": axes})
    tifffile.imwrite(tmp_path / "a_labels.tif", labels)
    (pair,) = find_pairs(tmp_path)
    stack, _ = read_pair(pair)
    segmented = open_frames(pair.image, ImageSelection()).stack
    assert stack.channels == segmented.channels == (0,)
    assert stack.channel_count == count
    np.testing.assert_array_equal(stack.read(0), segmented.read(0))


def test_labels_of_another_shape_are_refused(tmp_path):
    write_pair(tmp_path, "odd", labels=np.ones((2, 8, 8), dtype=np.uint16))
    with pytest.raises(EvaluationError, match=r"\(2, 8, 8\).*\(2, 8, 9\)"):
        read_pair(find_pairs(tmp_path)[0])


def test_labels_that_are_not_integers_are_refused(tmp_path):
    write_pair(tmp_path, "real", labels=np.ones((2, 8, 9), dtype=np.float32))
    with pytest.raises(EvaluationError, match="float32"):
        read_pair(find_pairs(tmp_path)[0])


def test_an_image_without_labels_is_named(tmp_path):
    write_pair(tmp_path, "lonely")
    (tmp_path / "lonely_labels.tif").unlink()
    with pytest.raises(EvaluationError, match=r"lonely_image\.tif has no labels"):
        find_pairs(tmp_path)


@pytest.mark.parametrize("exists", [True, False])
def test_a_folder_without_pairs_is_an_error(tmp_path, exists):
    folder = tmp_path / "empty"
    if exists:
        folder.mkdir()
    with pytest.raises(EvaluationError, match="empty"):
        find_pairs(folder)


def test_a_limit_below_one_is_refused(tmp_path):
    with pytest.raises(EvaluationError, match="nothing to score"):
        find_pairs(tmp_path, limit=0)


@given(size=st.integers(0, 40), count=st.integers(1, 40))
def test_spread_keeps_order_and_never_repeats(size, count):
    chosen = spread(range(size), count)
    assert len(chosen) == min(size, count)
    assert list(chosen) == sorted(set(chosen))
    assert size == 0 or chosen[0] == 0


@pytest.mark.parametrize(("axes", "kind"), [("ZYX", "z-stack"), ("TYX", "time-lapse")])
def test_axes_say_what_the_frames_are_unless_it_is_said(tmp_path, axes, kind):
    write_pair(tmp_path, "stack")
    image = np.zeros((2, 8, 9), np.uint8)
    tifffile.imwrite(tmp_path / "stack_image.tif", image, metadata={"axes": axes})
    (pair,) = find_pairs(tmp_path)
    assert read_pair(pair)[0].kind == kind
    assert read_pair(pair, StackKind.UNKNOWN)[0].kind == "unknown"
    write_pair(tmp_path, "stack")
    assert read_pair(pair)[0].kind == "unknown"
