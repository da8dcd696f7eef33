"""One update, and the epochs made of it."""
