from __future__ import annotations

from pathlib import Path

import pytest

from napari_sam2.checkpoints.provenance import (
    TrustRecord,
    Voucher,
    now,
    read_record,
    record_path,
    write_record,
)


def test_record_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "model.pt"
    record = TrustRecord("ab" * 32, 7, Voucher.USER, "https://example.org/model.pt", now())
    write_record(file, record)
    assert read_record(file) == record
    assert [path.name for path in tmp_path.iterdir()] == ["model.pt.trust.json"]


def test_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path / "model.pt") is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"voucher": "nobody"}', '{"voucher": "user", "sha256": "ab"}']
)
def test_damaged_record_vouches_for_nothing(tmp_path: Path, text: str) -> None:
    file = tmp_path / "model.pt"
    record_path(file).write_text(text, encoding="utf-8")
    assert read_record(file) is None
