"""Adaptation of a model to the accepted masks of one session."""
