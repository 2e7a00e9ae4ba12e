"""The ``napari-sam2`` command."""

from __future__ import annotations

from napari_sam2.cli.main import main

__all__ = ["main"]
