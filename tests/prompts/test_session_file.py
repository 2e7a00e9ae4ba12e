from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_sam2.errors import PromptError
from napari_sam2.prompts import (
    FramePrompt,
    MaskStore,
    PromptBook,
    SessionFile,
    prompts_to_json,
    read_prompts,
    read_session,
    read_sessions,
    write_prompts,
    write_session,
    write_sessions,
)
from napari_sam2.prompts.session_file import FORMAT, session_to_json
from napari_sam2.prompts.session_reader import session_from_json
from napari_sam2.types import ObjectFrame, Region

SHAPE = (5, 8, 9)


def stored(masks):
    return MaskStore(masks.items())


@pytest.fixture
def session():
    book = PromptBook(SHAPE)
    book.add_points(1, 0, [(0.1, 0.2), (3, 4)], [True, False])
    book.add_box(1, 0, (0, 0, 1 / 3, 5))
    book.add_mask(2, 4, np.eye(8, 9, dtype=bool))
    return SessionFile(
        book=book,
        accepted=((2, 3), (1, 0), (1, 0)),
        accepted_masks=stored({(2, 3): np.tri(8, 9, dtype=bool), (1, 0): np.zeros((8, 9), bool)}),
        settings={"model": "bundled", "overlap": False, "max_hole": 8, "none": None, "f": 0.1},
        contrast=((0.0, 255.0),),
        axis=1,
        at={0: 7},
        region=Region(10, 20, 18, 29),
        names={2: "nucleus µ", 1: "cell"},
        results=stored({(1, 0): np.zeros((8, 9), bool)}),
        handed_over=frozenset({(2, 4)}),
    )


def assert_same(first, second):
    assert first.book == second.book
    assert first.accepted == second.accepted
    assert dict(first.settings) == dict(second.settings)
    assert first.contrast == second.contrast
    assert (first.axis, dict(first.at)) == (second.axis, dict(second.at))
    assert first.region == second.region
    assert dict(first.names) == dict(second.names)
    assert first.accepted_masks.keys() == second.accepted_masks.keys()
    for key, mask in first.accepted_masks.items():
        np.testing.assert_array_equal(mask, second.accepted_masks[key])
    assert first.handed_over == second.handed_over
    assert first.results.keys() == second.results.keys()
    for key, mask in first.results.items():
        np.testing.assert_array_equal(mask, second.results[key])


def changed(session, **blocks):
    document = json.loads(session_to_json(session)) | blocks
    return json.dumps({name: value for name, value in document.items() if value is not ...})


def test_round_trip_through_a_file(session, tmp_path):
    path = tmp_path / "cells.sam2.json"
    write_session(session, path)
    assert_same(read_session(path), session)
    assert read_prompts(path, SHAPE) == session.book
    assert session.accepted == ((1, 0), (2, 3))


def test_the_file_says_what_it_is(session):
    text = session_to_json(session)
    document = json.loads(text)
    assert document["format"] == "napari-sam2 session"
    assert document["version"] == 3
    assert document["shape"] == [5, 8, 9]
    assert sum('"object": 1' in line for line in text.splitlines()) == 2  # one prompt per line


def test_prompts_alone_are_a_session(session):
    assert session_from_json(prompts_to_json(session.book)).book == session.book
    assert session_from_json(prompts_to_json(PromptBook(SHAPE))).book == PromptBook(SHAPE)


prompts = st.builds(
    FramePrompt,
    points=st.lists(
        st.tuples(st.floats(-0.5, 7.5), st.floats(-0.5, 8.5)), min_size=1, max_size=4
    ).map(tuple),
    box=st.none() | st.just((0.1, -0.5, 7.5, 2 / 3)),
    mask=st.none() | hnp.arrays(bool, SHAPE[1:]).filter(np.any),
)


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(st.tuples(st.integers(1, 2**32 - 1), st.integers(0, 4)), prompts, max_size=4),
    st.dictionaries(
        st.text(),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        max_size=4,
    ),
)
def test_round_trip_is_exact(entries, values):
    book = PromptBook(SHAPE)
    for (object_id, frame), prompt in entries.items():
        book.put(object_id, frame, prompt)
    session = SessionFile(book, settings=values)
    assert_same(session_from_json(session_to_json(session)), session)


