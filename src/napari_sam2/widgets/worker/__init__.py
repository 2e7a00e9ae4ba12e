"""The session worker: its thread, its requests and answers, and the sessions that it opens."""
