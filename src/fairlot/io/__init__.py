"""Problem folders in, result folders out."""