def volumes(count: int = 3) -> list[SessionFile]:
    """Sessions of the volumes 0 to count - 1 of an image, with a prompt each."""
    found = []
    for volume in range(count):
        book = PromptBook(SHAPE)
        book.put(1, volume % 5, FramePrompt([(2, volume)]))
        found.append(SessionFile(book, axis=1, at={0: volume}, names={1: "cell"}))
    return found


def test_one_file_holds_the_sessions_of_all_volumes(tmp_path):
    path = tmp_path / "cells.sam2.json"
    write_sessions(volumes(), path)
    assert json.loads(path.read_text())["version"] == 4
    for read, written in zip(read_sessions(path), volumes(), strict=True):
        assert_same(read, written)
    assert_same(read_session(path, at={0: 1}), volumes()[1])


def test_which_volume_is_meant_must_be_said(tmp_path):
    path = tmp_path / "cells.sam2.json"
    write_sessions(volumes(7), path)
    with pytest.raises(PromptError, match=r"7 stacks, at axis 0 = 0; .* and 2 more\.") as caught:
        read_session(path)
    assert "--at" in caught.value.remedy
    with pytest.raises(PromptError, match="none at axis 0 = 9"):
        read_session(path, at={0: 9})


@pytest.mark.parametrize(
    ("stacks", "complaint"),
    [
        ([], "stacks holds no session"),
        ({}, "stacks must be a list"),
        ([3], r"stacks\[0\] must be an object"),
        ([{"shape": [1, 2, 2]}], '"prompts" is missing'),
        ([{"shape": [1, 2, 2], "prompts": []}] * 2, "no axis is given twice"),
        ([{"shape": [1, 2, 2], "prompts": [{"object": "a"}]}], r"stacks\[0\].prompts\[0\].object"),
    ],
)
def test_damaged_sessions_of_volumes_name_the_place(stacks, complaint):
    text = json.dumps({"format": FORMAT, "version": 4, "stacks": stacks})
    with pytest.raises(PromptError, match=complaint):
        session_from_json(text)


def test_masks_of_all_volumes_together_are_limited():
    mask = {"object": 1, "frame": 0, "mask": [0, 1]}
    stack = {"shape": [1, 2**14, 2**14], "prompts": [mask]}
    stacks = [{**stack, "at": {"0": volume}} for volume in range(40)]
    text = json.dumps({"format": FORMAT, "version": 4, "stacks": stacks})
    with pytest.raises(PromptError, match="more than can be"):
        session_from_json(text)


def test_a_later_version_is_refused_with_a_remedy(session):
    with pytest.raises(PromptError, match="version 5") as caught:
        session_from_json(changed(session, version=5))
    assert "pip install --upgrade" in caught.value.remedy
    assert "not been changed" in caught.value.safe


def test_files_of_the_first_version_are_read(session):
    first = session_from_json(changed(session, version=1))
    assert first.book == session.book
    assert first.accepted == session.accepted


def test_what_corrects_this_stack_alone_is_left_out_elsewhere(session):
    book = session.book.copy()
    book.add_points(3, 2, [(1, 1)], [False])
    book.add_points(4, 2, [(1, 1)], [False])
    saved = SessionFile(book, results=stored({(3, 2): np.ones((8, 9), bool)}))
    elsewhere = saved.elsewhere()
    assert elsewhere.get(3, 2) is None, "one click on the background, upon what was tracked"
    assert elsewhere.get(4, 2) is not None
    assert elsewhere.get(1, 0) == session.book.get(1, 0)


