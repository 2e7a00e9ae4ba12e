"""Decoding of prompts and features to the masks of one frame."""
