"""Training: the step, the loop over epochs, and starting and resuming a run."""
