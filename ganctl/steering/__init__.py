"""Latents that a user chooses: those of their own images, and directions that change one thing."""
