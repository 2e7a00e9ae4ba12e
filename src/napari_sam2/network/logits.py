"""Mask logits that stand for masks which the decoder did not predict."""

ABSENT_LOGIT = -1024.0
"""Mask logit of every pixel where the object score says that the object is absent, as in SAM 2."""

DRAWN_LOGIT = 10.0
"""Mask logit, up to its sign, of a mask that the user drew; 10 as in SAM 2."""

LOGIT_LIMIT = 32.0
"""Logits of a mask prompt are clamped to plus and minus this, in training and in use."""

OUTSIDE_LOGIT = -10.0
"""Mask logit of pixels that a window did not show: background."""
