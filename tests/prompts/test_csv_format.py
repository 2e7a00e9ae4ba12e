from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_sam2.errors import PromptError
from napari_sam2.prompts import FramePrompt, PromptBook, read_prompts, write_prompts
from napari_sam2.prompts.csv_format import prompts_from_csv, prompts_to_csv

SHAPE = (5, 20, 30)
HEADER = "frame,object,kind,y,x,y2,x2,positive\n"


def test_points_and_boxes_are_read():
    book = prompts_from_csv(
        HEADER + "0,1,point,3,4.5,,,\n0,1,point,5,6,,,false\n\n4,2,box,1,2,9,8,\n", SHAPE
    )
    assert book.get(1, 0) == FramePrompt(points=((3, 4.5), (5, 6)), positive=(True, False))
    assert book.get(2, 4) == FramePrompt(box=(1, 2, 9, 8))


@pytest.mark.parametrize(
    "text",
    [
        "object,kind,frame,x,y\n3,point,1,7,6\n",
        "Frame; Object; Kind; Y; X\r\n1; 3; Point; 6.0; 7\r\n",
        "frame\tobject\tkind\ty\tx\n1.0\t3\tpoint\t6\t7\n",
        "\nframe,object,kind,y,x\n1,3,point,6,7",
    ],
)
def test_tables_as_other_programs_write_them(text):
    assert prompts_from_csv(text, SHAPE).get(3, 1) == FramePrompt(points=((6, 7),))


@pytest.mark.parametrize(
    ("row", "line_and_column"),
    [
        ("x,1,point,3,4,,,", 'Line 2, column "frame"'),
        ("1.5,1,point,3,4,,,", 'Line 2, column "frame"'),
        ("5,1,point,3,4,,,", 'Line 2, column "frame"'),
        ("0,0,point,3,4,,,", 'Line 2, column "object"'),
        ("0,1,circle,3,4,,,", 'Line 2, column "kind"'),
        ("0,1,point,,4,,,", 'Line 2, column "y"'),
        ("0,1,point,nan,4,,,", 'Line 2, column "y"'),
        ("0,1,point,3,30,,,", 'Line 2, column "x"'),
        ("0,1,point,3,4,,,maybe", 'Line 2, column "positive"'),
        ("0,1,box,3,4,5,,", 'Line 2, column "x2"'),
        ("0,1,box,3,4,3,9,", 'Line 2, column "y2"'),
        ("0,1,box,3,4,9,9,false", 'Line 2, column "positive"'),
        ("0,1,box,1,1,9,9,\n0,1,box,2,2,8,8,", 'Line 3, column "object".*line 2'),
        ("0,1,point,3,4,,,true,9", "Line 2 has 9 columns"),
        ('0,1,"point,3,4', "cannot be read as CSV"),
    ],
)
def test_errors_name_line_and_column(row, line_and_column):
    with pytest.raises(PromptError, match=line_and_column) as caught:
        prompts_from_csv(HEADER + row + "\n", SHAPE)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("\n\n", "empty"),
        (HEADER, "no prompts"),
        ("frame,object,kind,y\n", "lacks the column 'x'"),
        ("frame,object,kind,y,x,postive\n", "unknown column 'postive'"),
        ("frame,object,kind,y,x,x\n", "twice"),
        ("0,1,point,3,4\n", "lacks the column"),
    ],
)
def test_bad_headers(text, says):
    with pytest.raises(PromptError, match=says) as caught:
        prompts_from_csv(text, SHAPE)
    assert "frame,object,kind" in caught.value.remedy


def test_masks_do_not_fit_a_table(tmp_path):
    book = PromptBook(SHAPE)
    book.add_mask(1, 0, np.ones(SHAPE[1:], bool))
    with pytest.raises(PromptError, match="CSV cannot hold") as caught:
        write_prompts(book, tmp_path / "prompts.csv")
    assert ".json" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(-0.5, 19.5), st.floats(-0.5, 29.5), st.booleans()),
        min_size=1,
        max_size=8,
    )
)
def test_round_trip_is_exact(clicks):
    book = PromptBook(SHAPE)
    for at, (y, x, positive) in enumerate(clicks):
        book.add_points(1 + at % 2, at % 5, [(y, x)], [positive])
    book.add_box(1, 0, (0.1, 0.2, 1 / 3, 29.5))
    for object_id, frame, prompt in book:
        book.put(object_id, frame, replace(prompt, rounds=()))  # a table knows no rounds
    assert prompts_from_csv(prompts_to_csv(book), SHAPE) == book


@pytest.mark.parametrize("name", ["prompts.csv", "prompts.tsv", "PROMPTS.CSV"])
def test_files(tmp_path, name):
    book = PromptBook(SHAPE)
    book.add_points(1, 0, [(3, 4)])
    write_prompts(book, tmp_path / name)
    assert read_prompts(tmp_path / name, SHAPE) == book


def test_a_byte_order_mark_is_ignored(tmp_path):
    path = tmp_path / "excel.csv"
    path.write_text(HEADER + "0,1,point,3,4,,,\n", encoding="utf-8-sig")
    assert len(read_prompts(path, SHAPE)) == 1


def test_errors_name_the_file(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text(HEADER + "0,1,point,3,99,,,\n")
    with pytest.raises(PromptError, match=r'clicks\.csv: Line 2, column "x": x = 99'):
        read_prompts(path, SHAPE)
