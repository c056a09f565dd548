"""What the store hands out: frozen records, never rows of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The halves of the product."""

    PSEUDOMARKET = "pseudomarket"
    REALLOCATION = "reallocation"


class RoundState(StrEnum):
    """Where a round is in its life; it only ever moves forward."""

    DRAFT = "draft"
    CHECKED = "checked"
    OPEN = "open"
    FROZEN = "frozen"
    SOLVED = "solved"
    DRAWN = "drawn"
    PUBLISHED = "published"
    ARCHIVED = "archived"

    def before(self, other: RoundState) -> bool:
        """Tell whether this state comes before another."""
        order = list(RoundState)
        return order.index(self) < order.index(other)


class Role(StrEnum):
    """What an organiser may do in a round: everything; all but people and erasure; look."""

    OWNER = "owner"
    OPERATOR = "operator"
    AUDITOR = "auditor"


class JobState(StrEnum):
    """Where a piece of background work is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class Area(StrEnum):
    """Which of a round's files: byte for byte those of the folders on disk."""

    PROBLEM = "problem"
    FROZEN = "frozen"
    DESIGN = "design"
    RESULT = "result"
    PRIVATE = "private"
    REPORT = "report"


@dataclass(frozen=True)
class Round:
    """A round.

    Parameters
    ----------
    id : str
        Unguessable; stands in addresses.
    title : str
        For people.
    kind : Kind
        Which half.
    state : RoundState
        Where it is in its life.
    created : datetime
        When; UTC, as all times here.
    deadline : datetime, optional
        When choices close; None before it is open.
    settings : mapping
        What its organiser chose: ``scale``, ``preview``, ``contact``, ``retention_days``.
    head : str
        SHA-256 of the last entry of its log.
    entries : int
        How many entries the log has.
    """

    id: str
    title: str
    kind: Kind
    state: RoundState
    created: datetime
    deadline: datetime | None
    settings: Mapping[str, Any]
    head: str
    entries: int


@dataclass(frozen=True)
class Account:
    """One who organises rounds.

    Parameters
    ----------
    id : str
        Unguessable.
    name : str
        As the log writes it; unique.
    admin : bool
        Whether she may create rounds and invite other organisers.
    """

    id: str
    name: str
    admin: bool


@dataclass(frozen=True)
class LogEntry:
    """An entry of a round's log: who did what, and when, chained to the entry before.

    Parameters
    ----------
    round_id : str
        Whose log it is.
    number : int
        From 1, without gaps.
    at : datetime
        By this computer's clock, never before the entry before it.
    who : str
        An organiser's name, ``agent`` or ``system``.
    what : str
        A word: ``created``, ``choice saved``, ``frozen`` …
    detail : mapping
        What there is to say; hashes and counts, nothing personal.
    previous : str
        Hash of the entry before; 64 zeros in the first.
    hash : str
        SHA-256 over the canonical JSON of all the above.
    """

    round_id: str
    number: int
    at: datetime
    who: str
    what: str
    detail: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True)
class Participant:
    """An agent of a round, or a member of a group.

    Parameters
    ----------
    agent : str
        Her id.
    salt : str
        Hides her choices in the log; 64 hexadecimal digits, empty once erased.
    invited, reminded, visited : datetime, optional
        When last.
    erased : bool
        Whether her personal data are gone.
    """

    agent: str
    salt: str
    invited: datetime | None
    reminded: datetime | None
    visited: datetime | None
    erased: bool


@dataclass(frozen=True)
class Submission:
    """The choice of an agent that counts.

    Parameters
    ----------
    agent : str
        Whose.
    version : int
        From 1, one more with every change.
    payload : mapping
        What she chose.
    receipt : str
        SHA-256 of the document she can keep.
    at : datetime
        When it was saved.
    """

    agent: str
    version: int
    payload: Mapping[str, Any]
    receipt: str
    at: datetime


@dataclass(frozen=True)
class Job:
    """A piece of background work.

    Parameters
    ----------
    id : int
        Its number.
    round_id : str
        For which round.
    what : str
        ``solve``, ``value``, ``design``, ``reallocate`` or ``report``.
    settings : mapping
        Of the work: method, time limit and so on.
    state : JobState
        Where it is.
    who : str
        Who asked.
    asked, begun, finished : datetime, optional
        When; ``begun`` is that of the latest attempt.
    attempt : int
        How often a worker has begun it; a result of an earlier attempt is thrown away.
    beat : int
        Counts up while its worker lives.
    stage : str
        What it is doing.
    share : float, optional
        How much of the stage is done, 0 to 1.
    residual : float, optional
        How far from done the numbers are.
    messages : tuple of str
        What came out, or a line per fault.
    """

    id: int
    round_id: str
    what: str
    settings: Mapping[str, Any]
    state: JobState
    who: str
    asked: datetime
    begun: datetime | None
    finished: datetime | None
    attempt: int
    beat: int
    stage: str
    share: float | None
    residual: float | None
    messages: tuple[str, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in (JobState.DONE, JobState.FAILED)


@dataclass(frozen=True)
class Pass:
    """Where a link leads, or who holds a session.

    Parameters
    ----------
    round_id, agent : str, optional
        Of an agent.
    account_id : str, optional
        Of an organiser.
    expires : datetime
        When it ends.
    """

    round_id: str | None
    agent: str | None
    account_id: str | None
    expires: datetime


@dataclass(frozen=True)
class Answered:
    """A request that was answered before.

    Parameters
    ----------
    asked : str
        SHA-256 of what was asked.
    version : int
        Of the choice it saved.
    document : bytes
        Of the receipt.
    at : datetime
        When.
    """

    asked: str
    version: int
    document: bytes
    at: datetime