def test_results_of_frames_of_another_size_are_none(session):
    book = PromptBook(SHAPE)
    book.add_points(1, 0, [(3, 4)])
    text = session_to_json(SessionFile(book, results=stored({(1, 0): np.ones((8, 9), bool)})))
    assert not session_from_json(text, (5, 9, 9)).results
    assert session_from_json(text, (7, 8, 9)).results.keys() == {(1, 0)}


def test_a_result_belongs_to_a_prompt(session):
    with pytest.raises(PromptError, match="not prompted"):
        SessionFile(session.book, results=stored({(1, 1): np.ones((8, 9), bool)}))
    with pytest.raises(PromptError, match="pixels"):
        SessionFile(session.book, results=stored({(1, 0): np.ones((8, 8), bool)}))


def test_blocks_of_later_releases_are_ignored(session):
    assert_same(session_from_json(changed(session, notes=["fine"])), session)


@pytest.mark.parametrize(
    ("blocks", "says"),
    [
        ({"format": "other"}, 'does not say "format"'),
        ({"version": 0}, "1 or more"),
        ({"version": "1"}, "version must be a whole number"),
        ({"version": ...}, '"version" is missing'),
        ({"shape": ...}, '"shape" is missing'),
        ({"shape": [5, 8]}, "shape of a stack"),
        ({"prompts": ...}, '"prompts" is missing'),
        ({"prompts": {}}, r"prompts must be a list"),
        ({"prompts": [3]}, r"prompts\[0\] must be an object"),
        ({"prompts": [{"frame": 0}]}, '"object" is missing'),
        ({"prompts": [{"object": 1, "frame": 0}]}, r"prompts\[0\]: The prompt is empty"),
        ({"prompts": [{"object": True, "frame": 0}]}, r"prompts\[0\]\.object must be"),
        ({"prompts": [{"object": 1, "frame": 9, "box": [0, 0, 1, 1]}]}, r"prompts\[0\]: Frame 9"),
        ({"prompts": [{"object": 1, "frame": 0, "points": [["a", 1]]}]}, r"points\[0\]\[0\] must"),
        ({"prompts": [{"object": 1, "frame": 0, "points": [[9, 1]]}]}, "y = 9 is outside"),
        ({"prompts": [{"object": 1, "frame": 0, "points": [[1]]}]}, r"\(y, x\) pairs"),
        (
            {"prompts": [{"object": 1, "frame": 0, "points": [[1, 1]], "positive": [1]}]},
            r"positive\[0\] must be true or false",
        ),
        ({"prompts": [{"object": 1, "frame": 0, "boxes": []}]}, "unknown field 'boxes'"),
        ({"prompts": [{"object": 1, "frame": 0, "mask": [1, 2]}]}, "add up to 3"),
        ({"prompts": [{"object": 1, "frame": 0, "box": [0, 0, 1, 1]}] * 2}, "given twice"),
        ({"accepted": [{"frame": 5, "object": 1}]}, "Frame 5"),
        ({"accepted": [{"frame": 1}]}, '"object" is missing'),
        ({"names": {"a": "cell"}}, r"names\.a must be named by the number of an object"),
        ({"names": {"1": 2}}, r"names\.1"),
        ({"settings": {"a": [1]}}, r"settings\.a must be a single value"),
        ({"contrast": [[1, 2, 3]]}, r"contrast\[0\] must be \[low, high\]"),
        ({"axis": "z"}, "axis must be a whole number"),
        ({"at": {"z": 1}}, "number of an axis"),
    ],
)
def test_wrong_values_are_named(session, blocks, says):
    with pytest.raises(PromptError, match=says) as caught:
        session_from_json(changed(session, **blocks))
    assert caught.value.remedy


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '{"version": NaN}', "[" * 100_000])
def test_what_is_no_session_is_refused(text):
    with pytest.raises(PromptError) as caught:
        session_from_json(text)
    assert caught.value.remedy


def test_every_truncation_is_an_error(session):
    text = session_to_json(session).rstrip()
    for length in range(0, len(text), 7):
        with pytest.raises(PromptError):
            session_from_json(text[:length])


