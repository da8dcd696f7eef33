"""Images from a path of the user: surveyed and decoded once, then read from a cache."""
