"""The classical baseline that the models are compared with: seeded watershed."""
