"""Frozen data and input checks; nothing here computes an outcome."""
