"""The verifiable draw: commit, then draw from a seed that nobody could choose.

1. *Commit.* Everything the draw depends on is frozen as canonical bytes; their SHA-256, the *commitment*,
   is published.
2. *Seed.* 32 public bytes from a source that nobody controls (:mod:`fairlot.lottery.protocol.seeds`).
3. *Draw.* With ‖ for joining bytes,

       seed = SHA-256("fairlot-draw-v1" ‖ SHA-256(public seed) ‖ commitment),

   and the binding walk (:mod:`fairlot.lottery.walk`) gives the assignment; or, of a lottery that is its
   terms, the pick (:mod:`fairlot.lottery.pick`).
4. *Check.* Anyone draws again from what was published (:mod:`fairlot.verify.draw`).

A draw that is repeated or aborted stays on record: its transcript names its number, the reason, and the
hash of the transcript before it. The specification, byte by byte, is ``docs/draw-specification.md``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlot.lottery.pick import draw_term
from fairlot.lottery.protocol.canonical import assignment_csv, canonical_json, digest, fields, frozen_lottery
from fairlot.lottery.protocol.salts import Salts, personal_tables, rows_of_agents
from fairlot.lottery.protocol.seeds import OPEN, DrawRefusedError, GivenSeed, Seed, Source
from fairlot.lottery.walk import draw_walk
from fairlot.model.lotteries import Assignment, Lottery
from fairlot.verify.draw import COMMITMENT, PROTOCOL, TRANSCRIPT, Fault, read
from fairlot.verify.personal import salted

Hashes = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Commitment:
    """What is frozen before a draw, as hashes; published, it reveals no preferences.

    Parameters
    ----------
    draw : str
        Name of the draw.
    lottery : str
        SHA-256 of the lottery, without terms that are only for reading.
    source : Source
        Where the seed will come from.
    files : tuple of (str, str)
        Name and SHA-256 of every other file that may be published.
    personal : tuple of (str, str)
        Name and salted SHA-256 of every table that may not.
    agents : tuple of (str, str)
        Agent and salted SHA-256 of her rows in those tables.

    Examples
    --------
    >>> Commitment("electives", "0" * 64).hash[:16]
    '705ced0903a48635'
    """

    draw: str
    lottery: str
    source: Source = OPEN
    files: Hashes = ()
    personal: Hashes = ()
    agents: Hashes = ()

    @property
    def frozen(self) -> dict[str, Any]:
        """The part that is hashed."""
        return {
            "protocol": PROTOCOL,
            "draw": self.draw,
            "lottery": self.lottery,
            "source": self.source.to_dict(),
            "files": [list(pair) for pair in self.files],
            "personal": [list(pair) for pair in self.personal],
            "agents": [list(pair) for pair in self.agents],
        }

    @property
    def hash(self) -> str:
        """The commitment to publish: SHA-256 of the canonical bytes of :attr:`frozen`, in hexadecimal."""
        return digest(canonical_json(self.frozen))

    def to_json(self) -> bytes:
        """Write ``commitment.json``."""
        return canonical_json({"format": 1, "commitment": self.hash, "frozen": self.frozen})

    @classmethod
    def from_json(cls, data: bytes) -> Commitment:
        """Read ``commitment.json``.

        Raises
        ------
        DrawRefusedError
            If it is malformed or its hash does not fit.
        """
        document = _read(data, "commitment.json", COMMITMENT)
        frozen = document["frozen"]
        lists = {key: tuple((a, b) for a, b in frozen[key]) for key in ("files", "personal", "agents")}
        commitment = cls(frozen["draw"], frozen["lottery"], Source.from_dict(frozen["source"]), **lists)
        if commitment.to_json() != data:
            msg = "commitment.json: the hash is not that of the frozen part"
            raise DrawRefusedError(msg)
        return commitment


@dataclass(frozen=True)
class Transcript:
    """How one draw ran: what anyone needs to draw again.

    Parameters
    ----------
    draw : str
        Name of the draw.
    commitment : str
        The hash it was drawn under.
    number : int
        1 for the first draw, and so on.
    previous : str, optional
        SHA-256 of the transcript before this one.
    reason : str, optional
        Why the draw was repeated, or why it was aborted.
    origin : mapping
        Evidence of where the public seed came from.
    public_seed, seed, assignment : str, optional
        In hexadecimal: the public seed, the seed it gives together with the commitment, and the SHA-256
        of ``assignment.csv``. None where the draw was aborted.
    """

    draw: str
    commitment: str
    number: int
    previous: str | None
    reason: str | None
    origin: Mapping[str, Any]
    public_seed: str | None = None
    seed: str | None = None
    assignment: str | None = None

    @property
    def drawn(self) -> bool:
        """Whether there is an assignment; False for an aborted draw."""
        return self.assignment is not None

    def to_json(self) -> bytes:
        """Write ``transcript.json``."""
        document = {
            "format": 1,
            "protocol": PROTOCOL,
            "status": "drawn" if self.drawn else "aborted",
            "draw": self.draw,
            "commitment": self.commitment,
            "number": self.number,
            "previous": self.previous,
            "reason": self.reason,
            "origin": dict(self.origin),
            "public_seed": self.public_seed,
            "seed": self.seed,
            "assignment": self.assignment,
        }
        return canonical_json(document)

    @classmethod
    def from_json(cls, data: bytes) -> Transcript:
        """Read ``transcript.json``.

        Raises
        ------
        DrawRefusedError
            If it is malformed.
        """
        document = _read(data, "transcript.json", TRANSCRIPT)
        values = {k: v for k, v in document.items() if k not in ("format", "protocol", "status")}
        transcript = cls(**values)
        if transcript.to_json() != data:
            msg = "transcript.json: the status does not fit the rest"
            raise DrawRefusedError(msg)
        return transcript


@dataclass(frozen=True, eq=False)
class Draw:
    """One assignment drawn, with all that is needed to check it.

    Parameters
    ----------
    assignment : Assignment
        Who gets how many copies of what.
    transcript : Transcript
        How it was drawn.
    commitment : Commitment
        What was frozen before.
    csv : bytes
        ``assignment.csv``.
    """

    assignment: Assignment
    transcript: Transcript
    commitment: Commitment
    csv: bytes

    def files(self) -> dict[str, bytes]:
        """Return the files that a result folder gains."""
        return {
            "commitment.json": self.commitment.to_json(),
            "transcript.json": self.transcript.to_json(),
            "assignment.csv": self.csv,
        }

    def ticket(self, agent: str) -> str:
        """Return an agent's lottery number; see :func:`ticket`."""
        return ticket(bytes.fromhex(self.transcript.seed or ""), self.transcript.draw, agent)


