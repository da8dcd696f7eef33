"""Files that are mutated in every way, and how they are judged: see mutations.py."""
