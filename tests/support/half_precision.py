"""Whether torch computes attention in bfloat16 on this processor, as it is set up."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F


def _fault() -> str | None:
    """Return what torch says where it cannot.

    torch 2.13 looks at the processor, not at ATEN_CPU_CAPABILITY, for what it may use, and then
    misses it: on processors with AMX where that variable forbids AVX-512.
    """
    query = torch.zeros(1, 1, 256, 32, dtype=torch.bfloat16)
    try:
        F.scaled_dot_product_attention(query, query, query)
    except RuntimeError as error:
        return str(error)
    return None


needs_half_precision = pytest.mark.skipif(
    _fault() is not None, reason=f"torch computes no attention in bfloat16 here: {_fault()}"
)
