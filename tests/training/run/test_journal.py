from __future__ import annotations

import pytest

from napari_sam2.errors import TrainingError
from napari_sam2.training import read_records
from napari_sam2.training.run.journal import append_record, rewind


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "journal.jsonl"
    for step in range(3):
        append_record(path, {"step": step, "loss": 0.5, "phase": "µ"})
    return path


def test_records_after_a_step_are_removed(log):
    rewind(log, 1)
    assert [record["step"] for record in read_records(log)] == [0, 1]


@pytest.mark.parametrize("end", [b'{"step": 3', b'{"step": 3, "phase": "\xc2'])
def test_what_a_kill_left_half_is_left_out(log, end):
    with log.open("ab") as file:
        file.write(end)
    assert len(read_records(log)) == 3
    rewind(log, 5)
    assert log.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[1, 2]",
        b"{}",
        b'{"step": "one"}',
        b'{"step": ' + b"9" * 5000 + b"}",
        b'{"step": 1, "loss": 1' + b"0" * 400 + b"}",
        b'{"step": 1, "loss": [1]}',
        b'{"step": NaN}',
        b'{"step": -1}',
        b'{"a":' * 20_000,
        b"\xff\xfe",
    ],
)
def test_a_damaged_line_is_named(log, line):
    content = log.read_bytes()
    log.write_bytes(content + line + b"\n" + content)
    for read in (read_records, lambda path: rewind(path, 1)):
        with pytest.raises(TrainingError, match=r"Line 4 of the log .*journal\.jsonl is damaged"):
            read(log)
    assert log.read_bytes() == content + line + b"\n" + content
