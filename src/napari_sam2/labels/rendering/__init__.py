"""Pictures of labels: overlays, contact sheets, colours."""
