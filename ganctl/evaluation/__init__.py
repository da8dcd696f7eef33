"""Metrics of generated images beside those of real ones."""
