import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from fairlot.store import Area, JobState, Kind, Store, Submission, open_store
from fairlot.store.chain import BEGINNING, chain_faults
from fairlot.store.copying import copy_all
from fairlot.store.database import StoreError, migrate
from fairlot.store.records import Pass
from fairlot.store.schema import Base


@pytest.fixture
def store(database_url: str) -> Store:
    opened = open_store(database_url)
    yield opened
    opened.close()


def a_round(store: Store) -> str:
    with store.writing() as tx:
        made = tx.add_round("T", Kind.PSEUDOMARKET, {"scale": "stars"})
        tx.append(made.id, "Ada", "created", {})
    return made.id


def test_migrations_go_up_and_down_and_up(store: Store) -> None:
    migrate(store._engine, "base")
    with store._engine.connect() as connection:
        assert set(sa.inspect(connection).get_table_names()) <= {"alembic_version"}
    migrate(store._engine, "head")
    assert a_round(store)


def test_migrations_make_the_tables_of_the_schema(store: Store) -> None:
    with store._engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_opening_again_changes_nothing(store: Store, database_url: str) -> None:
    round_id = a_round(store)
    again = open_store(database_url)
    with again.reading() as tx:
        assert tx.round(round_id) is not None
    again.close()


def test_a_database_of_a_newer_version_is_refused(store: Store, database_url: str) -> None:
    with store.writing() as tx:
        tx.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StoreError, match="newer"):
        open_store(database_url)


@pytest.mark.parametrize(
    "url", ["sqlite://", "mysql://host/name", "no address", "sqlite:////no/such/folder/x.db"]
)
def test_bad_addresses_are_told(url: str) -> None:
    with pytest.raises(StoreError):
        open_store(url)


