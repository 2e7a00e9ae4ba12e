"""The session server: an ASGI application, its caches, and the function that runs it.

Handlers run on the event loop's thread; what computes runs in threads that take turns.
"""
