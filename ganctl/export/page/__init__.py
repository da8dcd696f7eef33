"""A page that is the generator: one HTML file that draws in a browser and requests nothing."""

from ganctl.export.page.rendering import MAX_BYTES, NUM_SEEDS, encode

__all__ = ["MAX_BYTES", "NUM_SEEDS", "encode"]
