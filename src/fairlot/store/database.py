"""One database: opened, migrated, read in one kind of transaction and written in another."""

from __future__ import annotations

from fairlot.store.records import Round


class Store:
    """A database of rounds."""

    def rounds(self) -> tuple[Round, ...]:
        """List."""
        raise NotImplementedError


def open_store(url: str) -> Store:
    """Open a database, and bring its schema up to date.

    Parameters
    ----------
    url : str
        ``sqlite:///rounds.db`` or ``postgresql://user@host/name``.
    """
    raise NotImplementedError
