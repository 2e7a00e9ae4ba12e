"""Charts that the commands write."""
