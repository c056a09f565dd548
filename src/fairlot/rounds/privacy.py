"""Personal data: handed out, erased, kept no longer than said."""

from __future__ import annotations

from collections.abc import Mapping

from fairlot.store import Account, Store


def export_agent(store: Store, round_id: str, agent: str) -> Mapping[str, bytes]:
    """Return all that is stored of an agent, as files."""
    raise NotImplementedError


def erase_agent(store: Store, round_id: str, agent: str, who: Account) -> None:
    """Erase the personal data of an agent; the log keeps a hash that nobody can open any more."""
    raise NotImplementedError


def sweep(store: Store) -> int:
    """Erase the personal data of archived rounds whose retention has passed; return how many rounds."""
    raise NotImplementedError