def test_a_session_replays_on_a_stack_where_it_fits():
    book = PromptBook(SHAPE)
    book.add_points(1, 3, [(7, 8)])
    text = prompts_to_json(book)
    assert session_from_json(text, (9, 80, 90)).book.get(1, 3) == book.get(1, 3)
    with pytest.raises(PromptError, match="Frame 3 is outside"):
        session_from_json(text, (2, 80, 90))


def test_masks_need_the_same_frame_size(session):
    with pytest.raises(PromptError, match=r"mask is \(8, 9\) pixels, the frame \(80, 90\)"):
        session_from_json(changed(session, region=...), (5, 80, 90))
    with pytest.raises(PromptError, match=r"accepted, is \(8, 9\) pixels, the frame \(80, 90\)"):
        session_from_json(session_to_json(session), (5, 80, 90))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"settings": {"a": float("nan")}}, "setting 'a'"),
        ({"settings": {"a": (1, 2)}}, "setting 'a'"),
        ({"contrast": ((0, np.inf),)}, "contrast limit"),
        ({"accepted": ((1, 9),)}, "Frame 9"),
        ({"accepted": ((0, 0),)}, "Object id 0"),
        ({"accepted_masks": stored({(1, 0): np.zeros((8, 9), bool)})}, "not accepted"),
        (
            {"accepted": ((1, 0),), "accepted_masks": stored({(1, 0): np.zeros((9, 8), bool)})},
            "pixels",
        ),
    ],
)
def test_what_a_file_cannot_hold_is_refused_early(fields, says):
    with pytest.raises(PromptError, match=says):
        SessionFile(PromptBook(SHAPE), **fields)


def test_missing_binary_and_foreign_files(tmp_path):
    with pytest.raises(PromptError, match="cannot be read"):
        read_prompts(tmp_path / "nowhere.json", SHAPE)
    folder = tmp_path / "folder.json"
    folder.mkdir()
    with pytest.raises(PromptError, match="cannot be read"):
        read_prompts(folder, SHAPE)
    (tmp_path / "image.json").write_bytes(b"II*\x00\xff\xfe")
    with pytest.raises(PromptError, match="not a text file"):
        read_prompts(tmp_path / "image.json", SHAPE)
    with pytest.raises(PromptError, match=r"neither \.json nor \.csv"):
        read_prompts(tmp_path / "prompts.xlsx", SHAPE)
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(PromptError, match=r"list\.json: The file does not say"):
        read_session(tmp_path / "list.json")


