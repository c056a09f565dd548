"""The draw of a round, by the protocol of :mod:`fairlot.lottery.protocol`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fairlot.lottery.protocol import Ceremony, Transcript
from fairlot.rounds.records import Committed, DrawView
from fairlot.store import Account, Store


def commit(
    store: Store,
    round_id: str,
    who: Account,
    *,
    drand_round: int | None = None,
    officials: Sequence[str] = (),
    again: bool = False,
) -> Committed:
    """Commit to all that the draw depends on, and announce where its seed will come from."""
    raise NotImplementedError


def begin_ceremony(store: Store, round_id: str, who: Account, seals: Mapping[str, str]) -> Ceremony:
    """Record the seals of all officials, in order."""
    raise NotImplementedError


def roll_dice(store: Store, round_id: str, who: Account, dice: str) -> Ceremony:
    """Record the public dice."""
    raise NotImplementedError


def reveal(store: Store, round_id: str, who: Account, official: str, number: str) -> Ceremony:
    """Record an official's number."""
    raise NotImplementedError


def draw(
    store: Store,
    round_id: str,
    who: Account,
    *,
    seed: str | None = None,
    signature: str | None = None,
    reason: str | None = None,
) -> Transcript:
    """Draw: from a given seed, drand's signature of the announced round, or the finished ceremony."""
    raise NotImplementedError


def abort_draw(store: Store, round_id: str, who: Account, reason: str) -> Transcript:
    """Put on record that nothing is drawn under this commitment."""
    raise NotImplementedError


def draw_view(store: Store, round_id: str) -> DrawView:
    """Return where the draw is."""
    raise NotImplementedError
