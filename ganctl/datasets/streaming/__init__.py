"""Images streamed from tar shards, for data sets larger than memory or disk."""
