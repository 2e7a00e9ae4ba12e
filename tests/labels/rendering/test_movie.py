"""Movies: what a frame shows, and files that other programs read."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image

from napari_sam2.errors import LabelsError
from napari_sam2.labels.rendering import movie as movies
from napari_sam2.labels.rendering.movie import (
    MovieStyle,
    check_movie_path,
    movie_frames,
    scale_bar,
    stamp_of,
    write_movie,
)

PLAIN = MovieStyle(alpha=0, outline=0, stamp=False)


@pytest.fixture
def labels() -> np.ndarray:
    """1 moves to the right; 2 stays at the corner."""
    labels = np.zeros((4, 61, 81), np.uint16)
    for frame in range(4):
        labels[frame, 20:30, 10 + 10 * frame : 24 + 10 * frame] = 1
        labels[frame, 55:, 70:] = 2
    return labels


def grey(_frame: int) -> np.ndarray:
    return np.full((61, 81), 0.5, np.float32)


def frames(labels, style) -> list[np.ndarray]:
    return list(movie_frames(grey, labels, style))


def test_a_plain_movie_is_the_image(labels):
    found = frames(labels, PLAIN)
    assert len(found) == 4
    assert all(picture.shape == (61, 81, 3) for picture in found)
    assert {tuple(np.unique(picture)) for picture in found} == {(128,)}


def test_the_spotlight_dims_everything_else(labels):
    lit = frames(labels, MovieStyle(0, 0, stamp=False, spotlight=frozenset({1})))[2]
    assert lit[labels[2] == 1].min() == 128
    assert lit[labels[2] != 1].max() == round(0.5 * 0.3 * 255)


def test_outlines_and_fills_have_the_colours_of_their_objects(labels):
    filled = frames(labels, MovieStyle(1, 0, stamp=False))[0]
    assert len({tuple(pixel) for pixel in filled[labels[0] == 1]}) == 1
    outlined = frames(labels, MovieStyle(0, 2, stamp=False))[0]
    assert (outlined[25, 17] == 128).all()
    assert (outlined[20, 17] != 128).any()


def test_the_crop_follows_its_object(labels):
    found = frames(labels, MovieStyle(1, 0, stamp=False, follow=1, margin=1))
    assert {picture.shape for picture in found} == {(42, 42, 3)}
    reference = found[1]
    assert all((picture == reference).all() for picture in found[1:3])
    assert (found[0][:, :4] == 0).all(), "outside of the frame it is black"


def test_the_crop_stays_where_its_object_was_last(labels):
    labels[3][labels[3] == 1] = 0
    found = frames(labels, MovieStyle(1, 0, stamp=False, follow=1))
    assert found[3].shape == found[2].shape


@pytest.mark.parametrize("show", ["stamp", "names", "bar"])
def test_texts_and_bars_are_drawn(labels, show):
    style = {
        "stamp": MovieStyle(0, 0, stamp=True),
        "names": MovieStyle(0, 0, stamp=False, names={1: "mother"}),
        "bar": MovieStyle(0, 0, stamp=False, pixel_size=0.5),
    }[show]
    assert (frames(labels, style)[0] != frames(labels, PLAIN)[0]).any()


def test_letters_are_drawn_and_not_boxes_that_stand_for_them(labels, monkeypatch):
    def named(name: str):
        return frames(labels, MovieStyle(0, 0, zoom=4, stamp=False, names={1: name}))[0]

    assert (named("µ") != named("\uffff")).any()
    assert (named("µ") != named("u")).any()
    assert (named("é") != named("?")).any()
    np.testing.assert_array_equal(named("\uffff"), named("?"))
    movies._font.cache_clear()
    monkeypatch.setattr(movies, "find_spec", lambda _name: None)  # Pillow's own font has no µ
    np.testing.assert_array_equal(named("20 µm"), named("20 um"))
    np.testing.assert_array_equal(named("é"), named("?"))
    movies._font.cache_clear()


def test_ids_are_written_on_request(labels):
    assert (frames(labels, MovieStyle(0, 0, stamp=False, show_names=True))[0] != 128).any()


def test_zoom_makes_it_larger(labels):
    assert frames(labels, MovieStyle(zoom=2))[0].shape == (122, 162, 3)


@pytest.mark.parametrize(
    ("width", "length"), [(81, 20), (100, 20), (7, 1), (0.3, 0.05), (4000, 1000)]
)
def test_a_scale_bar_has_a_round_length_of_at_most_a_quarter(width, length):
    assert scale_bar(width, "µm") == (pytest.approx(length), f"{length:g} µm")


def test_time_stamps():
    assert stamp_of(7, MovieStyle()) == "7"
    assert stamp_of(13, MovieStyle(interval=600)) == "2:10:00"
    assert stamp_of(3, MovieStyle(interval=0.25)) == "0.75 s"
    assert stamp_of(3, MovieStyle(interval=5, time_unit="min")) == "15 min"


def test_a_gif_has_all_frames(labels, tmp_path):
    done = []
    path = tmp_path / "a.gif"
    write_movie(path, grey, labels, MovieStyle(fps=5), progress=lambda *each: done.append(each))
    with Image.open(path) as picture:
        assert picture.n_frames == 4
        assert picture.size == (81, 61)
        assert picture.info["duration"] == 200
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_an_mp4_has_all_frames_and_even_sizes(labels, tmp_path):
    import imageio_ffmpeg

    path = tmp_path / "a.mp4"
    write_movie(path, grey, labels, MovieStyle(fps=5))
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    assert about["size"] == (82, 62)
    assert about["fps"] == 5
    assert len(list(reader)) == 4


def test_without_ffmpeg_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(movies, "find_spec", lambda name: None)
    with pytest.raises(LabelsError, match=r"napari-sam2\[movie\]"):
        check_movie_path(tmp_path / "a.mp4")
    check_movie_path(tmp_path / "a.gif")
    assert find_spec("PIL") is not None


def test_a_former_movie_survives_a_failure(labels, tmp_path):
    path = tmp_path / "a.gif"
    path.write_bytes(b"former")

    def broken(frame):
        if frame == 2:
            raise LabelsError("Frame 2 is gone.")
        return grey(frame)

    with pytest.raises(LabelsError, match="gone"):
        write_movie(path, broken, labels)
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"follow": 9}, "no object 9"),
        ({"pixel_size": 0}, "pixel size"),
        ({"interval": -1}, "interval"),
        ({"fps": float("nan")}, "fps"),
        ({"alpha": 2}, "alpha"),
    ],
)
def test_an_impossible_style_is_a_clear_error(labels, change, reason):
    with pytest.raises(LabelsError, match=reason):
        frames(labels, MovieStyle(**change))


def test_an_image_of_another_shape_is_a_clear_error(labels):
    with pytest.raises(LabelsError, match="pixels"):
        frames(labels[:, :50], PLAIN)
    with pytest.raises(LabelsError, match="T, Y, X"):
        frames(labels[0], PLAIN)


def test_an_unknown_suffix_is_a_clear_error(labels, tmp_path):
    with pytest.raises(LabelsError, match=r"\.mp4 or \.gif"):
        write_movie(tmp_path / "a.avi", grey, labels)
