"""Data sets: embedded ones, downloaded ones, and images from local files or streamed shards."""
