"""Adapters to napari's layers: reading prompts, writing masks, looks. Main thread only."""
