"""Writes of one transaction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from fairlot.lottery.protocol.canonical import digest
from fairlot.store.chain import BEGINNING, chained, moment, parse_moment
from fairlot.store.reading import Reading
from fairlot.store.records import (
    Account,
    Area,
    Job,
    JobState,
    Kind,
    LogEntry,
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


class Writing(Reading):
    """A writing transaction; it reads what it has written.

    Parameters
    ----------
    session : sqlalchemy.orm.Session
        Begun by :class:`~fairlot.store.database.Store`.
    clock : callable
        Tells the time.
    """

    def __init__(self, session: Session, clock: Callable[[], datetime]) -> None:
        super().__init__(session)
        self._clock = clock

    def now(self, round_id: str | None = None) -> datetime:
        """Return the time; of a round, never before its latest entry, even if the clock was set back."""
        at = self._clock()
        row = None if round_id is None else self._session.get(RoundRow, round_id)
        return at if row is None or not row.latest else max(at, parse_moment(row.latest))

    def append(self, round_id: str, who: str, what: str, detail: Mapping[str, Any]) -> LogEntry:
        """Add an entry to a round's log."""
        at = self.now(round_id)
        row = self._row(round_id)
        entry = chained(round_id, row.entries + 1, at, who, what, detail, row.head)
        self._session.add(
            LogRow(
                round_id=round_id,
                number=entry.number,
                at=moment(at),
                who=who,
                what=what,
                detail=_text(detail),
                previous=entry.previous,
                hash=entry.hash,
            )
        )
        row.entries, row.head, row.latest = entry.number, entry.hash, moment(at)
        return entry

    def add_round(self, title: str, kind: Kind, settings: Mapping[str, Any]) -> Round:
        """Add a round, a draft without files."""
        row = RoundRow(
            id=secrets.token_urlsafe(12),
            title=title,
            kind=kind,
            state=RoundState.DRAFT,
            created=moment(self._clock()),
            deadline=None,
            settings=_text(settings),
            head=BEGINNING,
            entries=0,
            latest="",
        )
        self._session.add(row)
        self._session.flush()
        return self._known(row.id)

    def set_round(
        self,
        round_id: str,
        *,
        state: RoundState | None = None,
        deadline: datetime | None = None,
        title: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Round:
        """Change what is given of a round."""
        row = self._row(round_id)
        if state is not None:
            row.state = state
        if deadline is not None:
            row.deadline = moment(deadline)
        if title is not None:
            row.title = title
        if settings is not None:
            row.settings = _text(settings)
        return self._known(round_id)

    def put_files(self, round_id: str, area: Area, files: Mapping[str, bytes]) -> None:
        """Put files, in place of those of the same names."""
        self.drop_files(round_id, area, files)
        self._session.add_all(
            FileRow(round_id=round_id, area=area, name=name, sha256=digest(data), data=data)
            for name, data in files.items()
        )
        self._session.flush()

    def drop_files(self, round_id: str, area: Area, names: Iterable[str] | None = None) -> None:
        """Drop files of an area by name, or all of them."""
        query = sa.delete(FileRow).where(FileRow.round_id == round_id, FileRow.area == area)
        if names is not None:
            query = query.where(FileRow.name.in_(list(names)))
        self._session.execute(query)

    def add_account(self, name: str, admin: bool) -> Account:
        """Add an organiser."""
        row = AccountRow(id=secrets.token_urlsafe(12), name=name, admin=admin)
        self._session.add(row)
        self._session.flush()
        return Account(row.id, row.name, row.admin)

    def set_role(self, round_id: str, account_id: str, role: Role | None) -> None:
        """Give an organiser a role in a round, or none."""
        if role is None:
            self._session.execute(
                sa.delete(RoleRow).where(RoleRow.round_id == round_id, RoleRow.account_id == account_id)
            )
        else:
            self._session.merge(RoleRow(round_id=round_id, account_id=account_id, role=role))

    def set_participants(self, round_id: str, agents: Iterable[str]) -> None:
        """Make these the agents of a round; those it knows keep their salts, others go."""
        wanted = list(agents)
        known = {participant.agent for participant in self.participants(round_id)}
        self._session.add_all(
            ParticipantRow(round_id=round_id, agent=agent, salt=secrets.token_hex(32), erased=False)
            for agent in wanted
            if agent not in known
        )
        for agent in known - set(wanted):
            self.drop_agent(round_id, agent)
            self._session.execute(
                sa.delete(ParticipantRow).where(
                    ParticipantRow.round_id == round_id, ParticipantRow.agent == agent
                )
            )
        self._session.flush()

    def set_participant(
        self,
        round_id: str,
        agent: str,
        *,
        invited: datetime | None = None,
        reminded: datetime | None = None,
        visited: datetime | None = None,
        erased: bool = False,
    ) -> None:
        """Note what happened to an agent; ``erased`` takes her salt away."""
        row = self._session.get_one(ParticipantRow, (round_id, agent))
        for name, at in (("invited", invited), ("reminded", reminded), ("visited", visited)):
            if at is not None:
                setattr(row, name, moment(at))
        if erased:
            row.erased, row.salt = True, ""

    def drop_agent(self, round_id: str, agent: str) -> None:
        """Drop the choices, answers, links and sessions of an agent."""
        for table in (SubmissionRow, RequestRow, LinkRow, SessionRow):
            self._session.execute(sa.delete(table).where(table.round_id == round_id, table.agent == agent))

    def put_submission(self, round_id: str, submission: Submission) -> None:
        """Put an agent's choice, in place of the one before."""
        self._session.merge(
            SubmissionRow(
                round_id=round_id,
                agent=submission.agent,
                version=submission.version,
                payload=_text(submission.payload),
                receipt=submission.receipt,
                at=moment(submission.at),
            )
        )

    def put_answer(
        self, round_id: str, submission: Submission, key: str, asked: str, document: bytes
    ) -> None:
        """Remember how a request was answered."""
        self._session.add(
            RequestRow(
                round_id=round_id,
                agent=submission.agent,
                key=key,
                asked=asked,
                version=submission.version,
                document=document,
                at=moment(submission.at),
            )
        )

    def add_link(self, secret: str, code: str | None, target: Pass) -> None:
        """Add a link by the hashes of its secret and its code."""
        self._session.add(LinkRow(secret=secret, code=code, **_target(target)))

    def drop_links(self, round_id: str, agents: Iterable[str]) -> None:
        """Drop the links of some agents."""
        for some in _batches(list(agents)):
            self._session.execute(
                sa.delete(LinkRow).where(LinkRow.round_id == round_id, LinkRow.agent.in_(some))
            )

    def take_link(self, secret: str) -> Pass | None:
        """Return where a link leads, and drop it; None if it is gone."""
        found = self.link(secret)
        self._session.execute(
            sa.delete(LinkRow).where(sa.or_(LinkRow.secret == secret, LinkRow.code == secret))
        )
        return found

    def add_session(self, secret: str, target: Pass) -> None:
        """Begin a session, by the hash of its secret."""
        self._session.add(SessionRow(secret=secret, **_target(target)))

    def drop_session(self, secret: str) -> None:
        """End a session."""
        self._session.execute(sa.delete(SessionRow).where(SessionRow.secret == secret))

    def drop_expired(self) -> None:
        """Drop links and sessions that have expired."""
        for table in (LinkRow, SessionRow):
            self._session.execute(sa.delete(table).where(table.expires < moment(self._clock())))

    def add_job(self, round_id: str, what: str, settings: Mapping[str, Any], who: str) -> Job:
        """Add a job that waits."""
        row = JobRow(
            round_id=round_id,
            what=what,
            settings=_text(settings),
            state=JobState.WAITING,
            who=who,
            asked=moment(self._clock()),
            attempt=0,
            beat=0,
            stage="",
            messages="[]",
        )
        self._session.add(row)
        self._session.flush()
        found = self.job(row.id)
        assert found is not None  # noqa: S101 - just added
        return found

    def begin_job(self, job_id: int) -> int:
        """Say that a worker takes a job; return which attempt this is."""
        row = self._session.get_one(JobRow, job_id)
        row.state, row.attempt, row.beat = JobState.RUNNING, row.attempt + 1, row.beat + 1
        row.stage, row.share, row.residual = "", None, None
        row.begun = moment(self._clock())
        return row.attempt

    def beat(
        self, job_id: int, attempt: int, stage: str, share: float | None, residual: float | None
    ) -> bool:
        """Say that a job's worker lives, and how far it is; False if another attempt has begun."""
        row = self._session.get_one(JobRow, job_id)
        if row.attempt != attempt or row.state != JobState.RUNNING:
            return False
        row.beat, row.stage, row.share, row.residual = row.beat + 1, stage, share, residual
        return True

    def end_job(self, job_id: int, state: JobState, messages: Iterable[str]) -> None:
        """Say that a job is done, or has failed."""
        row = self._session.get_one(JobRow, job_id)
        row.state, row.messages = state, json.dumps(list(messages), ensure_ascii=False)
        row.finished, row.stage, row.share = moment(self._clock()), "", None

    def restart_numbers(self) -> None:
        """Let jobs be numbered on from the highest there is, after rows came with their numbers."""
        if self._session.get_bind().dialect.name == "postgresql":
            highest = sa.select(sa.func.coalesce(sa.func.max(JobRow.id), 0) + 1).scalar_subquery()
            name = sa.func.pg_get_serial_sequence("jobs", "id")
            self._session.execute(sa.select(sa.func.setval(name, highest, False)))

    def _row(self, round_id: str) -> RoundRow:
        return self._session.get_one(RoundRow, round_id)

    def _known(self, round_id: str) -> Round:
        found = self.round(round_id)
        assert found is not None  # noqa: S101 - its row is at hand
        return found


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(dict(document), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _target(target: Pass) -> dict[str, Any]:
    return {
        "round_id": target.round_id,
        "agent": target.agent,
        "account_id": target.account_id,
        "expires": moment(target.expires),
    }


def _batches(names: list[str], size: int = 500) -> Iterable[list[str]]:
    """Cut a list into pieces that a statement takes."""
    return (names[k : k + size] for k in range(0, len(names), size))
