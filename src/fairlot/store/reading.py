"""Reads of one transaction; frozen records come out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from fairlot.lottery.protocol.canonical import digest, fields
from fairlot.store.chain import parse_moment
from fairlot.store.records import (
    Account,
    Answered,
    Area,
    Job,
    JobState,
    Kind,
    LogEntry,
    Participant,
    Pass,
    Role,
    Round,
    RoundState,
    Submission,
)
from fairlot.store.schema import (
    ACCOUNTS,
    FILES,
    JOBS,
    LINKS,
    LOG,
    PARTICIPANTS,
    REQUESTS,
    ROLES,
    ROUNDS,
    SESSIONS,
    SUBMISSIONS,
    Base,
)


def _by_key(table: sa.Table) -> tuple[sa.Select[Any], tuple[str, ...]]:
    """Write the statement that finds a row by its key once, not with every read."""
    columns = tuple(table.primary_key.columns)
    where = (column == sa.bindparam(column.name) for column in columns)
    return sa.select(table).where(*where), tuple(column.name for column in columns)


_BY_KEY = {table.name: _by_key(table) for table in Base.metadata.sorted_tables}
_FINGERPRINT = (
    sa.select(FILES.c.name, FILES.c.sha256)
    .where(FILES.c.round_id == sa.bindparam("round_id"), FILES.c.area == sa.bindparam("area"))
    .order_by(FILES.c.name)
)


class Reading:
    """A reading transaction.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        On which :class:`~fairlot.store.database.Store` has begun a transaction.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def execute(self, statement: sa.Executable, rows: list[dict[str, Any]] | None = None) -> sa.Result[Any]:
        """Run a statement of this room."""
        return self._connection.execute(statement, rows)

    def _row(self, table: sa.Table, *key: str | int) -> sa.Row[Any] | None:
        statement, names = _BY_KEY[table.name]
        return self._connection.execute(statement, dict(zip(names, key, strict=True))).first()

    def _one(self, statement: sa.Select[Any]) -> sa.Row[Any] | None:
        return self._connection.execute(statement).first()

    def round(self, round_id: str) -> Round | None:
        """Return a round."""
        row = self._row(ROUNDS, round_id)
        return None if row is None else _round(row)

    def rounds(self, account_id: str | None = None) -> tuple[Round, ...]:
        """List rounds, latest first; those in which an account has a role, or all."""
        query = sa.select(ROUNDS).order_by(ROUNDS.c.created.desc(), ROUNDS.c.id)
        if account_id is not None:
            query = query.join(ROLES, ROLES.c.round_id == ROUNDS.c.id).where(ROLES.c.account_id == account_id)
        return tuple(_round(row) for row in self._connection.execute(query))

    def files(self, round_id: str, area: Area) -> dict[str, bytes]:
        """Return the files of an area by name."""
        query = (
            sa.select(FILES.c.name, FILES.c.data)
            .where(FILES.c.round_id == round_id, FILES.c.area == area)
            .order_by(FILES.c.name)
        )
        return {name: bytes(data) for name, data in self._connection.execute(query)}

    def file(self, round_id: str, area: Area, name: str) -> bytes | None:
        """Return one file."""
        query = sa.select(FILES.c.data).where(
            FILES.c.round_id == round_id, FILES.c.area == area, FILES.c.name == name
        )
        data = self._connection.scalar(query)
        return None if data is None else bytes(data)

    def fingerprint(self, round_id: str, area: Area) -> str:
        """Return a hash of an area's names and contents without reading the contents."""
        rows = self._connection.execute(_FINGERPRINT, {"round_id": round_id, "area": area})
        return digest(fields([text for row in rows for text in row]))

    def log(self, round_id: str) -> tuple[LogEntry, ...]:
        """Return the log from its first entry."""
        query = sa.select(LOG).where(LOG.c.round_id == round_id).order_by(LOG.c.number)
        return tuple(_entry(row) for row in self._connection.execute(query))

    def account(self, account_id: str) -> Account | None:
        """Return an organiser."""
        row = self._row(ACCOUNTS, account_id)
        return None if row is None else Account(row.id, row.name, row.admin)

    def account_named(self, name: str) -> Account | None:
        """Return the organiser of a name."""
        row = self._one(sa.select(ACCOUNTS).where(ACCOUNTS.c.name == name))
        return None if row is None else Account(row.id, row.name, row.admin)

    def accounts(self) -> tuple[Account, ...]:
        """List organisers by name."""
        rows = self._connection.execute(sa.select(ACCOUNTS).order_by(ACCOUNTS.c.name))
        return tuple(Account(row.id, row.name, row.admin) for row in rows)

    def roles(self, round_id: str) -> dict[str, Role]:
        """Return who has which role in a round, by the organiser's name."""
        query = (
            sa.select(ACCOUNTS.c.name, ROLES.c.role)
            .join(ROLES, ROLES.c.account_id == ACCOUNTS.c.id)
            .where(ROLES.c.round_id == round_id)
            .order_by(ACCOUNTS.c.name)
        )
        return {name: Role(role) for name, role in self._connection.execute(query)}

    def roles_of(self, account_id: str) -> dict[str, Role]:
        """Return the roles of an organiser by round."""
        query = sa.select(ROLES.c.round_id, ROLES.c.role).where(ROLES.c.account_id == account_id)
        return {round_id: Role(role) for round_id, role in self._connection.execute(query)}

    def participants(self, round_id: str) -> tuple[Participant, ...]:
        """List the agents of a round in order of id."""
        query = (
            sa.select(PARTICIPANTS).where(PARTICIPANTS.c.round_id == round_id).order_by(PARTICIPANTS.c.agent)
        )
        return tuple(_participant(row) for row in self._connection.execute(query))

    def participant(self, round_id: str, agent: str) -> Participant | None:
        """Return an agent of a round."""
        row = self._row(PARTICIPANTS, round_id, agent)
        return None if row is None else _participant(row)

    def submission(self, round_id: str, agent: str) -> Submission | None:
        """Return the choice of an agent that counts."""
        row = self._row(SUBMISSIONS, round_id, agent)
        return None if row is None else _submission(row)

    def submissions(self, round_id: str) -> tuple[Submission, ...]:
        """List the choices that count, in order of id."""
        query = sa.select(SUBMISSIONS).where(SUBMISSIONS.c.round_id == round_id).order_by(SUBMISSIONS.c.agent)
        return tuple(_submission(row) for row in self._connection.execute(query))

    def chosen(self, round_id: str) -> tuple[int, datetime | None]:
        """Count the choices that count, and say when the latest was saved."""
        query = sa.select(sa.func.count(), sa.func.max(SUBMISSIONS.c.at)).where(
            SUBMISSIONS.c.round_id == round_id
        )
        number, latest = self._connection.execute(query).one()
        return number, _moment(latest)

    def answered(self, round_id: str, agent: str, key: str) -> Answered | None:
        """Return how a request was answered before, by its hashed key."""
        row = self._row(REQUESTS, round_id, agent, key)
        if row is None:
            return None
        return Answered(row.asked, row.version, bytes(row.document), parse_moment(row.at))

    def receipts(self, round_id: str, agent: str) -> tuple[Answered, ...]:
        """List all that was answered to an agent, in order."""
        query = (
            sa.select(REQUESTS)
            .where(REQUESTS.c.round_id == round_id, REQUESTS.c.agent == agent)
            .order_by(REQUESTS.c.version)
        )
        return tuple(
            Answered(row.asked, row.version, bytes(row.document), parse_moment(row.at))
            for row in self._connection.execute(query)
        )

    def link(self, secret: str) -> Pass | None:
        """Return where a link leads, by the hash of its secret or code."""
        query = sa.select(LINKS).where(sa.or_(LINKS.c.secret == secret, LINKS.c.code == secret))
        row = self._one(query)
        return None if row is None else _pass(row)

    def session(self, secret: str) -> Pass | None:
        """Return who holds a session, by the hash of its secret."""
        row = self._row(SESSIONS, secret)
        return None if row is None else _pass(row)

    def job(self, job_id: int) -> Job | None:
        """Return a job."""
        row = self._row(JOBS, job_id)
        return None if row is None else _job(row)

    def jobs(self, round_id: str) -> tuple[Job, ...]:
        """List the jobs of a round, latest first."""
        query = sa.select(JOBS).where(JOBS.c.round_id == round_id).order_by(JOBS.c.id.desc())
        return tuple(_job(row) for row in self._connection.execute(query))

    def open_jobs(self) -> tuple[Job, ...]:
        """List the jobs that wait or run, oldest first."""
        query = (
            sa.select(JOBS).where(JOBS.c.state.in_([JobState.WAITING, JobState.RUNNING])).order_by(JOBS.c.id)
        )
        return tuple(_job(row) for row in self._connection.execute(query))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_moment(text)


