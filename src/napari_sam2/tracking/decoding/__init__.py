"""From prompts and features to masks of one frame."""
