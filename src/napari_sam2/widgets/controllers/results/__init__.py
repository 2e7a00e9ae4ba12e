"""What becomes of the labels: divisions, tracks and measurements, files. Main thread."""
