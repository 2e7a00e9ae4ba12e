"""Tables as pyarrow reads them."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from napari_sam2.measure import measure, write_table

pytestmark = pytest.mark.interop


def test_a_table_comes_back_with_types_and_units(labels, divisions, scale, tmp_path):
    import pyarrow.parquet

    units = ("s", *("µm",) * (labels.ndim - 1))
    table = measure(labels, labels, scale=scale, units=units, divisions=divisions)
    write_table(table, tmp_path / "a.parquet")
    stored = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert stored.column_names == list(table.columns)
    assert stored.schema.field("parent").type == "int64"
    assert stored["parent"].null_count == table["parent"].isna().sum() > 0
    about = json.loads(stored.schema.metadata[b"PANDAS_ATTRS"])
    assert about["units"]["area"] == f"µm^{labels.ndim - 1}"
    assert about["scale"] == list(scale)
    again = pd.read_parquet(tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(again, table)
    assert again.attrs["units"] == table.attrs["units"]
