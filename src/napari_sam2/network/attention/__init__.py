"""Attention layers: scaled dot product, tiled, with rotary positions, two-way."""
