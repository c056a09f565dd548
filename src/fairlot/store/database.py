"""One database, SQLite or PostgreSQL: opened, migrated, read and written.

What is acknowledged is on disk: SQLite runs with a write-ahead log and ``synchronous=FULL``, PostgreSQL with
``synchronous_commit=on``. Writers take turns on both (``BEGIN IMMEDIATE``, an advisory lock), so a writing
transaction sees nothing change under it; a reading one sees one state of everything.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

from fairlot.errors import FairlotError
from fairlot.store.reading import Reading
from fairlot.store.writing import Writing

T = TypeVar("T")
_WRITERS = 0x6661_6972
"""The advisory lock that PostgreSQL's writers take in turn."""
_TOGETHER = 64
"""Most writers that share a transaction."""
_PATIENCE = 30
"""Seconds to wait for another writer."""


class StoreError(FairlotError, OSError):
    """The database cannot be used; nothing was saved."""


def now() -> datetime:
    """Return the time by this computer's clock."""
    return datetime.now(UTC)


@dataclass
class _Waiting:
    """Something to write, and what became of it."""

    work: Callable[[Writing], Any]
    done: bool = False
    value: Any = None
    error: Exception | None = None
    called: threading.Event = field(default_factory=threading.Event)


class Store:
    """A database of rounds.

    Parameters
    ----------
    engine : sqlalchemy.Engine
        As :func:`open_store` makes it.
    clock : callable
        Tells the time.
    """

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime] = now) -> None:
        self._engine = engine
        self._writer = engine.execution_options(fairlot_writes=True)
        self.clock = clock
        self._turn = threading.Lock()
        self._queue: deque[_Waiting] = deque()
        self._queue_lock = threading.Lock()
        self._led = False

    @property
    def url(self) -> str:
        """The address, password included: for a worker that opens the same database."""
        return self._engine.url.render_as_string(hide_password=False)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of SQLite."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Read one state of everything."""
        with _told(), self._engine.connect() as connection:
            yield Reading(connection)

    @contextmanager
    def writing(self) -> Iterator[Writing]:
        """Write all or nothing; when the block has been left, it is on disk.

        Raises
        ------
        StoreError
            If it could not be saved; then nothing was.
        """
        with _told(), self._turn, self._writer.begin() as connection:
            yield Writing(connection, self.clock)

    def write_together(self, work: Callable[[Writing], T]) -> T:
        """Write with whoever else writes at this moment, in one transaction: a disk is asked once for all.

        Parameters
        ----------
        work : callable
            Writes; what it raises takes back what it wrote, and nothing of the others. It may be asked
            twice, and must then answer as before.

        Returns
        -------
        object
            What ``work`` returned; when this returns, it is on disk.

        Raises
        ------
        StoreError
            If it could not be saved; then nothing was.
        """
        mine = _Waiting(work)
        with self._queue_lock:
            self._queue.append(mine)
            leads, self._led = not self._led, True
        if not leads:
            mine.called.wait()
        if not mine.done:  # else somebody else has written it
            self._lead()
        if mine.error is not None:
            raise mine.error
        return cast(T, mine.value)

    def _lead(self) -> None:
        """Write what waits, the first of which is one's own, and call the next who leads."""
        batch: list[_Waiting] = []
        try:
            with self._turn:
                with self._queue_lock:
                    batch = [self._queue.popleft() for _ in range(min(len(self._queue), _TOGETHER))]
                self._write(batch)
        finally:
            with self._queue_lock:
                self._led = bool(self._queue)
                if self._led:
                    self._queue[0].called.set()
            for one in batch:
                one.called.set()

    def _write(self, batch: list[_Waiting]) -> None:
        """Write what waits; if the database refuses any of it, each of them alone."""
        try:
            with _told(), self._writer.begin() as connection:
                tx = Writing(connection, self.clock)
                for one in batch:
                    try:
                        with connection.begin_nested() if len(batch) > 1 else nullcontext():
                            one.value, one.error = one.work(tx), None
                    except sa.exc.DBAPIError:
                        raise  # the database may have taken all of the transaction back
                    except Exception as error:
                        if len(batch) == 1:
                            raise
                        one.error = error
                        tx.forget()
        except Exception as error:
            if len(batch) > 1:
                for one in batch:
                    self._write([one])
                return
            batch[0].error = error
        except BaseException:
            for one in batch:
                one.error = StoreError("not saved: the service is stopping")
            raise
        finally:
            for one in batch:
                one.done = True

    def settle(self) -> None:
        """Let SQLite put everything into its one file, for a copy of that file to be whole."""
        with self._engine.connect() as connection:
            connection.rollback()
            raw = connection.connection.dbapi_connection
            if raw is not None and self.is_sqlite:
                raw.cursor().execute("PRAGMA journal_mode=DELETE")

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()


def open_store(url: str, clock: Callable[[], datetime] = now) -> Store:
    """Open a database, and bring its schema up to date.

    Parameters
    ----------
    url : str
        ``sqlite:///rounds.db`` (a path as after ``sqlite:///``) or ``postgresql://user@host/name``.
    clock : callable
        Tells the time.

    Raises
    ------
    StoreError
        If it cannot be opened, or was made by a newer version of fairlot.
    """
    engine = _engine(url)
    try:
        migrate(engine, "head")
    except BaseException:
        engine.dispose()
        raise
    return Store(engine, clock)


def migrate(engine: sa.Engine, revision: str) -> None:
    """Bring the schema up to a revision (``head``), or down to one (``base``)."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with _told(), engine.execution_options(fairlot_writes=True).begin() as connection:
        config.attributes["connection"] = connection
        try:
            step = command.downgrade if revision == "base" else command.upgrade
            step(config, revision)
        except CommandError as error:
            msg = f"the database was made by another version of fairlot, probably a newer one: {error}"
            raise StoreError(msg) from None


def _engine(url: str) -> sa.Engine:
    """Make an engine whose transactions begin as this module says."""
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError:
        msg = f"not the address of a database: {url!r} (sqlite:///rounds.db, postgresql://user@host/name)"
        raise StoreError(msg) from None
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+psycopg")
    if address.get_backend_name() == "sqlite" and address.database in (None, "", ":memory:"):
        msg = "rounds are kept in a file: sqlite:///rounds.db"
        raise StoreError(msg)
    if address.get_backend_name() not in ("sqlite", "postgresql"):
        msg = f"neither SQLite nor PostgreSQL: {address.drivername}"
        raise StoreError(msg)
    if address.get_backend_name() == "sqlite":
        engine = sa.create_engine(address, connect_args={"timeout": _PATIENCE}, pool_size=48, max_overflow=16)
        sa.event.listen(engine, "connect", _set_up_sqlite)
    else:
        engine = sa.create_engine(address, pool_size=8, max_overflow=24, pool_pre_ping=True)
    sa.event.listen(engine, "begin", _begin)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: sa.Connection) -> None:
    writes = connection.get_execution_options().get("fairlot_writes", False)
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
    elif writes:
        connection.exec_driver_sql("SET LOCAL synchronous_commit = on")
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}s'")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS})")
    else:
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


@contextmanager
def _told() -> Iterator[None]:
    """Say in our words that a database refused; its own are the reason."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        reason = str(error.orig).strip().splitlines() or [type(error.orig).__name__]
        msg = f"not saved or read: the database says '{reason[0]}'"
        raise StoreError(msg) from error
    except sa.exc.TimeoutError:
        msg = "not saved or read: all connections to the database are busy"
        raise StoreError(msg) from None
