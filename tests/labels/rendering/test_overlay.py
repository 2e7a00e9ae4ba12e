from __future__ import annotations

import numpy as np
import pytest

from napari_sam2.errors import LabelsError
from napari_sam2.labels import colour_of, overlay

GREY = np.full((20, 24), 0.5, np.float32)


def square(number=1):
    labels = np.zeros(GREY.shape, np.uint16)
    labels[5:15, 6:18] = number
    return labels


def test_without_labels_the_frame_is_unchanged():
    picture = overlay(GREY, np.zeros(GREY.shape, np.uint16))
    assert picture.shape == (20, 24, 3)
    assert picture.dtype == np.uint8
    assert (picture == 128).all()


def test_fill_and_outline():
    picture = overlay(GREY, square(), alpha=0.5, outline=1)
    colour = np.array(colour_of(1))
    np.testing.assert_array_equal(picture[5, 6:18], np.tile(colour, (12, 1)))
    np.testing.assert_allclose(picture[10, 12], (127.5 + colour) / 2, atol=1)
    assert (picture[0, 0] == 128).all()
    assert (picture[4, 12] < 128).all()  # the shade around the outline


def test_alpha_and_outline_may_be_zero():
    assert (overlay(GREY, square(), alpha=0, outline=0) == 128).all()
    filled = overlay(GREY, square(), alpha=1, outline=0)
    assert (filled[square() > 0] == colour_of(1)).all()
    assert (filled[square() == 0] == 128).all()


def test_a_colour_depends_on_nothing_but_the_id():
    alone = overlay(GREY, square(3), alpha=1, outline=0)
    crowd = square(3)
    crowd[0, 0], crowd[0, 1] = 1, 99
    assert (overlay(GREY, crowd, alpha=1, outline=0)[10, 12] == alone[10, 12]).all()


def test_colours_are_told_apart_without_red_and_green():
    # Deuteranopia after Viénot, Brettel and Mollon (1999), on linear RGB: red and green become
    # one channel. Any two of the first seven colours must still differ in what is left.
    to_dichromat = np.array(
        [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1]]
    )
    linear = (np.array([colour_of(number) for number in range(1, 8)]) / 255) ** 2.2
    seen = np.clip(linear @ to_dichromat.T, 0, 1) ** (1 / 2.2)
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
    assert distances[~np.eye(7, dtype=bool)].min() > 0.1
    assert len({colour_of(number) for number in range(1, 15)}) == 14
    assert colour_of(1) == colour_of(15)


@pytest.mark.parametrize(
    ("image", "value"),
    [
        (np.full((4, 5, 1), 0.5), 128),
        (np.full((4, 5, 3), 0.5, np.float32), 128),
        (np.full((4, 5), 77, np.uint8), 77),
        (np.ones((4, 5), bool), 255),
        (np.full((4, 5), np.nan), 0),
        (np.full((4, 5), np.inf), 255),
        (np.full((4, 5), -3.0), 0),
    ],
)
def test_frames_of_any_kind(image, value):
    assert (overlay(image, np.zeros((4, 5), np.int32)) == value).all()


def test_the_frame_is_not_changed():
    image = np.full((20, 24, 3), 0.5, np.float32)
    overlay(image, square())
    assert (image == 0.5).all()


@pytest.mark.parametrize("zoom", [2, 3])
def test_enlarging_keeps_the_object_in_place(zoom):
    picture = overlay(GREY, square(), alpha=1, outline=0, zoom=zoom)
    assert picture.shape == (20 * zoom, 24 * zoom, 3)
    rows, columns = np.nonzero((picture == colour_of(1)).all(axis=-1))
    assert abs(rows.mean() - (9.5 * zoom + (zoom - 1) / 2)) < 0.5
    assert abs(columns.mean() - (11.5 * zoom + (zoom - 1) / 2)) < 0.5
    assert len(rows) == pytest.approx(120 * zoom**2, rel=0.05)


def test_enlarging_keeps_single_pixels_and_both_of_two_touching_objects():
    labels = np.zeros((9, 9), np.uint16)
    labels[4, 4] = 1
    labels[:4] = 2
    labels[5:] = 3
    picture = overlay(np.zeros((9, 9)), labels, alpha=1, outline=0, zoom=4)
    for number in (1, 2, 3):
        assert (picture == colour_of(number)).all(axis=-1).sum() >= 8


def test_shrinking_averages_the_frame():
    image = np.zeros((21, 24), np.float32)
    image[::2] = 1
    labels = np.pad(square(), ((0, 1), (0, 0)))
    picture = overlay(image, labels, alpha=0, outline=0, zoom=1 / 2)
    assert picture.shape == (10, 12, 3)
    assert (picture == 128).all()
    assert overlay(image[:1, :1], labels[:1, :1], zoom=1 / 4).shape == (1, 1, 3)


def test_shrinking_keeps_the_labels_in_place():
    picture = overlay(GREY, square(), alpha=1, outline=0, zoom=1 / 2)
    rows, columns = np.nonzero((picture == colour_of(1)).all(axis=-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (2, 6, 3, 8)


def test_an_object_that_fills_the_frame_has_no_outline():
    labels = np.ones((6, 6), np.uint8)
    np.testing.assert_array_equal(
        overlay(np.zeros((6, 6)), labels, alpha=0, outline=2), np.zeros((6, 6, 3))
    )


@pytest.mark.parametrize(
    ("image", "labels", "options", "says"),
    [
        (np.zeros(5), np.zeros(5, int), {}, r"\(y, x\)"),
        (np.zeros((4, 4, 4)), np.zeros((4, 4), int), {}, r"\(y, x\)"),
        (np.zeros((4, 4), np.uint16), np.zeros((4, 4), int), {}, "no known contrast"),
        (np.zeros((4, 4)), np.zeros((4, 5), int), {}, "labels are"),
        (np.zeros((4, 4)), np.zeros((4, 4)), {}, "labels are"),
        (np.zeros((4, 4)), np.zeros((4, 4), int), {"alpha": 2}, "alpha=2"),
        (np.zeros((4, 4)), np.zeros((4, 4), int), {"outline": np.nan}, "outline=nan"),
        (np.zeros((4, 4)), np.zeros((4, 4), int), {"zoom": 0}, "zoom 0"),
        (np.zeros((4, 4)), np.zeros((4, 4), int), {"zoom": 1.5}, r"zoom 1\.5"),
    ],
)
def test_bad_input(image, labels, options, says):
    with pytest.raises(LabelsError, match=says) as caught:
        overlay(image, labels, **options)
    assert caught.value.remedy
