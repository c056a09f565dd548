"""The hash chain of a round's log.

An entry's hash is the SHA-256 of the canonical JSON of round, number, moment, who, what, detail and the hash
of the entry before. Whoever has noted a head can tell that nothing before it has changed since. A chain alone
cannot show that *all* of it was written anew, so heads must be published while the round goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from fairlot.lottery.protocol.canonical import canonical_json, digest
from fairlot.store.records import LogEntry

BEGINNING = "0" * 64
"""What the first entry has in the place of the hash before it."""


def moment(at: datetime) -> str:
    """Write a moment as it is stored and hashed.

    Examples
    --------
    >>> moment(datetime(2026, 9, 1, 8, 30, tzinfo=UTC))
    '2026-09-01T08:30:00.000000Z'
    """
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def parse_moment(text: str) -> datetime:
    """Read what :func:`moment` wrote."""
    return datetime.fromisoformat(text)


def entry_bytes(entry: LogEntry) -> bytes:
    """Return what an entry's hash is taken of: one line of canonical JSON."""
    return canonical_json(
        {
            "round": entry.round_id,
            "number": entry.number,
            "at": moment(entry.at),
            "who": entry.who,
            "what": entry.what,
            "detail": dict(entry.detail),
            "previous": entry.previous,
        }
    )


def chained(
    round_id: str, number: int, at: datetime, who: str, what: str, detail: Mapping[str, Any], previous: str
) -> LogEntry:
    """Make an entry, with its hash."""
    draft = LogEntry(round_id, number, at, who, what, detail, previous, "")
    return LogEntry(round_id, number, at, who, what, detail, previous, digest(entry_bytes(draft)))


def chain_faults(entries: Sequence[LogEntry], head: str | None = None) -> list[str]:
    """Say what is wrong with a chain; nothing if it is whole.

    Parameters
    ----------
    entries : sequence of LogEntry
        From the first.
    head : str, optional
        A hash that must be among them: one that was noted earlier.
    """
    faults = []
    previous, latest = BEGINNING, None
    for number, entry in enumerate(entries, start=1):
        if entry.number != number:
            faults.append(f"entry {entry.number} stands where {number} should")
        if entry.previous != previous:
            faults.append(f"entry {entry.number} does not follow the one before it")
        if digest(entry_bytes(entry)) != entry.hash:
            faults.append(f"entry {entry.number} has changed since it was written")
        if latest is not None and entry.at < latest:
            faults.append(f"entry {entry.number} is earlier than the one before it")
        previous, latest = entry.hash, entry.at
    if head is not None and head != BEGINNING and all(entry.hash != head for entry in entries):
        faults.append(f"no entry has the hash {head}")
    return faults
