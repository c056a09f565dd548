"""Is choice worth it, and what a choice is worth."""
