from collections.abc import Iterator

import pytest

pytest.importorskip("sqlalchemy")

from fairlot.store import Store, open_store


@pytest.fixture
def store(database_url: str) -> Iterator[Store]:
    opened = open_store(database_url)
    yield opened
    opened.close()
