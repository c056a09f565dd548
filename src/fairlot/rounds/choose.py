"""What agents choose: saved once, the latest wins, the loser is told.

A page sends with each choice a *key* of its own and the *version* that it showed. The same key again gets the
same receipt and changes nothing. A choice made on a page that did not show the latest version is refused, and
the page says what is saved: nothing is overwritten unseen.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from fairlot.io.menus import MENUS
from fairlot.lottery.protocol.canonical import canonical_json, digest
from fairlot.rounds import choices
from fairlot.rounds.access import existing, refuse_unless, taking_part
from fairlot.rounds.records import ConflictError, Participation, Receipt, RefusedError
from fairlot.store import Area, Kind, Participant, Round, RoundState, Store, Submission
from fairlot.store.reading import Reading
from fairlot.store.writing import Writing

_KEPT = 8
_ballots: OrderedDict[tuple[str, str, str], tuple[Mapping[str, bytes], bytes | None]] = OrderedDict()
_ballots_lock = threading.Lock()


def ballot_files(store: Store, round_id: str) -> tuple[Mapping[str, bytes], bytes | None]:
    """Return the problem folder and, of a reallocation, ``menus.csv``: what a ballot is made of.

    What was read stays at hand, by its hash: thousands of agents save within a minute.
    """
    with store.reading() as tx:
        return _ballot_files(tx, existing(tx, round_id))


def _ballot_files(tx: Reading, found: Round) -> tuple[Mapping[str, bytes], bytes | None]:
    has_menus = found.kind is Kind.REALLOCATION
    designed = tx.fingerprint(found.id, Area.DESIGN) if has_menus else ""
    key = (found.id, tx.fingerprint(found.id, Area.PROBLEM), designed)
    with _ballots_lock:
        if key in _ballots:
            _ballots.move_to_end(key)
            return _ballots[key]
    files = tx.files(found.id, Area.PROBLEM)
    menus = tx.file(found.id, Area.DESIGN, MENUS) if has_menus else None
    with _ballots_lock:
        _ballots[key] = files, menus
        while len(_ballots) > _KEPT:
            _ballots.popitem(last=False)
    return files, menus


def submit(
    store: Store,
    round_id: str,
    agent: str,
    payload: Mapping[str, Any],
    key: str,
    seen: int | None,
) -> Receipt:
    """Save a choice; when this returns, it is on disk.

    Parameters
    ----------
    store : Store
        The database.
    round_id : str
        An open round.
    agent : str
        Whose choice.
    payload : mapping
        What she chose: ``{"ratings": {good: stars or points}}`` or ``{"pick": line}``.
    key : str
        Made by the page, new for each choice: the same again is the same choice, sent twice.
    seen : int or None
        The version that the page showed, 0 where there was none. None to overwrite whatever is there.

    Returns
    -------
    Receipt
        Proof of it.

    Raises
    ------
    ConflictError
        If a later version was saved meanwhile; nothing is changed.
    RefusedError
        If the round is not open, the deadline has passed, or the key belongs to another choice.
    InvalidProblemError
        If the payload is not an answer to what was asked.
    UnknownError
        If there is no such round or agent.
    StoreError
        If it could not be saved.
    """
    return store.write_together(lambda tx: _save(tx, round_id, agent, payload, digest(key.encode()), seen))


def _save(
    tx: Writing, round_id: str, agent: str, payload: Mapping[str, Any], hashed_key: str, seen: int | None
) -> Receipt:
    """Save a choice in a transaction that others may share; every refusal comes before the first write."""
    found = existing(tx, round_id)
    who = taking_part(tx, round_id, agent)
    _refuse_erased(who)
    files, menus = _ballot_files(tx, found)
    chosen = choices.check_payload(files, agent, payload, menus=menus, scale=found.settings["scale"])
    asked = digest(canonical_json(chosen))
    current = tx.submission(round_id, agent)
    version = 0 if current is None else current.version
    before = tx.answered(round_id, agent, hashed_key)
    if before is not None:
        if before.asked != asked:
            msg = "this key belongs to another choice: a page makes a new one for each"
            raise RefusedError(msg)
        return Receipt(
            digest(before.document),
            before.document,
            before.version,
            before.at,
            before.version == version,
        )
    refuse_unless(found, (RoundState.OPEN,), "choosing")
    at = tx.now(round_id)
    if found.deadline is None or at > found.deadline:
        msg = "choosing is not possible now: the deadline has passed"
        raise RefusedError(msg)
    if seen is not None and seen != version:
        msg = "another choice was saved meanwhile, perhaps in another window: look at it first"
        raise ConflictError(msg, current)
    document = _document(round_id, who, version + 1, chosen)
    made = Submission(agent, version + 1, chosen, digest(document), at)
    tx.put_submission(round_id, made)
    tx.put_answer(round_id, made, hashed_key, asked, document)
    tx.append(
        round_id,
        "agent",
        "choice saved",
        {"agent": tag(who), "version": made.version, "receipt": made.receipt},
    )
    return Receipt(made.receipt, document, made.version, at, True)


def submission(store: Store, round_id: str, agent: str) -> Submission | None:
    """Return the choice that counts."""
    with store.reading() as tx:
        taking_part(tx, round_id, agent)
        return tx.submission(round_id, agent)


def receipt(store: Store, round_id: str, agent: str) -> Receipt | None:
    """Return the receipt of the choice that counts."""
    with store.reading() as tx:
        taking_part(tx, round_id, agent)
        answers = tx.receipts(round_id, agent)
    if not answers:
        return None
    last = answers[-1]
    return Receipt(digest(last.document), last.document, last.version, last.at, True)


def participation(store: Store, round_id: str) -> Participation:
    """Count who has chosen."""
    with store.reading() as tx:
        existing(tx, round_id)
        agents = [one.agent for one in tx.participants(round_id) if not one.erased]
        submissions = tx.submissions(round_id)
    chose = {one.agent for one in submissions}
    missing = tuple(agent for agent in agents if agent not in chose)
    last = max((one.at for one in submissions), default=None)
    return Participation(len(agents), len(agents) - len(missing), missing, last)


def participants(store: Store, round_id: str) -> tuple[Participant, ...]:
    """List the agents of a round, in order of id."""
    with store.reading() as tx:
        existing(tx, round_id)
        return tx.participants(round_id)


def tag(who: Participant) -> str:
    """Return how the log names an agent: nobody without her salt can tell who it is."""
    return digest(canonical_json({"agent": who.agent, "salt": who.salt}))[:16]


def _refuse_erased(who: Participant) -> None:
    if who.erased:
        msg = "choosing is not possible: this agent's data were erased"
        raise RefusedError(msg)


def _document(round_id: str, who: Participant, version: int, chosen: Mapping[str, Any]) -> bytes:
    salt = digest(canonical_json({"salt": who.salt, "version": version}))
    return canonical_json(
        {
            "format": 1,
            "round": round_id,
            "agent": who.agent,
            "version": version,
            "choice": dict(chosen),
            "salt": salt,
        }
    )
