"""The ``napari-sam2`` command.

All of it runs on the main thread of the command.
"""

from __future__ import annotations

from napari_sam2.cli.main import main

__all__ = ["main"]
