"""What the panel works with, as plain values: no Qt, no napari layers, any thread."""
