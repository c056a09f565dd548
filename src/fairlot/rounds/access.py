"""What every function of this room asks first: whether the round is there, and in the right state."""

from __future__ import annotations

from fairlot.rounds.records import RefusedError, UnknownError
from fairlot.store import Participant, Round, RoundState
from fairlot.store.reading import Reading

_WORDS = {
    RoundState.DRAFT: "still a draft",
    RoundState.CHECKED: "checked, but not open",
    RoundState.OPEN: "open for choices",
    RoundState.FROZEN: "frozen",
    RoundState.SOLVED: "solved",
    RoundState.DRAWN: "drawn",
    RoundState.PUBLISHED: "published",
    RoundState.ARCHIVED: "archived",
}


def existing(tx: Reading, round_id: str) -> Round:
    """Return a round.

    Raises
    ------
    UnknownError
        If there is none.
    """
    found = tx.round(round_id)
    if found is None:
        msg = "there is no such round"
        raise UnknownError(msg)
    return found


def in_state(tx: Reading, round_id: str, states: tuple[RoundState, ...], doing: str) -> Round:
    """Return a round that is in one of some states.

    Raises
    ------
    RefusedError
        If it is in another, saying what cannot be done now.
    """
    found = existing(tx, round_id)
    refuse_unless(found, states, doing)
    return found


def refuse_unless(found: Round, states: tuple[RoundState, ...], doing: str) -> None:
    """Refuse what a round in its state does not allow."""
    if found.state not in states:
        msg = f"{doing} is not possible now: the round is {_WORDS[found.state]}"
        raise RefusedError(msg)


def taking_part(tx: Reading, round_id: str, agent: str) -> Participant:
    """Return an agent of a round.

    Raises
    ------
    UnknownError
        If there is none.
    """
    found = tx.participant(round_id, agent)
    if found is None:
        msg = "there is no such agent in this round"
        raise UnknownError(msg)
    return found
