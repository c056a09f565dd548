"""The log of a round, and how anybody checks it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fairlot.errors import InvalidProblemError, Issue
from fairlot.lottery.protocol.canonical import canonical_json
from fairlot.rounds.access import existing
from fairlot.store import LogEntry, Store
from fairlot.store.chain import chain_faults, entry_bytes, parse_moment

LOG = "log.jsonl"


def log(store: Store, round_id: str) -> tuple[LogEntry, ...]:
    """Return all entries, from the first."""
    with store.reading() as tx:
        existing(tx, round_id)
        return tx.log(round_id)


def head(store: Store, round_id: str) -> str:
    """Return the hash of the last entry."""
    with store.reading() as tx:
        return existing(tx, round_id).head


def log_lines(entries: Sequence[LogEntry]) -> bytes:
    """Write entries for publication: a line of canonical JSON each, with its hash."""
    return b"".join(
        canonical_json({**json.loads(entry_bytes(entry)), "hash": entry.hash}) for entry in entries
    )


def read_log(data: bytes) -> tuple[LogEntry, ...]:
    """Read what :func:`log_lines` wrote.

    Raises
    ------
    InvalidProblemError
        If a line is not an entry.
    """
    entries, issues = [], []
    for row, line in enumerate(data.splitlines(), start=1):
        try:
            document: dict[str, Any] = json.loads(line)
            entries.append(
                LogEntry(
                    document["round"],
                    document["number"],
                    parse_moment(document["at"]),
                    document["who"],
                    document["what"],
                    document["detail"],
                    document["previous"],
                    document["hash"],
                )
            )
        except (ValueError, KeyError, TypeError):
            issues.append(Issue("not an entry of a log", LOG, row))
    if issues:
        raise InvalidProblemError(issues)
    return tuple(entries)


def verify_log(entries: Sequence[LogEntry], noted: str | None = None) -> list[str]:
    """Say what is wrong with a chain; nothing if it is whole.

    Parameters
    ----------
    entries : sequence of LogEntry
        From the first.
    noted : str, optional
        A head that somebody wrote down earlier. Without one, a log that was written anew from its first
        entry cannot be told from the one that was.
    """
    return chain_faults(entries, noted)
