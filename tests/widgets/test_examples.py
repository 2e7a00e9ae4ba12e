"""The notebook of the documentation runs as it is, on a smaller stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np

NOTEBOOK = Path(__file__).parents[2] / "docs" / "examples" / "segment_nuclei.py"


def test_the_notebook_segments_nuclei(capsys):
    *cells, last = NOTEBOOK.read_text("utf-8").split("# %%")
    assert "napari.Viewer()" in last, "the cell that needs a screen is left out here"
    text = "# %%".join(cells)
    small = text.replace("SHAPE = (24, 192, 192)", "SHAPE = (4, 96, 96)")
    assert small != text
    names: dict = {}
    exec(compile(small, NOTEBOOK.name, "exec"), names)
    found, truth = names["labels"].data, names["sample"].labels
    assert set(np.unique(found)) == {0, *range(1, len(names["clicks"]) + 1)}
    shared = [((found[2] == i) & (truth[2] == n)).sum() for i, n in enumerate(names["largest"], 1)]
    either = [((found[2] == i) | (truth[2] == n)).sum() for i, n in enumerate(names["largest"], 1)]
    assert np.sum(shared) / np.sum(either) > 0.5
    assert np.array_equal(names["again"].data[2], found[2])
    assert not names["again"].data[:2].any()
    assert "object 1:" in capsys.readouterr().out
