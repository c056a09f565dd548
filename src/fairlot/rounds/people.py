"""Who may come in: organisers and agents, one-time links, typed codes, sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fairlot.rounds.records import Invitation, LinkTarget, Visitor
from fairlot.store import Account, Role, Store


def add_account(store: Store, name: str, *, admin: bool = False) -> Account:
    """Make an account of an organiser, or return the one of that name."""
    raise NotImplementedError


def accounts(store: Store) -> tuple[Account, ...]:
    """List all organisers."""
    raise NotImplementedError


def sign_in_link(store: Store, account: Account, *, hours: float = 72) -> str:
    """Make a one-time secret with which an organiser signs in."""
    raise NotImplementedError


def set_role(store: Store, round_id: str, account: Account, role: Role | None, who: Account) -> None:
    """Give an organiser a role in a round, or take it away."""
    raise NotImplementedError


def roles(store: Store, round_id: str) -> Mapping[str, Role]:
    """Return the roles in a round by account name."""
    raise NotImplementedError


def invite(
    store: Store, round_id: str, who: Account, agents: Sequence[str] | None = None, *, reminder: bool = False
) -> tuple[Invitation, ...]:
    """Make a fresh link and code for agents (all by default); links made before stop working."""
    raise NotImplementedError


def remind(store: Store, round_id: str, who: Account) -> tuple[Invitation, ...]:
    """Invite again all who have not chosen yet."""
    raise NotImplementedError


def redeem_look(store: Store, secret: str) -> LinkTarget | None:
    """Say where a link or code leads, changing nothing; None if nowhere."""
    raise NotImplementedError


def redeem(store: Store, secret: str) -> str | None:
    """Consume a link or code and begin a session; return its secret, None if the link is of no use."""
    raise NotImplementedError


def session(store: Store, secret: str) -> Visitor | None:
    """Return who holds a session; None if it is none, or has ended."""
    raise NotImplementedError


def end_session(store: Store, secret: str) -> None:
    """Sign out."""
    raise NotImplementedError
