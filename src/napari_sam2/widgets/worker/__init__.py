"""The session worker: its thread, its requests and answers, and the sessions that it opens.

Beside it, what fetches models in a thread of its own.
"""
