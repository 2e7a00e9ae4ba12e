"""Synthetic clips for training: cells, neuropil, scans, solids; exact labels, no two alike.

Everything is deterministic by seed or generator; numpy and scipy only.
"""

from __future__ import annotations

from synthetic.clips import random_clip
from synthetic.kinds import KINDS

__all__ = ["KINDS", "random_clip"]
