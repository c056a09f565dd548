"""The log of a round, and how anybody checks it."""

from __future__ import annotations

from collections.abc import Sequence

from fairlot.store import LogEntry, Store


def log(store: Store, round_id: str) -> tuple[LogEntry, ...]:
    """Return all entries."""
    raise NotImplementedError


def log_lines(entries: Sequence[LogEntry]) -> bytes:
    """Write entries as JSON lines, for publication."""
    raise NotImplementedError


def verify_log(entries: Sequence[LogEntry]) -> list[str]:
    """Say what is wrong with a chain; nothing if it is whole."""
    raise NotImplementedError


def head(store: Store, round_id: str) -> str:
    """Return the hash of the last entry."""
    raise NotImplementedError
