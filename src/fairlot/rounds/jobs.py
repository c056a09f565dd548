"""Background work: asked for, seen while it runs, done by :mod:`fairlot.rounds.worker`."""

from __future__ import annotations

from typing import Any

from fairlot.store import Account, Job, Store


def request_job(store: Store, round_id: str, what: str, who: Account, **settings: Any) -> Job:
    """Ask for ``solve``, ``value``, ``design``, ``reallocate`` or ``report``."""
    raise NotImplementedError


def job(store: Store, job_id: int) -> Job:
    """Return a job as it is now."""
    raise NotImplementedError


def jobs(store: Store, round_id: str) -> tuple[Job, ...]:
    """List the jobs of a round, latest first."""
    raise NotImplementedError


def run_waiting(store: Store) -> int:
    """Do all that waits, here and now; return how many jobs were done."""
    raise NotImplementedError
