"""Earlier work is found beside an image whatever else lies there."""

from __future__ import annotations

import json
import os

import pytest

from napari_sam2.prompts import PromptBook, SessionFile, write_session
from napari_sam2.prompts.session_file import FORMAT
from napari_sam2.widgets.autosave.file_store import SessionStore
from napari_sam2.widgets.autosave.locations import ImageFacts, session_locations

SHAPE = (4, 64, 64)


def claimed(**blocks) -> str:
    whole = {"format": FORMAT, "version": 2, "shape": list(SHAPE), "axis": 0, "prompts": []}
    return json.dumps(whole | blocks)


CLICK = {"object": 1, "frame": 0, "points": [[1, 1]], "positive": [True]}
FLOOD = {"object": 1, "frame": 0, "mask": [90_000**2 - 1, 1]}
DAMAGED = {
    "empty": "",
    "deep": "[" * 100_000,
    "long name": claimed().replace('"prompts"', '"names": {"' + "9" * 5000 + '": "a"}, "prompts"'),
    "long number": claimed().replace('"axis": 0', '"axis": ' + "9" * 5000),
    "huge number": claimed(at={"1": 10**400}),
    "channels": claimed(settings={"channels": "9" * 5000, "channel_axis": 0}, prompts=[CLICK]),
    "flood": claimed(shape=[4, 90_000, 90_000], prompts=[FLOOD]),
    "odd setting": claimed(settings={"channel_axis": True, "channels": "a"}, prompts=[CLICK]),
}


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "cells.tif"
    path.touch()
    return ImageFacts(str(path), "cells", SHAPE)


@pytest.fixture
def found(image, qtbot):
    """``found()``: the earlier work that is told of."""
    store = SessionStore()

    def find():
        with qtbot.waitSignal(store.found, timeout=20_000) as told:
            store.look_for(image)
        return told.args[1]

    yield find
    store.close()


@pytest.mark.parametrize("text", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_hides_no_other(image, found, tmp_path, text):
    book = PromptBook(SHAPE)
    book.add_points(1, 0, [(5, 5)])
    write_session(SessionFile(book, axis=0), tmp_path / "cells.sam2.json")
    (tmp_path / "cells-2.sam2.json").write_text(text)
    os.utime(tmp_path / "cells.sam2.json", (4e9, 4e9))
    (saved,) = found().files.values()
    assert saved.book == book


def test_sessions_of_images_with_long_names_can_be_written(tmp_path):
    path = tmp_path / ("n" * 251 + ".tif")
    path.touch()
    book = PromptBook(SHAPE)
    book.add_points(1, 0, [(5, 5)])
    for location in session_locations(ImageFacts(str(path), "n" * 400, (7, *SHAPE))):
        for each in (location.next().file, location.next().results(((0, 6), (1, 5)))):
            assert len(os.fsencode(each.name)) <= 255
    near = session_locations(ImageFacts(str(path), "n", SHAPE))[0].file
    write_session(SessionFile(book, axis=0), near)
    assert near.is_file()