def commit(
    lottery: Lottery,
    draw_id: str = "draw",
    *,
    source: Source | None = None,
    files: Mapping[str, bytes] | None = None,
    salts: Salts | None = None,
) -> Commitment:
    """Freeze everything that a draw depends on.

    Parameters
    ----------
    lottery : Lottery
        What will be drawn from.
    draw_id : str
        Name of the draw, unlike that of any other draw of the same people.
    source : Source, optional
        Where the seed will come from. By default left open, which leaves the organiser a choice.
    files : mapping of str to bytes, optional
        Other files of the result, by name. Those with rows of agents' input are committed to under salts.
    salts : Salts, optional
        Needed if any file has rows of agents' input (:func:`fairlot.lottery.protocol.salts.new_salts`).

    Returns
    -------
    Commitment
        Its ``hash`` is to be published before the seed exists.

    Raises
    ------
    DrawRefusedError
        If salts are missing, or of another draw.
    """
    tables = personal_tables(files or {})
    rows = rows_of_agents(tables)
    if tables and salts is None:
        msg = f"hashes of personal tables need salts: {', '.join(tables)}"
        raise DrawRefusedError(msg)
    of_file, of_agent = ({}, {}) if salts is None else (salts.files, salts.agents)
    if salts is not None and (salts.draw != draw_id or not tables.keys() <= of_file.keys()):
        msg = f"the salts are those of draw {salts.draw!r} and not of {draw_id!r}, or of other tables"
        raise DrawRefusedError(msg)
    if not rows.keys() <= of_agent.keys():
        msg = "the salts are those of other agents"
        raise DrawRefusedError(msg)
    public = {name: data for name, data in (files or {}).items() if name not in tables}
    return Commitment(
        draw_id,
        digest(frozen_lottery(lottery)),
        source or OPEN,
        tuple((name, digest(public[name])) for name in sorted(public)),
        tuple((name, salted(of_file[name], tables[name])) for name in sorted(tables)),
        tuple((agent, salted(of_agent[agent], rows[agent])) for agent in sorted(rows)),
    )