def _json(text: str) -> Mapping[str, Any]:
    document: dict[str, Any] = json.loads(text)
    return document


def _round(row: sa.Row[Any]) -> Round:
    return Round(
        row.id,
        row.title,
        Kind(row.kind),
        RoundState(row.state),
        parse_moment(row.created),
        _moment(row.deadline),
        _json(row.settings),
        row.head,
        row.entries,
    )


def _entry(row: sa.Row[Any]) -> LogEntry:
    at, detail = parse_moment(row.at), _json(row.detail)
    return LogEntry(row.round_id, row.number, at, row.who, row.what, detail, row.previous, row.hash)


def _participant(row: sa.Row[Any]) -> Participant:
    invited, reminded, visited = map(_moment, (row.invited, row.reminded, row.visited))
    return Participant(row.agent, row.salt, invited, reminded, visited, row.erased)


def _submission(row: sa.Row[Any]) -> Submission:
    return Submission(row.agent, row.version, _json(row.payload), row.receipt, parse_moment(row.at))


def _pass(row: sa.Row[Any]) -> Pass:
    return Pass(row.round_id, row.agent, row.account_id, parse_moment(row.expires))


def _job(row: sa.Row[Any]) -> Job:
    return Job(
        row.id,
        row.round_id,
        row.what,
        _json(row.settings),
        JobState(row.state),
        row.who,
        parse_moment(row.asked),
        _moment(row.begun),
        _moment(row.finished),
        row.attempt,
        row.beat,
        row.stage,
        row.share,
        row.residual,
        tuple(json.loads(row.messages)),
    )
