"""The live screen of a training run."""
