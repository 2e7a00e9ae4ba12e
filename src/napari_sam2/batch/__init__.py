"""Many stacks: which ones, by which process, and what has become of each of them."""
