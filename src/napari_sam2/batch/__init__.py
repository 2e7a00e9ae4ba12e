"""Many stacks: which ones, by which process, and what has become of each of them.

Plans, statuses and claims are functions of the file system, for any thread; a batch runs on the
thread that calls it.
"""
