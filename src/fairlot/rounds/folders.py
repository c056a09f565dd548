"""Rounds as folders, and back; backups."""

from __future__ import annotations

from pathlib import Path

from fairlot.store import Account, Round, Store


def export_round(store: Store, round_id: str, folder: str | Path) -> tuple[Path, ...]:
    """Write problem, design, result and log under a new folder; return the folders written."""
    raise NotImplementedError


def import_round(store: Store, folder: str | Path, who: Account, *, title: str = "") -> Round:
    """Make a round of a problem folder, or of a result folder that ``fairlot verify`` accepts."""
    raise NotImplementedError


def backup(store: Store, path: str | Path) -> None:
    """Write a copy of the database that is whole while rounds go on."""
    raise NotImplementedError


def restore(path: str | Path, url: str) -> Store:
    """Put a backup in the place of a database that is not there yet."""
    raise NotImplementedError
