"""A training run: its recipe, loop, state and journal."""
