"""Session files and tables that claim more than anyone has, or hold what no session holds."""

from __future__ import annotations

import json
import os
import sys
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest

from napari_sam2._limits import MOST_FRAME_PIXELS, MOST_POINTS
from napari_sam2.errors import PromptError
from napari_sam2.prompts import FramePrompt, read_prompts, read_session
from napari_sam2.prompts.session_file import FORMAT

MOST_BYTES = 50_000_000


@pytest.fixture
def few_bytes() -> Iterator[None]:
    """Nothing inside allocates more than a small file deserves."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def session_text(shape=(2, 10, 10), **blocks) -> str:
    whole = {"format": FORMAT, "version": 2, "shape": list(shape), "prompts": []}
    return json.dumps(whole | blocks)


def written(tmp_path, text: str, name="a.sam2.json"):
    path = tmp_path / name
    path.write_text(text)
    return path


def prompt(**fields) -> dict:
    return {"object": 1, "frame": 0, **fields}


@pytest.mark.usefixtures("few_bytes")
@pytest.mark.parametrize("kind", ["mask", "accepted", "result"])
def test_claimed_shapes_take_no_memory(tmp_path, kind):
    side = 90_000
    mask = [side * side - 1, 1]
    blocks = {
        "mask": {"prompts": [prompt(mask=mask)]},
        "accepted": {"accepted": [prompt(mask=mask)]},
        "result": {"prompts": [prompt(points=[[1, 1]], positive=[True], result=mask)]},
    }
    path = written(tmp_path, session_text((1, side, side), **blocks[kind]))
    assert path.stat().st_size < 250
    with pytest.raises(PromptError, match=r"a\.sam2\.json: .*90000 x 90000 pixels, the image has"):
        read_session(path, image=(1, 100, 100))
    if kind == "mask":
        with pytest.raises(PromptError, match=r"would take 1 mask.* of 90000 x 90000"):
            read_session(path)
    else:
        read_session(path)  # they stay packed


@pytest.mark.usefixtures("few_bytes")
def test_many_masks_of_a_known_size_are_counted_together(tmp_path):
    side = 20_000
    mask = [side * side - 1, 1]
    prompts = [{"object": k, "frame": 0, "mask": mask} for k in range(1, 31)]
    path = written(tmp_path, session_text((1, side, side), prompts=prompts))
    with pytest.raises(PromptError, match="would take 30 mask"):
        read_session(path, image=(1, side, side))
    path = written(tmp_path, session_text((1, side, side), prompts=[prompt(mask=[side * side])]))
    with pytest.raises(PromptError, match=r"prompts\[0\].*mask is empty"):
        read_session(path)


def test_a_mask_of_the_size_that_its_image_has_is_read_whatever_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_sam2.prompts.session_reader.MOST_FRAME_PIXELS", 50)
    path = written(tmp_path, session_text(prompts=[prompt(mask=[7, 3, 90])]))
    with pytest.raises(PromptError, match="more than can be"):
        read_session(path)
    for saved in (read_session(path, image=(4, 2, 10, 10)), read_session(path, (2, 10, 10))):
        (kept,) = (one.mask for _, _, one in saved.book)
        np.testing.assert_array_equal(np.flatnonzero(kept), [7, 8, 9])
        assert not kept.flags.writeable


def test_the_limit_is_above_whole_slides_regions():
    assert MOST_FRAME_PIXELS > 20_000**2


def test_a_table_of_many_points_is_linear(tmp_path, monkeypatch):
    made = []
    checked = FramePrompt.__post_init__
    monkeypatch.setattr(
        FramePrompt, "__post_init__", lambda self: (made.append(1), checked(self))[1]
    )
    rows = [f"0,{k % 10 + 1},point,{k % 9},{k % 7}" for k in range(3000)]
    path = written(tmp_path, "frame,object,kind,y,x\n" + "\n".join(rows), "a.csv")
    book = read_prompts(path, (2, 10, 10))
    assert sum(len(each.points) for _, _, each in book) == 3000
    assert len(made) <= 30, "a prompt for every point would be quadratic"


@pytest.mark.parametrize("name", ["a.csv", "a.sam2.json"])
def test_too_many_points_in_one_place_are_refused(tmp_path, name):
    count = MOST_POINTS + 1
    text = (
        "frame,object,kind,y,x\n" + "0,1,point,1,1\n" * count
        if name == "a.csv"
        else session_text(prompts=[prompt(points=[[1, 1]] * count)])
    )
    with pytest.raises(PromptError, match=rf"{name}: .*{count} points.*more than {MOST_POINTS}"):
        read_prompts(written(tmp_path, text, name), (2, 10, 10))


LONG = "9" * 5000
NUMBERS = {"5,000 digits": LONG, "10 to the 400": "1" + "0" * 400, "huge float": "1e400"}
PLACES = {
    "version": '"version": {}',
    "shape": '"shape": [1, {}, 10]',
    "frame": '"prompts": [{{"object": 1, "frame": {}, "points": [[1, 1]]}}]',
    "object": '"prompts": [{{"object": {}, "frame": 0, "points": [[1, 1]]}}]',
    "point": '"prompts": [{{"object": 1, "frame": 0, "points": [[{}, 1]]}}]',
    "box": '"prompts": [{{"object": 1, "frame": 0, "box": [1, 1, {}, 4]}}]',
    "mask": '"prompts": [{{"object": 1, "frame": 0, "mask": [1, {}]}}]',
    "result": '"prompts": [{{"object": 1, "frame": 0, "points": [[1, 1]], "result": [{}]}}]',
    "rounds": '"prompts": [{{"object": 1, "frame": 0, "points": [[1, 1]], "rounds": [{}]}}]',
    "accepted": '"accepted": [{{"object": 1, "frame": 0, "mask": [{}]}}]',
    "contrast": '"contrast": [[0, {}]]',
    "region": '"region": [0, 0, {}, 10]',
    "names": '"names": {{"{}": "cell"}}',
    "at": '"at": {{"{}": 3}}',
}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_numbers_that_are_too_large_are_named(tmp_path, place, number):
    whole = json.loads(session_text())
    name = place.split('"')[1]
    whole.pop(name, None)
    text = json.dumps(whole)[:-1] + ", " + place.format(number) + "}"
    with pytest.raises(PromptError, match=r"^a\.sam2\.json: ") as caught:
        read_session(written(tmp_path, text))
    assert len(str(caught.value)) < 1000


def test_long_sums_of_run_lengths_are_no_traceback(tmp_path):
    longest = 2**63 - 1
    path = written(tmp_path, session_text(accepted=[prompt(mask=[longest] * 100)]))
    with pytest.raises(PromptError, match="far more pixels instead of 100"):
        read_session(path)


def test_channels_of_thousands_of_digits_are_none(tmp_path):
    saved = read_session(written(tmp_path, session_text(settings={"channels": LONG + ",1"})))
    assert saved.channels == (1,)


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000])
def test_deep_json_is_refused(tmp_path, deep):
    with pytest.raises(PromptError, match=r"a\.sam2\.json: The file is"):
        read_session(written(tmp_path, deep))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["device", "pipe", "loop", "large"])
def test_what_is_no_file_is_not_opened(tmp_path, kind, monkeypatch):
    path = tmp_path / "a.sam2.json"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.touch()
        os.truncate(path, 2**40)
    with pytest.raises(PromptError, match=r"a\.sam2\.json cannot be read: \w"):
        read_session(path)
