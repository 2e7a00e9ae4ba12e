"""Adapt: a model learns from the accepted masks of one session."""
