"""Charts and contact sheets that the commands write."""
