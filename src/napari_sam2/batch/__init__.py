"""Segmentation of many stacks: their plan, the processes, and the status of each stack.

Plans, statuses and claims are functions of the file system, for any thread; a batch runs on the
thread that calls it.
"""
