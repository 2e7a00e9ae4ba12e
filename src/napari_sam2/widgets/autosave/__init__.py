"""The session file beside the image: written and found again in a thread of its own."""
