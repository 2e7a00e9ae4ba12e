"""Write the lower bounds of the package's dependencies as constraints for pip.

Reads ``pyproject.toml`` and pins every runtime dependency to the version after ``>=``; what these
packages depend on in turn is left to pip. Used by ``tox run -e lowest``::

    python .ci/lowest.py lowest.txt
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def lower_bounds(pyproject: Path) -> list[str]:
    """One line ``name==version`` for each entry of ``project.dependencies``.

    Raises
    ------
    ValueError
        If a dependency has no lower bound.
    """
    with pyproject.open("rb") as file:
        dependencies = tomllib.load(file)["project"]["dependencies"]
    pins = []
    for requirement in dependencies:
        bound = re.match(r"([A-Za-z0-9._-]+)[^;]*?>=\s*([0-9][0-9A-Za-z.]*)", requirement)
        if bound is None:
            raise ValueError(f"pyproject.toml: {requirement!r} has no lower bound")
        pins.append("{}=={}".format(*bound.groups()))
    return pins


if __name__ == "__main__":
    Path(sys.argv[1]).write_text("\n".join(lower_bounds(PYPROJECT)) + "\n", "utf-8")
