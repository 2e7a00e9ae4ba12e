"""Training data: labelled stacks, clips cut from them, simulated prompts."""
