"""One stack from files to files: image, prompts, session, labels and what is beside them.

All of it runs on the thread that calls it.
"""
