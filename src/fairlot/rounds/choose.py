"""What agents choose: saved once, the latest wins, the loser is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlot.rounds.records import Participation, Receipt
from fairlot.store import Participant, Store, Submission


def ballot_files(store: Store, round_id: str) -> tuple[Mapping[str, bytes], bytes | None]:
    """Return the problem folder and, of a reallocation, menus.csv: what a ballot is made of."""
    raise NotImplementedError


def submit(
    store: Store, round_id: str, agent: str, payload: Mapping[str, Any], key: str, seen: int | None
) -> Receipt:
    """Save a choice; when this returns, it is on disk."""
    raise NotImplementedError


def submission(store: Store, round_id: str, agent: str) -> Submission | None:
    """Return the choice that counts."""
    raise NotImplementedError


def receipt(store: Store, round_id: str, agent: str) -> Receipt | None:
    """Return the receipt of the choice that counts."""
    raise NotImplementedError


def participation(store: Store, round_id: str) -> Participation:
    """Count who has chosen."""
    raise NotImplementedError


def participants(store: Store, round_id: str) -> tuple[Participant, ...]:
    """List the agents of a round."""
    raise NotImplementedError
