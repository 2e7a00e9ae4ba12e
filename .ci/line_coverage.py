"""Print the line coverage that SlipCover measured, in percent, as coverage.py counts lines.

SlipCover probes the lines of this package until they have run, where coverage.py, on Python 3.11,
traces every line of every package each time: tests of the panel then take 1.7 times as long. What
counts as a line is left to coverage.py, and the data file is one of its own. Used by ``tox run``::

    python .ci/line_coverage.py lines.json
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

from coverage import Coverage


def main(measured: Path) -> None:
    """Write a data file as coverage.py would have done, and report its total."""
    files = json.loads(measured.read_text("utf-8"))["files"]
    lines = {str(Path(name).resolve()): each["executed_lines"] for name, each in files.items()}
    report = Coverage()
    data = report.get_data()
    data.erase()
    data.add_lines(lines)
    data.touch_files(lines)
    data.write()
    report.load()
    sys.stdout.write(f"{report.report(file=io.StringIO()):.1f}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
