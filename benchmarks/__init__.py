"""One runnable file per question; each prints a table and how cost grows."""
