"""``python -m napari_sam2.cli``: the command where its script is not on the path."""

from __future__ import annotations

from napari_sam2.cli.main import main

main()
