"""A database of its own for every test that wants one: SQLite, or PostgreSQL by ``FAIRLOT_TEST_DATABASE``."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@pytest.fixture
def database_url(tmp_path: Path) -> Iterator[str]:
    with _database(tmp_path) as url:
        yield url


@pytest.fixture(scope="module")
def module_database_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with _database(tmp_path_factory.mktemp("database")) as url:
        yield url


@contextmanager
def _database(folder: Path) -> Iterator[str]:
    server = os.environ.get("FAIRLOT_TEST_DATABASE", "")
    if not server:
        yield f"sqlite:///{folder}/rounds.db"
        return
    import sqlalchemy as sa

    address = sa.make_url(server).set(drivername="postgresql+psycopg")
    name = f"fairlot_{secrets.token_hex(8)}"
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    yield address.set(database=name).render_as_string(hide_password=False)
    with engine.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    engine.dispose()
