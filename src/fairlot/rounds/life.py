"""The life of a round: draft, checked, open, frozen, solved, drawn, published, archived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from fairlot.errors import Issue
from fairlot.rounds.records import CheckReport, Frozen
from fairlot.store import Account, Kind, Round, Store


def create_round(store: Store, title: str, kind: Kind | str, who: Account, **settings: Any) -> Round:
    """Begin a round; ``settings``: scale (stars or points), preview, contact, retention_days."""
    raise NotImplementedError


def rounds(store: Store, who: Account) -> tuple[Round, ...]:
    """List the rounds that an organiser has a role in, latest first."""
    raise NotImplementedError


def round_(store: Store, round_id: str) -> Round:
    """Return a round."""
    raise NotImplementedError


def set_settings(store: Store, round_id: str, who: Account, **settings: Any) -> Round:
    """Change settings of a round that is not frozen."""
    raise NotImplementedError


def upload(store: Store, round_id: str, files: Mapping[str, bytes], who: Account) -> tuple[Issue, ...]:
    """Put files of the problem folder in place of those of the same names; back to draft. Returns faults."""
    raise NotImplementedError


def discard(store: Store, round_id: str, names: Sequence[str], who: Account) -> None:
    """Take files out of the problem folder; back to draft."""
    raise NotImplementedError


def read_back(store: Store, round_id: str) -> Mapping[str, bytes]:
    """Return the problem folder, byte for byte."""
    raise NotImplementedError


def check(store: Store, round_id: str, who: Account) -> CheckReport:
    """Check the problem; a draft that passes is checked from then on."""
    raise NotImplementedError


def open_round(store: Store, round_id: str, deadline: datetime, who: Account) -> Round:
    """Open for choices until the deadline; of a reallocation, once menus are designed."""
    raise NotImplementedError


def extend(store: Store, round_id: str, deadline: datetime, who: Account) -> Round:
    """Move the deadline of an open round."""
    raise NotImplementedError


def freeze(store: Store, round_id: str, who: Account) -> Frozen:
    """Close choices, hash all inputs under salts, and publish the hash."""
    raise NotImplementedError


def frozen(store: Store, round_id: str) -> Frozen | None:
    """Return what was frozen."""
    raise NotImplementedError


def publish(store: Store, round_id: str, who: Account) -> Round:
    """Show everybody her outcome, and the public what may be published."""
    raise NotImplementedError


def archive(store: Store, round_id: str, who: Account) -> Round:
    """End a published round."""
    raise NotImplementedError
