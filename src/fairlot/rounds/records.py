"""What the functions of :mod:`fairlot.rounds` return and raise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fairlot.errors import FairlotError, Issue
from fairlot.store.records import Account, Role, RoundState, Submission

if TYPE_CHECKING:
    from fairlot.lottery.protocol import Ceremony, Transcript
    from fairlot.pseudomarket.explanation import Explanation
    from fairlot.reallocation.explanation import MemberExplanation


class RefusedError(FairlotError, ValueError):
    """A round does not allow this now; the message says why, and what would be right."""


class ConflictError(RefusedError):
    """A later choice has been saved meanwhile, in another tab perhaps; ``current`` is the one that counts."""

    def __init__(self, message: str, current: Submission | None) -> None:
        super().__init__(message)
        self.current = current


class UnknownError(FairlotError, KeyError):
    """There is no such round, agent, job or file."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Parameters
    ----------
    name : str
        What was checked.
    severity : str
        ``ok``, ``warning`` or ``fault``.
    text : str
        In words.
    """

    name: str
    severity: str
    text: str


@dataclass(frozen=True)
class CheckReport:
    """What ``fairlot check`` says of a round's problem.

    Parameters
    ----------
    issues : tuple of Issue
        Faults of the files, with their places; empty if the files can be read.
    warnings : tuple of str
        What was corrected in reading.
    sizes : mapping of str to int
        How many agents, goods and so on.
    findings : tuple of Finding
        What the theory asks, and whether it holds.
    passed : bool
        Whether the round may be opened.
    """

    issues: tuple[Issue, ...]
    warnings: tuple[str, ...]
    sizes: Mapping[str, int]
    findings: tuple[Finding, ...]
    passed: bool


@dataclass(frozen=True)
class Participation:
    """How many have chosen so far.

    Parameters
    ----------
    agents, chosen : int
        How many there are, and how many of them have saved a choice.
    missing : tuple of str
        Those who have not, in order of id.
    last : datetime, optional
        When the latest choice was saved.
    """

    agents: int
    chosen: int
    missing: tuple[str, ...]
    last: datetime | None


@dataclass(frozen=True)
class Invitation:
    """A one-time link for an agent. Only hashes of secret and code are kept: this is seen once.

    Parameters
    ----------
    agent : str
        Whom it is for.
    secret : str
        For the link: whoever holds it can redeem it once.
    code : str
        The other way in, to be typed: letters and digits in groups of four.
    expires : datetime
        Until when.
    contact : mapping of str to str
        What the table of agents says for letters, if it has such columns: ``name``, ``email``, ``language``.
    """

    agent: str
    secret: str
    code: str
    expires: datetime
    contact: Mapping[str, str]


@dataclass(frozen=True)
class LinkTarget:
    """Where a link leads, shown on the confirm page.

    Parameters
    ----------
    round_id : str, optional
        The agent's round; None where an organiser signs in.
    title : str
        Of the round.
    agent : str, optional
        Who.
    account : str, optional
        The organiser's name.
    """

    round_id: str | None
    title: str
    agent: str | None
    account: str | None


@dataclass(frozen=True)
class Visitor:
    """Who holds a session: an agent of one round, or an organiser.

    Parameters
    ----------
    round_id, agent : str, optional
        Of an agent.
    account : Account, optional
        Of an organiser.
    roles : mapping of str to Role
        Of an organiser, by round.
    expires : datetime
        When the session ends.
    """

    round_id: str | None
    agent: str | None
    account: Account | None
    roles: Mapping[str, Role]
    expires: datetime


@dataclass(frozen=True)
class Receipt:
    """Proof that a choice is saved.

    Parameters
    ----------
    hash : str
        SHA-256 of ``document``; it stands in the log.
    document : bytes
        Canonical JSON of round, agent, version, choice and a salt: hers to keep, nobody can guess it.
    version : int
        Of her choices.
    at : datetime
        When it was saved.
    current : bool
        Whether it is the choice that counts; False if a later one was saved meanwhile.
    """

    hash: str
    document: bytes
    version: int
    at: datetime
    current: bool


@dataclass(frozen=True)
class Frozen:
    """What a round commits to when choices close.

    Parameters
    ----------
    hash : str
        SHA-256 of ``document``.
    document : bytes
        Canonical JSON: a hash of every file of the problem, those with personal rows under salts.
    at : datetime
        When.
    chosen : int
        How many agents chose.
    """

    hash: str
    document: bytes
    at: datetime
    chosen: int


@dataclass(frozen=True)
class Committed:
    """What the draw's protocol commits to.

    Parameters
    ----------
    hash : str
        To be published before the seed is known.
    source : str
        Where the seed will come from, in words.
    seed_time : datetime, optional
        When drand will sign the announced round.
    officials : tuple of str
        Of a ceremony.
    """

    hash: str
    source: str
    seed_time: datetime | None
    officials: tuple[str, ...]


@dataclass(frozen=True)
class DrawView:
    """Where the draw of a round is.

    Parameters
    ----------
    committed : Committed, optional
        The commitment, once there is one.
    ceremony : Ceremony, optional
        As far as it has come.
    transcript : Transcript, optional
        Of the draw that counts, or that was aborted.
    earlier : tuple of Transcript
        Draws before it; they stay on record.
    """

    committed: Committed | None
    ceremony: Ceremony | None
    transcript: Transcript | None
    earlier: tuple[Transcript, ...]


@dataclass(frozen=True)
class AgentOutcome:
    """What an agent got, and why.

    Parameters
    ----------
    agent : str
        Who.
    drawn : mapping of str to int
        Copies or amounts that she got, by good or task.
    shares : mapping of str to float
        What the lottery gave her in expectation.
    prices : mapping of str to float
        Of every good; of a reallocation the social cost per instance.
    explanation : Explanation or MemberExplanation
        Why, for pages that say it in their own words.
    sentences : tuple of str
        Why, in English.
    pick : str, optional
        Of a reallocation: what she picked.
    ticket : str, optional
        Of the draw: made of seed, draw and her id.
    draw_number : int
        Which draw counts.
    salt, row : str, optional
        With these she can open her row of the commitment: SHA-256(salt ‖ row).
    receipt : str, optional
        Of her choice.
    """

    agent: str
    drawn: Mapping[str, int]
    shares: Mapping[str, float]
    prices: Mapping[str, float]
    explanation: Explanation | MemberExplanation
    sentences: tuple[str, ...]
    pick: str | None
    ticket: str | None
    draw_number: int
    salt: str | None
    row: str | None
    receipt: str | None


@dataclass(frozen=True)
class PublicRound:
    """What outsiders see of a round.

    Parameters
    ----------
    id, title, kind : str
        Which round.
    state : RoundState
        Where it is.
    deadline : datetime, optional
        When choices close.
    head : str
        Of the log.
    entries : int
        Of the log.
    frozen, commitment : str, optional
        The hash of the inputs, and that of the draw's commitment.
    draw : DrawView
        The draw so far.
    facts : mapping
        ``summary.json`` of the result, once published.
    files : mapping of str to bytes
        What may be published of the result, once it is: all but personal tables.
    """

    id: str
    title: str
    kind: str
    state: RoundState
    deadline: datetime | None
    head: str
    entries: int
    frozen: str | None
    commitment: str | None
    draw: DrawView
    facts: Mapping[str, Any]
    files: Mapping[str, bytes]
