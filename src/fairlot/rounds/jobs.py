"""Background work: asked for here, done by a worker (:mod:`fairlot.rounds.worker`), seen while it runs.

A job that runs counts up its *beat*. If a worker dies, the beat stands still, and another worker begins the
job again as its next *attempt*. Only the latest attempt may hand in a result, all of it in one transaction.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from fairlot.errors import FairlotError
from fairlot.lottery.protocol.record import COMMITMENT_FILE
from fairlot.rounds.access import existing, in_state
from fairlot.rounds.records import RefusedError, UnknownError
from fairlot.rounds.work import PUBLIC_REPORT, REPORT, WORK, Done
from fairlot.store import Account, Area, Job, JobState, Kind, Round, RoundState, Store
from fairlot.store.reading import Reading

MOST_ATTEMPTS = 3
_BEAT_SECONDS = 1.0
_FROM_CHECK = (RoundState.CHECKED, RoundState.OPEN, RoundState.FROZEN, RoundState.SOLVED)
_AFTER_SOLVING = (RoundState.SOLVED, RoundState.DRAWN, RoundState.PUBLISHED, RoundState.ARCHIVED)
_STATES: Mapping[str, tuple[RoundState, ...]] = {
    "solve": (RoundState.FROZEN, RoundState.SOLVED),
    "reallocate": (RoundState.FROZEN, RoundState.SOLVED),
    "value": _FROM_CHECK,
    "design": (RoundState.CHECKED,),
    "report": _AFTER_SOLVING,
}
_KINDS = {
    "solve": Kind.PSEUDOMARKET,
    "value": Kind.REALLOCATION,
    "design": Kind.REALLOCATION,
    "reallocate": Kind.REALLOCATION,
}
_SEARCH = {"seed": int, "draws": int, "time_limit": float, "tol": float, "method": str}
_SETTINGS: Mapping[str, Mapping[str, type]] = {
    "solve": {name: _SEARCH[name] for name in ("method", "tol", "time_limit", "seed")},
    "value": {"draws": int, "seed": int},
    "design": {**_SEARCH, "max_lines": int, "round_rates": int, "min_exchange": float, "bound": bool},
    "reallocate": {"seed": int},
    "report": {},
}
_METHODS = {
    "solve": ("auto", "joint", "path", "nash", "bundles", "exact"),
    "design": ("menus", "two-price", "bilateral", "robust", "past-picks"),
}


def request_job(store: Store, round_id: str, what: str, who: Account, **settings: Any) -> Job:
    """Ask for background work.

    Parameters
    ----------
    store : Store
        The database.
    round_id : str
        For which round.
    what : str
        ``solve``, ``value``, ``design``, ``reallocate`` or ``report``.
    who : Account
        For the log.
    **settings
        Of the work, as on the command line: ``method``, ``tol``, ``time_limit``, ``seed``, ``draws``,
        ``max_lines``, ``round_rates``, ``min_exchange``, ``bound``, as far as it takes them.

    Raises
    ------
    RefusedError
        If it is not possible now, is under way already, or a setting is not understood.
    """
    if what not in WORK:
        msg = f"no such work: {what}"
        raise RefusedError(msg)
    chosen = _checked(what, {name: value for name, value in settings.items() if value is not None})
    with store.writing() as tx:
        found = existing(tx, round_id)
        if _KINDS.get(what, found.kind) is not found.kind:
            msg = f"a round of this kind knows no '{what}'"
            raise RefusedError(msg)
        in_state(tx, round_id, _STATES[what], f"'{what}'")
        _refuse_committed(tx, found, what)
        if any(job.what == what and not job.ended for job in tx.jobs(round_id)):
            msg = f"'{what}' is under way already"
            raise RefusedError(msg)
        made = tx.add_job(round_id, what, chosen, who.name)
        tx.append(round_id, who.name, "work asked for", {"job": made.id, "what": what})
        return made


def job(store: Store, job_id: int) -> Job:
    """Return a job as it is now."""
    with store.reading() as tx:
        found = tx.job(job_id)
    if found is None:
        msg = "there is no such job"
        raise UnknownError(msg)
    return found


def jobs(store: Store, round_id: str) -> tuple[Job, ...]:
    """List the jobs of a round, latest first."""
    with store.reading() as tx:
        existing(tx, round_id)
        return tx.jobs(round_id)


def run_waiting(store: Store) -> int:
    """Do all that waits, here and now; return how many jobs were done."""
    done = 0
    while True:
        with store.reading() as tx:
            waiting = [one for one in tx.open_jobs() if one.state is JobState.WAITING]
        if not waiting:
            return done
        done += run(store, waiting[0])


def run(store: Store, asked: Job) -> bool:
    """Take a job as it was seen, and do it; False if somebody else was faster."""
    with store.writing() as tx:
        seen = tx.job(asked.id)
        if seen is None or seen.attempt != asked.attempt or seen.ended:
            return False
        if seen.attempt >= MOST_ATTEMPTS:
            message = f"given up: the worker died {seen.attempt} times at it, perhaps for lack of memory"
            tx.end_job(seen.id, JobState.FAILED, [message])
            tx.append(seen.round_id, "system", "work failed", {"job": seen.id, "what": seen.what})
            return True
        attempt = tx.begin_job(seen.id)
        work_area = {"report": Area.RESULT, "value": Area.PROBLEM, "design": Area.PROBLEM}
        area = work_area.get(seen.what, Area.FROZEN)
        files = tx.files(seen.round_id, area)
        inputs = tx.fingerprint(seen.round_id, area)
    with _Heart(store, seen.id, attempt) as heart:
        try:
            done: Done | None = WORK[seen.what](files, seen.settings, heart)
            messages: tuple[str, ...] = () if done is None else done.messages
        except _SupersededError:
            return True
        except FairlotError as error:
            done, messages = None, tuple(str(error).splitlines())
        except Exception as error:  # whatever it is, the organiser hears of it and the worker goes on
            done, messages = None, (f"the work stopped: {type(error).__name__}: {error}",)
    _hand_in(store, seen, attempt, (area, inputs), done, messages)
    return True


def _hand_in(
    store: Store,
    seen: Job,
    attempt: int,
    inputs: tuple[Area, str],
    done: Done | None,
    messages: tuple[str, ...],
) -> None:
    """Put all that some work made in place, unless another attempt has begun or its input has changed."""
    with store.writing() as tx:
        now = tx.job(seen.id)
        if now is None or now.attempt != attempt or now.ended:
            return
        found = existing(tx, seen.round_id)
        outdated = found.state not in _STATES[seen.what] or tx.fingerprint(found.id, inputs[0]) != inputs[1]
        try:
            _refuse_committed(tx, found, seen.what)
        except RefusedError:
            outdated = True
        if done is not None and outdated:
            done, messages = None, ("thrown away: the round has changed meanwhile",)
        detail = {"job": seen.id, "what": seen.what}
        if done is None:
            tx.end_job(seen.id, JobState.FAILED, messages)
            tx.append(found.id, "system", "work failed", detail)
            return
        if done.area is not Area.REPORT:
            tx.drop_files(found.id, done.area)
        tx.put_files(found.id, done.area, done.files)
        if done.area is Area.RESULT:
            tx.drop_files(found.id, Area.REPORT, (REPORT, PUBLIC_REPORT))
            tx.set_round(found.id, state=RoundState.SOLVED)
        tx.end_job(seen.id, JobState.DONE, messages)
        tx.append(found.id, "system", "work done", {**detail, "sha256": tx.fingerprint(found.id, done.area)})


class _SupersededError(Exception):
    """Another worker has begun this job again: this attempt is of no use any more."""


class _Heart:
    """Reports progress, and beats while the work goes on."""

    def __init__(self, store: Store, job_id: int, attempt: int) -> None:
        self._store, self._job_id, self._attempt = store, job_id, attempt
        self._told: tuple[str, float | None, float | None] = ("", None, None)
        self._alive = True
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def stage(self, name: str) -> None:
        """Say that a new stage begins."""
        self._told = (name, None, None)
        self._go_on()

    def update(self, fraction: float | None = None, residual: float | None = None) -> None:
        """Say how far it is."""
        self._told = (self._told[0], fraction, residual)
        self._go_on()

    def __enter__(self) -> _Heart:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _go_on(self) -> None:
        if not self._alive:
            raise _SupersededError

    def _beat(self) -> None:
        while not self._stop.wait(_BEAT_SECONDS):
            with suppress(FairlotError), self._store.writing() as tx:  # a full disk now need not be one later
                self._alive = tx.beat(self._job_id, self._attempt, *self._told)


class Watch:
    """Tells which running jobs have no worker any more: those whose beat stands still.

    Time is that of a monotonic clock, so that setting the clock harms nothing.

    Parameters
    ----------
    patience : float
        Seconds without a beat.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: dict[int, tuple[int, float]] = {}

    def next_job(self, store: Store) -> Job | None:
        """Return a job to take: one that waits, or one whose worker died."""
        with store.reading() as tx:
            open_jobs = tx.open_jobs()
        at = time.monotonic()
        self._seen = {one.id: self._seen.get(one.id, (-1, at)) for one in open_jobs}
        for one in open_jobs:
            if one.state is JobState.WAITING:
                return one
            beat, since = self._seen[one.id]
            if beat != one.beat:
                self._seen[one.id] = (one.beat, at)
            elif at - since > self._patience:
                return one
        return None


def _checked(what: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    known = _SETTINGS[what]
    faults = []
    chosen: dict[str, Any] = {}
    for name, setting in settings.items():
        if name not in known:
            faults.append(f"{name}: '{what}' has no such setting")
            continue
        try:
            chosen[name] = known[name](setting)
        except (TypeError, ValueError, OverflowError):
            faults.append(f"{name}: not understood")
            continue
        if known[name] in (int, float) and not 0 <= chosen[name] < 2**31:
            faults.append(f"{name}: a number from 0")
        if name == "method" and chosen[name] not in _METHODS[what]:
            faults.append(f"method: one of {', '.join(_METHODS[what])}")
    if faults:
        raise RefusedError("; ".join(faults))
    return chosen


def _refuse_committed(tx: Reading, found: Round, what: str) -> None:
    if what not in ("solve", "reallocate"):
        return
    if tx.file(found.id, Area.RESULT, COMMITMENT_FILE) is not None:
        msg = f"'{what}' is not possible now: the draw is committed to this result"
        raise RefusedError(msg)
