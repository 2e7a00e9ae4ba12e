"""Views of results: tracks and measurements, plot, files. Main thread."""
