"""The session server: an ASGI application, its caches, and the command that runs it."""
