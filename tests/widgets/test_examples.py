"""The notebook of the documentation runs as it is, on a smaller stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "segment_nuclei.py"


def test_the_notebook_segments_nuclei(capsys):
    *cells, last = NOTEBOOK.read_text("utf-8").split("# %%")
    assert "napari.Viewer()" in last, "the cell that needs a screen is left out here"
    text = "# %%".join(cells)
    small = text.replace("SHAPE = (24, 192, 192)", "SHAPE = (3, 96, 96)")
    assert small != text
    names: dict = {}
    exec(compile(small, NOTEBOOK.name, "exec"), names)
    found, truth = names["labels"].data, names["sample"].labels
    assert set(np.unique(found)) == {0, *range(1, len(names["clicks"]) + 1)}
    shared = [((found[1] == i) & (truth[1] == n)).sum() for i, n in enumerate(names["largest"], 1)]
    either = [((found[1] == i) | (truth[1] == n)).sum() for i, n in enumerate(names["largest"], 1)]
    assert np.sum(shared) / np.sum(either) > 0.5
    assert np.array_equal(names["again"].data[1], found[1])
    assert not names["again"].data[0].any()
    assert "object 1:" in capsys.readouterr().out
