"""A folder on disk that keeps the results of a session while they are computed."""
