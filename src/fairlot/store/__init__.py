"""Rounds on disk: typed reads and writes over SQLite or PostgreSQL, and a hash-chained log.

Nothing here knows what a round means; :mod:`fairlot.rounds` does. SQLAlchemy stays inside this room.
"""

from fairlot.store.database import Store, open_store
from fairlot.store.records import (
    Account,
    Area,
    Job,
    JobState,
    Kind,
    LogEntry,
    Participant,
    Role,
    Round,
    RoundState,
    Submission,
)

__all__ = [
    "Account",
    "Area",
    "Job",
    "JobState",
    "Kind",
    "LogEntry",
    "Participant",
    "Role",
    "Round",
    "RoundState",
    "Store",
    "Submission",
    "open_store",
]
