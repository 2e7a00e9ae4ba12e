"""Tables of points and shapes that napari itself saved."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Points, Shapes
from napari_builtins.io import napari_write_points, napari_write_shapes

from napari_sam2.errors import PromptError
from napari_sam2.prompts import PromptBook, TablePlaces, read_prompts

SHAPE = (5, 40, 50)


@pytest.fixture
def saved(tmp_path):
    """Save a layer by napari's own writer and read it back as prompts."""

    def save(layer, shape=SHAPE, places=None):
        path = tmp_path / "layer.csv"
        data, meta, kind = layer.as_layer_data_tuple()
        write = {"points": napari_write_points, "shapes": napari_write_shapes}[kind]
        assert write(str(path), data, meta), "napari wrote nothing"
        return read_prompts(path, shape, places)

    return save


def test_points_are_objects_of_their_own(saved):
    book = saved(Points([[1, 10.5, 20], [3, 5, 6]]))
    assert [(i, frame, prompt.points) for i, frame, prompt in book] == [
        (1, 1, ((10.5, 20.0),)),
        (2, 3, ((5.0, 6.0),)),
    ]


def test_a_column_says_which_object_a_point_belongs_to(saved):
    features = {"object": [7, 7, 9], "positive": [True, False, True]}
    book = saved(Points([[1, 10, 20], [1, 30, 20], [2, 5, 6]], features=features))
    expected = PromptBook(SHAPE)
    expected.add_points(7, 1, [(10, 20), (30, 20)], [True, False])
    expected.add_points(9, 2, [(5, 6)])
    assert book == expected


def test_shapes_are_boxes_and_masks(saved):
    triangle = [[2, 5, 5], [2, 30, 5], [2, 30, 30]]
    turned = [[3, 10, 20], [3, 20, 30], [3, 30, 20], [3, 20, 10]]
    upright = [[1, 4, 6], [1, 4, 30], [1, 20, 30], [1, 20, 6]]
    round_one = [[2, 10, 30], [2, 10, 44], [2, 20, 44], [2, 20, 30]]
    layer = Shapes(
        [upright, triangle, round_one, turned],
        shape_type=["rectangle", "polygon", "ellipse", "rectangle"],
        ndim=3,
    )
    book = saved(layer)
    assert book.get(1, 1).box == (4, 6, 20, 30)
    masks = [book.get(2, 2).mask, book.get(3, 2).mask, book.get(4, 3).mask]
    assert masks[0][28, 10]
    assert not masks[0][8, 25]
    assert masks[0].sum() == pytest.approx(26 * 27 / 2, rel=0.1)
    assert masks[1][15, 37]
    assert not masks[1][10, 30]
    assert masks[1].sum() == pytest.approx(np.pi * 5 * 7, rel=0.15)
    assert masks[2].sum() == pytest.approx(200, rel=0.15)
    assert not masks[2][12, 12]


@pytest.mark.parametrize("kind", ["line", "path"])
def test_a_line_encloses_nothing_and_is_named(saved, kind):
    layer = Shapes([[[1, 4, 6], [1, 20, 30]]], shape_type=kind, ndim=3)
    with pytest.raises(PromptError, match=f"Line 2: shape 0, a {kind}, encloses nothing"):
        saved(layer)


def test_further_axes_must_be_where_the_image_is_held(saved):
    places = {4: TablePlaces(1, 2, 3, held=((0, 2),))}
    book = saved(Points([[2, 1, 10, 20]]), places=places)
    assert book.get(1, 1).points == ((10, 20),)
    with pytest.raises(PromptError, match="axis-0 is 3, and the image is held at 2") as caught:
        saved(Points([[3, 1, 10, 20]]), places=places)
    assert "--at" in caught.value.remedy


def test_two_axes_serve_a_single_frame(saved):
    assert saved(Points([[10, 20]]), (1, 40, 50)).get(1, 0).points == ((10, 20),)
    with pytest.raises(PromptError, match="has 2 axes, and this stack needs 3"):
        saved(Points([[10, 20]]))


HEADER = "index,axis-0,axis-1,axis-2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEADER}\n", "no points"),
        (f"{HEADER}\n0,9,10,20\n", "Line 2: Frame 9"),
        (f"{HEADER}\n0,1,10,20\n1,1,10,99\n", "Line 3: x = 99"),
        (f"{HEADER}\n0,1,nan,20\n", "Line 2, column \"axis-1\": 'nan' is no number"),
        (f"{HEADER}\n0,1,10\n", "Line 2 has 3 columns"),
        (f"{HEADER},object\n0,1,10,20,0\n", 'Line 2, column "object": Object id 0'),
        (f"{HEADER},object\n0,1,10,20,a\n", "Line 2, column \"object\": 'a' is no number"),
        ("index,axis-1,axis-0\n0,1,2\n", "not in their order"),
        (f'{HEADER}\n0,1,10,"20\n', "cannot be read as CSV"),
        (
            "index,shape-type,vertex-index,axis-0,axis-1,axis-2\n"
            "0,polygon,0,1,1,1\n0,polygon,1,2,9,9\n0,polygon,2,1,9,1\n",
            "Line 2: shape 0 lies in several frames",
        ),
        (
            "index,shape-type,vertex-index,axis-0,axis-1,axis-2\n"
            "0,polygon,0,1,91,91\n0,polygon,1,1,99,91\n0,polygon,2,1,99,99\n",
            "Line 2: The mask is empty",
        ),
    ],
)
def test_a_wrong_line_is_named(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(PromptError) as caught:
        read_prompts(tmp_path / "a.csv", SHAPE)
    assert said in caught.value.happened
    assert caught.value.remedy
