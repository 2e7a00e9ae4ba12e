"""The napari window: dock widgets, their views, the coordinator behind them, sample data."""
