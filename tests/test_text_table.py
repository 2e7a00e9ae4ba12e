"""Tables are plain text with aligned columns, whatever the terminal and the cells are."""

from __future__ import annotations

import pytest

from napari_sam2._text_table import table_lines


def test_columns_are_aligned() -> None:
    rows = [("nuclei", "12", "0.5"), ("a", "3", "0.25")]
    assert table_lines(("set", "objects", "IoU"), rows, left=1) == [
        "set     objects   IoU",
        "nuclei       12   0.5",
        "a             3  0.25",
    ]


def test_without_titles_there_is_no_line_of_them() -> None:
    assert table_lines(("", ""), [("a", "1"), ("b", "22")], left=1) == ["a   1", "b  22"]


def test_without_rows_titles_stand_alone() -> None:
    assert table_lines(("set", "IoU"), [], left=1) == ["set  IoU"]


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE", "COLUMNS"])
def test_the_terminal_changes_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    (titles, row) = table_lines(["x" * 300, "n"], [["y" * 300, "0.123"]])
    assert titles == "x" * 300 + "      n"
    assert row == "y" * 300 + "  0.123"


@pytest.mark.parametrize("cell", ["[bold]stack[/bold]", ":smile:", "a/[red]", "細胞"])
def test_names_are_shown_as_they_are(cell: str) -> None:
    assert table_lines(("name", "n"), [(cell, "1")], left=1)[1].startswith(cell)


def test_wide_characters_take_two_columns() -> None:
    _, first, second = table_lines(("name", "n"), [("細胞", "1"), ("cell", "1")], left=1)
    assert (first, second) == ("細胞  1", "cell  1")
