"""Tables on disk."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from napari_sam2.errors import MeasurementError
from napari_sam2.measure import measure, write_table
from napari_sam2.measure.files import header_of


@pytest.fixture
def table() -> pd.DataFrame:
    labels = np.zeros((2, 20, 20), np.uint8)
    labels[:, 3:9, 4:12] = 2
    return measure(labels, labels, scale=(10, 0.2, 0.2), units=("s", "µm", "µm"))


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv", "\t")])
def test_text_comes_back_with_units_in_its_header(tmp_path, table, name, separator):
    write_table(table, tmp_path / name)
    again = pd.read_csv(tmp_path / name, comment="#", sep=separator)
    assert list(again.columns) == list(table.columns)
    np.testing.assert_allclose(again["area"], table["area"])
    lines = (tmp_path / name).read_text("utf-8").splitlines()
    header = [line for line in lines if line.startswith("#")]
    assert any(line.startswith("# unit µm^2: area") for line in header)
    assert "# scale of the axes TYX: 10, 0.2, 0.2" in header


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_channel_may_have_a_hash_in_its_name(tmp_path, table, name):
    named = table.rename(columns={"intensity_mean": "intensity_mean-dye #2"})
    write_table(named, tmp_path / name)
    again = pd.read_csv(tmp_path / name, comment="#", sep="," if name == "a.csv" else "\t")
    assert list(again.columns) == list(named.columns)
    np.testing.assert_allclose(again["generation"], named["generation"])
    np.testing.assert_allclose(again["intensity_mean-dye #2"], named["intensity_mean-dye #2"])
    assert again["parent"].isna().all()


def test_a_former_file_survives_a_failure(tmp_path, table, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("former", "utf-8")

    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(MeasurementError, match="No space left"):
        write_table(table, path)
    assert path.read_text("utf-8") == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_suffix_is_an_error(tmp_path, table):
    with pytest.raises(MeasurementError, match=r"\.csv"):
        write_table(table, tmp_path / "a.xlsx")


def test_parquet_is_written_where_pyarrow_is(tmp_path, table):
    path = tmp_path / "a.parquet"
    if find_spec("pyarrow") is None:
        with pytest.raises(MeasurementError, match="pyarrow"):
            write_table(table, path)
        return
    write_table(table, path)
    again = pd.read_parquet(path)
    assert again.attrs["units"] == table.attrs["units"]
    np.testing.assert_allclose(again["area"], table["area"])


def test_a_table_without_attributes_has_a_header(table):
    assert header_of(pd.DataFrame({"label": [1]})) == [
        "napari-sam2 measurements, one row per object and frame"
    ]
