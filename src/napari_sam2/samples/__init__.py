"""Synthetic stacks with exact labels: sample data and the demo's input.

Everything is deterministic by seed or generator; numpy and scipy only.
All of it runs on the caller's thread.
"""

from __future__ import annotations

from napari_sam2.samples.cells import dividing_cells
from napari_sam2.samples.nuclei import nuclei_stack
from napari_sam2.samples.stack import SampleStack

__all__ = ["SampleStack", "dividing_cells", "nuclei_stack"]
