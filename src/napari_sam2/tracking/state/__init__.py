"""The state of a session as values, as a session file and as a store of results.

The session's lock guards what is not a frozen value.
"""