def test_a_failed_write_leaves_the_former_file_whole(session, tmp_path, monkeypatch):
    path = tmp_path / "cells.json"
    write_session(session, path)
    before = path.read_bytes()

    def no_space(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(PromptError, match="No space left") as caught:
        write_prompts(PromptBook(SHAPE), path)
    assert "unchanged" in caught.value.safe
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_an_error(session, tmp_path):
    with pytest.raises(PromptError, match="cannot be written"):
        write_session(session, tmp_path / "none" / "cells.json")


def test_a_link_stays_a_link(session, tmp_path):
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("old")
    try:
        link.symlink_to(real)
    except OSError:  # Windows without the right to make links: the plain file remains to test
        link = real
    write_session(session, link)
    assert_same(read_session(real), session)
    assert link.is_symlink() == (link != real)


def test_a_region_is_of_the_size_of_the_frames(session):
    with pytest.raises(PromptError, match="region"):
        session_from_json(changed(session, region=[0, 0, 8, 8]))
    with pytest.raises(PromptError, match="y0, x0, y1, x1"):
        session_from_json(changed(session, region=[0, 0, 8]))
    assert session_from_json(changed(session, region=...)).region is None


def test_prompts_for_another_stack_have_no_region(session):
    read = session_from_json(session_to_json(session), (9, 8, 9))
    assert (read.region, read.book.shape) == (None, (9, 8, 9))


def of_a_part() -> SessionFile:
    book = PromptBook((3, 32, 32))
    book.add_points(1, 0, [(4.0, 5.0), (6.0, 6.0)], [True, False])
    book.add_box(1, 1, (2, 3, 8, 9))
    book.add_mask(2, 2, np.eye(32, dtype=bool))
    return SessionFile(book, axis=0, region=Region(100, 200, 132, 232))


def test_the_prompts_of_a_part_are_in_their_place_in_the_whole_image(tmp_path):
    write_session(of_a_part(), tmp_path / "part.sam2.json")
    whole = read_session(tmp_path / "part.sam2.json", (3, 300, 300))
    assert (whole.region, whole.book.shape) == (None, (3, 300, 300))
    assert whole.book.get(1, 0).points == ((104.0, 205.0), (106.0, 206.0))
    assert whole.book.get(1, 1).box == (102, 203, 108, 209)
    np.testing.assert_array_equal(
        np.argwhere(whole.book.get(2, 2).mask), np.arange(32)[:, None] + (100, 200)
    )
    same = read_prompts(tmp_path / "part.sam2.json", (3, 300, 300))
    assert [(i, t, p.points) for i, t, p in same] == [(i, t, p.points) for i, t, p in whole.book]


def test_the_prompts_of_a_part_stay_as_they_are_on_the_part(tmp_path):
    write_session(of_a_part(), tmp_path / "part.sam2.json")
    part = read_prompts(tmp_path / "part.sam2.json", (5, 32, 32))
    assert part.get(1, 0).points == ((4.0, 5.0), (6.0, 6.0))


@pytest.mark.parametrize("shape", [(3, 300, 231), (3, 131, 300), (3, 40, 40)])
def test_the_prompts_of_a_part_need_frames_that_hold_it(shape):
    with pytest.raises(PromptError, match="is of the part 100:132, 200:232"):
        session_from_json(session_to_json(of_a_part()), shape)


WRITTEN_BEFORE = """{
 "format": "napari-sam2 session",
 "version": 2,
 "shape": [5, 2, 3],
 "prompts": [
  {"object": 1, "frame": 4, "points": [[1.0, 2.0], [0.0, 0.0]], "positive": [true, false]},
  {"object": 2, "frame": 3, "points": [[0.0, 1.0]], "positive": [false], "result": [6]},
  {"object": 3, "frame": 0, "mask": [0, 1, 3, 1, 1], "handed_over": true}
 ],
 "accepted": [
  {"frame": 0, "object": 3},
  {"frame": 2, "object": 1, "mask": [0, 2, 4]},
  {"frame": 2, "object": 3, "mask": [4, 2]},
  {"frame": 4, "object": 1, "mask": [5, 1]}
 ]
}
"""
"""Written when sessions still gave frame and object in this order."""


def test_files_from_before_object_and_frame_changed_places_are_read_and_written_alike():
    session = session_from_json(WRITTEN_BEFORE)
    assert session.accepted == ((3, 0), (1, 2), (3, 2), (1, 4))
    assert session.accepted[1] == ObjectFrame(object_id=1, frame=2)
    assert session.accepted_masks.keys() == {(1, 2), (3, 2), (1, 4)}
    assert session.results.keys() == {ObjectFrame(object_id=2, frame=3)}
    assert session.handed_over == {ObjectFrame(object_id=3, frame=0)}
    now = WRITTEN_BEFORE.replace('"version": 2', '"version": 3')
    assert session_to_json(session) == now


def test_spans_come_back_and_are_checked():
    session = SessionFile(PromptBook((5, 6, 7)), spans={3: (0, 2), 8: (2, 5)})
    again = session_from_json(session_to_json(session))
    assert again.spans == {3: (0, 2), 8: (2, 5)}
    for text in ('{"3": [0]}', '{"3": [2, 9]}', '{"3": [2, 2]}', '{"x": [0, 2]}', "[3]"):
        with pytest.raises(PromptError):
            session_from_json(session_to_json(session).replace('{"3": [0, 2], "8": [2, 5]}', text))
