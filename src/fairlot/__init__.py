"""Allocate indivisible things without money."""
