"""Equilibria of pseudo-markets and what must hold for them to exist."""