def test_sqlite_is_set_to_keep_what_it_acknowledges(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/rounds.db")
    with store.reading() as tx:
        assert tx.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"
        assert tx.execute(sa.text("PRAGMA synchronous")).scalar() == 2
        assert tx.execute(sa.text("PRAGMA foreign_keys")).scalar() == 1
    store.close()


def test_an_exception_leaves_nothing_behind(store: Store) -> None:
    round_id = a_round(store)
    with pytest.raises(ZeroDivisionError), store.writing() as tx:  # noqa: PT012
        tx.append(round_id, "Ada", "half", {})
        tx.put_files(round_id, Area.PROBLEM, {"a": b"1"})
        _ = 1 / 0
    with store.reading() as tx:
        assert tx.files(round_id, Area.PROBLEM) == {}
        assert len(tx.log(round_id)) == 1


@pytest.mark.parametrize("change", ["UPDATE log SET who = 'Eve'", "DELETE FROM log"])
def test_the_log_is_append_only(store: Store, change: str) -> None:
    a_round(store)
    with pytest.raises(StoreError, match="append-only"), store.writing() as tx:
        tx.execute(sa.text(change))


def test_the_chain_tells_of_every_change(store: Store) -> None:
    import dataclasses

    round_id = a_round(store)
    with store.writing() as tx:
        for k in range(3):
            tx.append(round_id, "Ada", "step", {"k": k})
    with store.reading() as tx:
        entries = tx.log(round_id)
        found = tx.round(round_id)
    assert found is not None
    assert chain_faults(entries, found.head) == []
    assert entries[0].previous == BEGINNING
    for name, other in {
        "number": 9,
        "who": "Eve",
        "what": "x",
        "detail": {"k": 9},
        "previous": "1" * 64,
        "round_id": "other",
        "at": entries[2].at + timedelta(microseconds=1),
    }.items():
        forged = [*entries]
        forged[2] = dataclasses.replace(entries[2], **{name: other})
        assert chain_faults(forged), name
    assert chain_faults(entries[:2], found.head)  # cut short
    assert chain_faults([entries[0], *entries[2:]])  # one left out
    assert chain_faults([entries[1], entries[0], *entries[2:]])  # in another order


def test_writers_take_turns(store: Store) -> None:
    round_id = a_round(store)
    errors: list[Exception] = []

    def write(who: str) -> None:
        try:
            for k in range(10):
                with store.writing() as tx:
                    tx.append(round_id, who, "step", {"k": k})
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(f"t{k}",)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with store.reading() as tx:
        entries = tx.log(round_id)
    assert len(entries) == 61
    assert chain_faults(entries) == []


def test_a_reader_sees_one_state(store: Store) -> None:
    round_id = a_round(store)
    with store.reading() as tx:
        before = len(tx.log(round_id))
        with store.writing() as other:
            other.append(round_id, "Ada", "meanwhile", {})
        assert len(tx.log(round_id)) == before
    with store.reading() as tx:
        assert len(tx.log(round_id)) == before + 1


def test_moments_never_go_back_in_a_log(database_url: str) -> None:
    at = [datetime(2026, 9, 1, 12, tzinfo=UTC)]
    store = open_store(database_url, lambda: at[0])
    round_id = a_round(store)
    at[0] -= timedelta(days=400)
    with store.writing() as tx:
        assert tx.append(round_id, "Ada", "later", {}).at == datetime(2026, 9, 1, 12, tzinfo=UTC)
    store.close()


def test_everything_is_copied_into_an_empty_database_only(store: Store, tmp_path: Path) -> None:
    round_id = a_round(store)
    now = datetime.now(UTC)
    with store.writing() as tx:
        who = tx.add_account("Ada", True)
        tx.put_files(round_id, Area.PROBLEM, {"x.csv": bytes(range(256))})
        tx.set_participants(round_id, ["a", "b"])
        tx.put_submission(round_id, Submission("a", 1, {"pick": "keep"}, "0" * 64, now))
        tx.add_link("1" * 64, None, Pass(None, None, who.id, now))
        job = tx.add_job(round_id, "solve", {}, "Ada")
        tx.begin_job(job.id)
    other = open_store(f"sqlite:///{tmp_path}/other.db")
    assert copy_all(store, other) > 0
    for one in (store, other):
        with one.reading() as tx:
            assert tx.files(round_id, Area.PROBLEM) == {"x.csv": bytes(range(256))}
            assert chain_faults(tx.log(round_id)) == []
            assert tx.participants(round_id)[0].agent == "a"
            found = tx.job(job.id)
            assert found is not None
            assert found.state is JobState.RUNNING
    with other.reading() as tx, store.reading() as source:
        assert tx.participants(round_id) == source.participants(round_id)
    with pytest.raises(StoreError, match="not empty"):
        copy_all(store, other)
    other.close()


def test_a_database_copied_numbers_its_jobs_on(tmp_path: Path, database_url: str) -> None:
    source = open_store(f"sqlite:///{tmp_path}/source.db")
    round_id = a_round(source)
    with source.writing() as tx:
        last = [tx.add_job(round_id, "solve", {}, "Ada") for _ in range(3)][-1]
    target = open_store(f"{database_url}2" if database_url.startswith("sqlite") else database_url)
    copy_all(source, target)
    with target.writing() as tx:
        assert tx.add_job(round_id, "solve", {}, "Ada").id > last.id
    source.close()
    target.close()


def test_only_the_latest_attempt_of_a_job_beats(store: Store) -> None:
    round_id = a_round(store)
    with store.writing() as tx:
        job = tx.add_job(round_id, "solve", {}, "Ada")
        first = tx.begin_job(job.id)
        second = tx.begin_job(job.id)
        assert not tx.beat(job.id, first, "x", None, None)
        assert tx.beat(job.id, second, "x", 0.5, 1e-3)
        found = tx.job(job.id)
        assert found is not None
        assert (found.stage, found.share, found.attempt) == ("x", 0.5, 2)
        assert found.begun is not None