def draw(
    lottery: Lottery,
    seed: bytes | Seed,
    *,
    commitment: Commitment | None = None,
    previous: Transcript | None = None,
    reason: str | None = None,
) -> Draw:
    """Draw the one assignment that lottery, commitment and public seed decide.

    Parameters
    ----------
    lottery : Lottery
        What is drawn from.
    seed : bytes or Seed
        32 public bytes, a :class:`~fairlot.lottery.protocol.seeds.DrandRound` or a finished
        :class:`~fairlot.lottery.protocol.ceremony.Ceremony`.
    commitment : Commitment, optional
        What was frozen. By default the lottery alone, for draws that nobody needs to trust.
    previous : Transcript, optional
        The draw before this one, aborted ones included.
    reason : str, optional
        Why there is another draw; required with ``previous``.

    Raises
    ------
    DrawRefusedError
        If the seed is not genuine or not from the source announced, the lottery is not the frozen one, or
        a reason is missing.

    Examples
    --------
    >>> from fairlot.lottery import lottery_from_shares
    >>> drawn = draw(lottery_from_shares([[0.5, 0.5], [0.5, 0.5]]), bytes(32))
    >>> drawn.assignment.matrix.toarray().tolist()
    [[1, 0], [0, 1]]
    """
    evidence: Seed = GivenSeed(seed) if isinstance(seed, bytes) else seed
    frozen = commitment or commit(lottery)
    if digest(frozen_lottery(lottery)) != frozen.lottery:
        msg = "the lottery is not the one that was frozen"
        raise DrawRefusedError(msg)
    if not frozen.source.allows(evidence.source):
        msg = f"the commitment announced another source of the seed: {frozen.source}"
        raise DrawRefusedError(msg)
    number, before = _follow(previous, reason)
    evidence.check(frozen.hash)
    mixed = inner_seed(evidence.public_seed, frozen.hash)
    assignment = draw_term(lottery, mixed) if lottery.drawn_by == "terms" else draw_walk(lottery, mixed)
    csv = assignment_csv(lottery, assignment)
    transcript = Transcript(
        draw=frozen.draw,
        commitment=frozen.hash,
        number=number,
        previous=before,
        reason=reason,
        origin=evidence.origin(),
        public_seed=evidence.public_seed.hex(),
        seed=mixed.hex(),
        assignment=digest(csv),
    )
    return Draw(assignment, transcript, frozen, csv)


def abort(
    commitment: Commitment,
    reason: str,
    *,
    previous: Transcript | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> Transcript:
    """Put on record that a draw was announced and will not take place.

    Parameters
    ----------
    commitment : Commitment
        What was frozen.
    reason : str
        Why it is aborted.
    previous : Transcript, optional
        The draw before this one.
    evidence : mapping, optional
        The ``origin()`` of an unfinished ceremony.
    """
    if not reason:
        msg = "an aborted draw needs a reason"
        raise DrawRefusedError(msg)
    number, before = _follow(previous, reason)
    return Transcript(commitment.draw, commitment.hash, number, before, reason, evidence or {"kind": "none"})


def inner_seed(public_seed: bytes, commitment: str) -> bytes:
    """Mix a public seed with the commitment, so that neither decides the draw alone."""
    mixed = PROTOCOL.encode() + hashlib.sha256(public_seed).digest() + bytes.fromhex(commitment)
    return hashlib.sha256(mixed).digest()


def ticket(seed: bytes, draw_id: str, agent: str) -> str:
    """Return an agent's lottery number: of two agents, the one whose number sorts first as text goes first.

    Parameters
    ----------
    seed : bytes
        The inner seed, ``seed`` of the transcript.
    draw_id, agent : str
        Names of draw and agent.

    Examples
    --------
    >>> ticket(bytes(32), "electives", "ann")[:16]
    '2f66ae057dc5318b'
    """
    return hmac.new(seed, fields(["ticket", draw_id, agent]), hashlib.sha256).hexdigest()


def _follow(previous: Transcript | None, reason: str | None) -> tuple[int, str | None]:
    if previous is None:
        return 1, None
    if not reason:
        msg = "this result was drawn, or a draw of it aborted, before: another draw needs a reason"
        raise DrawRefusedError(msg)
    return previous.number + 1, digest(previous.to_json())


def _read(data: bytes, name: str, shape: Any) -> Any:
    try:
        return read({name: data}, name, shape)
    except Fault as fault:
        raise DrawRefusedError(str(fault)) from None
