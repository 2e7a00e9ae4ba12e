"""Losses of prompted frames, of tracked frames and of dense features."""
