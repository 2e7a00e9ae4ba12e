"""Connect views, layers and the session worker. Main thread only."""
