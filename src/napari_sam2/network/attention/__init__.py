"""Attention: scaled dot product, in tiles, with rotary positions, two-way."""
