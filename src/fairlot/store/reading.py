"""Reads of one transaction; frozen records come out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

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
    AccountRow,
    FileRow,
    JobRow,
    LinkRow,
    LogRow,
    ParticipantRow,
    RequestRow,
    RoleRow,
    RoundRow,
    SessionRow,
    SubmissionRow,
)


class Reading:
    """A reading transaction.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        Begun by :class:`~fairlot.store.database.Store`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def execute(self, statement: sa.Executable, rows: list[dict[str, Any]] | None = None) -> sa.Result[Any]:
        """Run a statement of this room."""
        return self._session.execute(statement, rows)

    def round(self, round_id: str) -> Round | None:
        """Return a round."""
        row = self._session.get(RoundRow, round_id)
        return None if row is None else _round(row)

    def rounds(self, account_id: str | None = None) -> tuple[Round, ...]:
        """List rounds, latest first; those in which an account has a role, or all."""
        query = sa.select(RoundRow).order_by(RoundRow.created.desc(), RoundRow.id)
        if account_id is not None:
            query = query.join(RoleRow, RoleRow.round_id == RoundRow.id).where(
                RoleRow.account_id == account_id
            )
        return tuple(_round(row) for row in self._session.scalars(query))

    def files(self, round_id: str, area: Area) -> dict[str, bytes]:
        """Return the files of an area by name."""
        query = (
            sa.select(FileRow.name, FileRow.data)
            .where(FileRow.round_id == round_id, FileRow.area == area)
            .order_by(FileRow.name)
        )
        return {name: bytes(data) for name, data in self._session.execute(query)}

    def file(self, round_id: str, area: Area, name: str) -> bytes | None:
        """Return one file."""
        query = sa.select(FileRow.data).where(
            FileRow.round_id == round_id, FileRow.area == area, FileRow.name == name
        )
        data = self._session.scalar(query)
        return None if data is None else bytes(data)

    def fingerprint(self, round_id: str, area: Area) -> str:
        """Return a hash of an area's names and contents without reading the contents."""
        query = (
            sa.select(FileRow.name, FileRow.sha256)
            .where(FileRow.round_id == round_id, FileRow.area == area)
            .order_by(FileRow.name)
        )
        return digest(fields([text for row in self._session.execute(query) for text in row]))

    def log(self, round_id: str) -> tuple[LogEntry, ...]:
        """Return the log from its first entry."""
        query = sa.select(LogRow).where(LogRow.round_id == round_id).order_by(LogRow.number)
        return tuple(_entry(row) for row in self._session.scalars(query))

    def account(self, account_id: str) -> Account | None:
        """Return an organiser."""
        row = self._session.get(AccountRow, account_id)
        return None if row is None else Account(row.id, row.name, row.admin)

    def account_named(self, name: str) -> Account | None:
        """Return the organiser of a name."""
        row = self._session.scalar(sa.select(AccountRow).where(AccountRow.name == name))
        return None if row is None else Account(row.id, row.name, row.admin)

    def accounts(self) -> tuple[Account, ...]:
        """List organisers by name."""
        rows = self._session.scalars(sa.select(AccountRow).order_by(AccountRow.name))
        return tuple(Account(row.id, row.name, row.admin) for row in rows)

    def roles(self, round_id: str) -> dict[str, Role]:
        """Return who has which role in a round, by the organiser's name."""
        query = (
            sa.select(AccountRow.name, RoleRow.role)
            .join(RoleRow, RoleRow.account_id == AccountRow.id)
            .where(RoleRow.round_id == round_id)
            .order_by(AccountRow.name)
        )
        return {name: Role(role) for name, role in self._session.execute(query)}

    def roles_of(self, account_id: str) -> dict[str, Role]:
        """Return the roles of an organiser by round."""
        query = sa.select(RoleRow.round_id, RoleRow.role).where(RoleRow.account_id == account_id)
        return {round_id: Role(role) for round_id, role in self._session.execute(query)}

    def participants(self, round_id: str) -> tuple[Participant, ...]:
        """List the agents of a round in order of id."""
        query = (
            sa.select(ParticipantRow)
            .where(ParticipantRow.round_id == round_id)
            .order_by(ParticipantRow.agent)
        )
        return tuple(_participant(row) for row in self._session.scalars(query))

    def participant(self, round_id: str, agent: str) -> Participant | None:
        """Return an agent of a round."""
        row = self._session.get(ParticipantRow, (round_id, agent))
        return None if row is None else _participant(row)

    def submission(self, round_id: str, agent: str) -> Submission | None:
        """Return the choice of an agent that counts."""
        row = self._session.get(SubmissionRow, (round_id, agent))
        return None if row is None else _submission(row)

    def submissions(self, round_id: str) -> tuple[Submission, ...]:
        """List the choices that count, in order of id."""
        query = (
            sa.select(SubmissionRow).where(SubmissionRow.round_id == round_id).order_by(SubmissionRow.agent)
        )
        return tuple(_submission(row) for row in self._session.scalars(query))

    def chosen(self, round_id: str) -> tuple[int, datetime | None]:
        """Count the choices that count, and say when the latest was saved."""
        query = sa.select(sa.func.count(), sa.func.max(SubmissionRow.at)).where(
            SubmissionRow.round_id == round_id
        )
        number, latest = self._session.execute(query).one()
        return number, _moment(latest)

    def answered(self, round_id: str, agent: str, key: str) -> Answered | None:
        """Return how a request was answered before, by its hashed key."""
        row = self._session.get(RequestRow, (round_id, agent, key))
        if row is None:
            return None
        return Answered(row.asked, row.version, bytes(row.document), parse_moment(row.at))

    def receipts(self, round_id: str, agent: str) -> tuple[Answered, ...]:
        """List all that was answered to an agent, in order."""
        query = (
            sa.select(RequestRow)
            .where(RequestRow.round_id == round_id, RequestRow.agent == agent)
            .order_by(RequestRow.version)
        )
        return tuple(
            Answered(row.asked, row.version, bytes(row.document), parse_moment(row.at))
            for row in self._session.scalars(query)
        )

    def link(self, secret: str) -> Pass | None:
        """Return where a link leads, by the hash of its secret or code."""
        query = sa.select(LinkRow).where(sa.or_(LinkRow.secret == secret, LinkRow.code == secret))
        row = self._session.scalar(query)
        return None if row is None else _pass(row)

    def session(self, secret: str) -> Pass | None:
        """Return who holds a session, by the hash of its secret."""
        row = self._session.get(SessionRow, secret)
        return None if row is None else _pass(row)

    def job(self, job_id: int) -> Job | None:
        """Return a job."""
        row = self._session.get(JobRow, job_id)
        return None if row is None else _job(row)

    def jobs(self, round_id: str) -> tuple[Job, ...]:
        """List the jobs of a round, latest first."""
        query = sa.select(JobRow).where(JobRow.round_id == round_id).order_by(JobRow.id.desc())
        return tuple(_job(row) for row in self._session.scalars(query))

    def open_jobs(self) -> tuple[Job, ...]:
        """List the jobs that wait or run, oldest first."""
        query = (
            sa.select(JobRow)
            .where(JobRow.state.in_([JobState.WAITING, JobState.RUNNING]))
            .order_by(JobRow.id)
        )
        return tuple(_job(row) for row in self._session.scalars(query))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_moment(text)


def _json(text: str) -> Mapping[str, Any]:
    document: dict[str, Any] = json.loads(text)
    return document


def _round(row: RoundRow) -> Round:
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


def _entry(row: LogRow) -> LogEntry:
    at, detail = parse_moment(row.at), _json(row.detail)
    return LogEntry(row.round_id, row.number, at, row.who, row.what, detail, row.previous, row.hash)


def _participant(row: ParticipantRow) -> Participant:
    invited, reminded, visited = map(_moment, (row.invited, row.reminded, row.visited))
    return Participant(row.agent, row.salt, invited, reminded, visited, row.erased)


def _submission(row: SubmissionRow) -> Submission:
    return Submission(row.agent, row.version, _json(row.payload), row.receipt, parse_moment(row.at))


def _pass(row: LinkRow | SessionRow) -> Pass:
    return Pass(row.round_id, row.agent, row.account_id, parse_moment(row.expires))


def _job(row: JobRow) -> Job:
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
