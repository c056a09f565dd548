"""Writes of one transaction."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

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
)


class Writing(Reading):
    """A writing transaction; it reads what it has written.

    Parameters
    ----------
    connection : sqlalchemy.Connection
        On which :class:`~fairlot.store.database.Store` has begun a transaction.
    clock : callable
        Tells the time.
    """

    def __init__(self, connection: sa.Connection, clock: Callable[[], datetime]) -> None:
        super().__init__(connection)
        self._clock = clock
        self._ends: dict[str, tuple[int, str, str]] = {}

    def now(self, round_id: str | None = None) -> datetime:
        """Return the time; of a round, never before its latest entry, even if the clock was set back."""
        at = self._clock()
        latest = "" if round_id is None else self._end(round_id)[2]
        return max(at, parse_moment(latest)) if latest else at

    def forget(self) -> None:
        """Forget what was read, after some of what was written was taken back."""
        self._ends.clear()

    def append(self, round_id: str, who: str, what: str, detail: Mapping[str, Any]) -> LogEntry:
        """Add an entry to a round's log."""
        at = self.now(round_id)
        number, head, _ = self._end(round_id)
        entry = chained(round_id, number + 1, at, who, what, detail, head)
        self._insert(
            LOG,
            round_id=round_id,
            number=entry.number,
            at=moment(at),
            who=who,
            what=what,
            detail=_text(detail),
            previous=entry.previous,
            hash=entry.hash,
        )
        self._update(ROUNDS, round_id, entries=entry.number, head=entry.hash, latest=moment(at))
        self._ends[round_id] = entry.number, entry.hash, moment(at)
        return entry

    def add_round(self, title: str, kind: Kind, settings: Mapping[str, Any]) -> Round:
        """Add a round, a draft without files."""
        round_id = secrets.token_urlsafe(12)
        self._insert(
            ROUNDS,
            id=round_id,
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
        return self._known(round_id)

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
        changes = {
            "state": state,
            "deadline": None if deadline is None else moment(deadline),
            "title": title,
            "settings": None if settings is None else _text(settings),
        }
        given = {name: value for name, value in changes.items() if value is not None}
        if given:
            self._update(ROUNDS, round_id, **given)
        return self._known(round_id)

    def put_files(self, round_id: str, area: Area, files: Mapping[str, bytes]) -> None:
        """Put files, in place of those of the same names."""
        self.drop_files(round_id, area, files)
        for name, data in files.items():
            self._insert(FILES, round_id=round_id, area=area, name=name, sha256=digest(data), data=data)

    def drop_files(self, round_id: str, area: Area, names: Iterable[str] | None = None) -> None:
        """Drop files of an area by name, or all of them."""
        query = sa.delete(FILES).where(FILES.c.round_id == round_id, FILES.c.area == area)
        if names is not None:
            query = query.where(FILES.c.name.in_(list(names)))
        self._connection.execute(query)

    def add_account(self, name: str, admin: bool) -> Account:
        """Add an organiser."""
        made = Account(secrets.token_urlsafe(12), name, admin)
        self._insert(ACCOUNTS, id=made.id, name=name, admin=admin)
        return made

    def set_role(self, round_id: str, account_id: str, role: Role | None) -> None:
        """Give an organiser a role in a round, or none."""
        self._connection.execute(
            sa.delete(ROLES).where(ROLES.c.round_id == round_id, ROLES.c.account_id == account_id)
        )
        if role is not None:
            self._insert(ROLES, round_id=round_id, account_id=account_id, role=role)

    def set_participants(self, round_id: str, agents: Iterable[str]) -> None:
        """Make these the agents of a round; those it knows keep their salts, others go."""
        wanted = list(agents)
        known = {participant.agent for participant in self.participants(round_id)}
        made = [
            {"round_id": round_id, "agent": agent, "salt": secrets.token_hex(32), "erased": False}
            for agent in wanted
            if agent not in known
        ]
        if made:
            self._connection.execute(sa.insert(PARTICIPANTS), made)
        for agent in known - set(wanted):
            self.drop_agent(round_id, agent)
            self._connection.execute(
                sa.delete(PARTICIPANTS).where(
                    PARTICIPANTS.c.round_id == round_id, PARTICIPANTS.c.agent == agent
                )
            )

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
        times = {"invited": invited, "reminded": reminded, "visited": visited}
        changes: dict[str, Any] = {name: moment(at) for name, at in times.items() if at is not None}
        if erased:
            changes |= {"erased": True, "salt": ""}
        self._connection.execute(
            sa.update(PARTICIPANTS)
            .where(PARTICIPANTS.c.round_id == round_id, PARTICIPANTS.c.agent == agent)
            .values(changes)
        )

    def drop_agent(self, round_id: str, agent: str) -> None:
        """Drop the choices, answers, links and sessions of an agent."""
        for table in (SUBMISSIONS, REQUESTS, LINKS, SESSIONS):
            self._connection.execute(
                sa.delete(table).where(table.c.round_id == round_id, table.c.agent == agent)
            )

    def put_submission(self, round_id: str, submission: Submission) -> None:
        """Put an agent's choice, in place of the version before, if there was one."""
        values = {
            "version": submission.version,
            "payload": _text(submission.payload),
            "receipt": submission.receipt,
            "at": moment(submission.at),
        }
        if submission.version == 1:
            self._insert(SUBMISSIONS, round_id=round_id, agent=submission.agent, **values)
        else:
            mine = (SUBMISSIONS.c.round_id == round_id, SUBMISSIONS.c.agent == submission.agent)
            self._connection.execute(sa.update(SUBMISSIONS).where(*mine).values(values))

    def put_answer(
        self, round_id: str, submission: Submission, key: str, asked: str, document: bytes
    ) -> None:
        """Remember how a request was answered."""
        self._insert(
            REQUESTS,
            round_id=round_id,
            agent=submission.agent,
            key=key,
            asked=asked,
            version=submission.version,
            document=document,
            at=moment(submission.at),
        )

    def add_link(self, secret: str, code: str | None, target: Pass) -> None:
        """Add a link by the hashes of its secret and its code."""
        self._insert(LINKS, secret=secret, code=code, **_target(target))

    def drop_links(self, round_id: str, agents: Iterable[str]) -> None:
        """Drop the links of some agents."""
        for some in _batches(list(agents)):
            self._connection.execute(
                sa.delete(LINKS).where(LINKS.c.round_id == round_id, LINKS.c.agent.in_(some))
            )

    def take_link(self, secret: str) -> Pass | None:
        """Return where a link leads, and drop it; None if it is gone."""
        found = self.link(secret)
        self._connection.execute(
            sa.delete(LINKS).where(sa.or_(LINKS.c.secret == secret, LINKS.c.code == secret))
        )
        return found

    def add_session(self, secret: str, target: Pass) -> None:
        """Begin a session, by the hash of its secret."""
        self._insert(SESSIONS, secret=secret, **_target(target))

    def drop_session(self, secret: str) -> None:
        """End a session."""
        self._connection.execute(sa.delete(SESSIONS).where(SESSIONS.c.secret == secret))

    def drop_expired(self) -> None:
        """Drop links and sessions that have expired."""
        for table in (LINKS, SESSIONS):
            self._connection.execute(sa.delete(table).where(table.c.expires < moment(self._clock())))

    def add_job(self, round_id: str, what: str, settings: Mapping[str, Any], who: str) -> Job:
        """Add a job that waits."""
        made = self._connection.execute(
            sa.insert(JOBS).values(
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
        )
        (number,) = made.inserted_primary_key or (0,)
        return self._job(number)

    def begin_job(self, job_id: int) -> int:
        """Say that a worker takes a job; return which attempt this is."""
        seen = self._job(job_id)
        self._update(
            JOBS,
            job_id,
            state=JobState.RUNNING,
            attempt=seen.attempt + 1,
            beat=seen.beat + 1,
            stage="",
            share=None,
            residual=None,
            begun=moment(self._clock()),
        )
        return seen.attempt + 1

    def beat(
        self, job_id: int, attempt: int, stage: str, share: float | None, residual: float | None
    ) -> bool:
        """Say that a job's worker lives, and how far it is; False if another attempt has begun."""
        seen = self._job(job_id)
        if seen.attempt != attempt or seen.state is not JobState.RUNNING:
            return False
        self._update(JOBS, job_id, beat=seen.beat + 1, stage=stage, share=share, residual=residual)
        return True

    def end_job(self, job_id: int, state: JobState, messages: Iterable[str]) -> None:
        """Say that a job is done, or has failed."""
        self._update(
            JOBS,
            job_id,
            state=state,
            messages=json.dumps(list(messages), ensure_ascii=False),
            finished=moment(self._clock()),
            stage="",
            share=None,
        )

    def restart_numbers(self) -> None:
        """Let jobs be numbered on from the highest there is, after rows came with their numbers."""
        if self._connection.dialect.name == "postgresql":
            highest = sa.select(sa.func.coalesce(sa.func.max(JOBS.c.id), 0) + 1).scalar_subquery()
            name = sa.func.pg_get_serial_sequence("jobs", "id")
            self._connection.execute(sa.select(sa.func.setval(name, highest, False)))

    def _end(self, round_id: str) -> tuple[int, str, str]:
        """Return number, hash and moment of a log's last entry: nobody else writes meanwhile."""
        if round_id not in self._ends:
            end = sa.select(ROUNDS.c.entries, ROUNDS.c.head, ROUNDS.c.latest).where(ROUNDS.c.id == round_id)
            number, head, latest = self._connection.execute(end).one()
            self._ends[round_id] = number, head, latest
        return self._ends[round_id]

    def _insert(self, table: sa.Table, **values: Any) -> None:
        self._connection.execute(sa.insert(table), values)

    def _update(self, table: sa.Table, key: str | int, **values: Any) -> None:
        self._connection.execute(sa.update(table).where(table.c.id == key).values(values))

    def _job(self, job_id: int) -> Job:
        found = self.job(job_id)
        assert found is not None  # noqa: S101 - its number is at hand
        return found

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
