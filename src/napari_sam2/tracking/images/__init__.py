"""Frames on their way into the network: read, resized, encoded, cached; windows around objects."""
