"""ganctl: train, sample, walk through and look into GANs from the command line."""

__version__ = "0.1.0"
