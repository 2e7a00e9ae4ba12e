"""Memories of objects: conditioning frames, recent frames and the state of each track."""
