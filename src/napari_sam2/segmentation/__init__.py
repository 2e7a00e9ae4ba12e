"""One stack from files to files: image, prompts, session, labels and what is beside them."""
