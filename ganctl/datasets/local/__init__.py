"""Images from a path: surveyed and decoded once, then read from a cache."""
