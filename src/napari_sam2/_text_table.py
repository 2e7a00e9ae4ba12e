"""Plain text tables for terminals, files and pipes, laid out by rich.

Pure functions; any thread may use them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import StringIO

_GAP = 2
_WIDEST = 1_000_000  # characters: no table is ever wrapped or cut to the width of a terminal


def table_lines(titles: Sequence[str], rows: Iterable[Sequence[str]], left: int = 0) -> list[str]:
    """Lay a table out as lines of text without colours, however wide the terminal is.

    Parameters
    ----------
    titles : sequence of str
        One per column; empty titles throughout leave the line of titles out.
    rows : iterable of sequence of str
        Cells, as many in each row as there are titles.
    left : int
        Columns at the start that are aligned left; the others are aligned right.

    Returns
    -------
    list of str
        Without spaces at the ends of lines.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, show_header=any(titles))
    for number, title in enumerate(titles):
        table.add_column(Text(title), justify="left" if number < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    text = StringIO()
    # Terminals, environment variables and markup in names have no influence on the text.
    console = Console(
        file=text, width=_WIDEST, color_system=None, force_terminal=False, legacy_windows=False
    )
    console.print(table)
    return [line.rstrip() for line in text.getvalue().splitlines()]
