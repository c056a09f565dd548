"""A whole database copied into another: from SQLite or PostgreSQL into either."""

from __future__ import annotations

import sqlalchemy as sa

from fairlot.store.database import Store, StoreError
from fairlot.store.schema import Base

_BATCH = 200


def copy_all(source: Store, target: Store) -> int:
    """Copy every row of one state of a database into an empty one, all or nothing.

    Parameters
    ----------
    source : Store
        Rounds may go on in it meanwhile.
    target : Store
        Empty.

    Returns
    -------
    int
        Rows copied.

    Raises
    ------
    StoreError
        If the target is not empty, or cannot be written.
    """
    copied = 0
    with source.reading() as old, target.writing() as new:
        if new.rounds() or new.accounts():
            msg = "the database to restore into is not empty"
            raise StoreError(msg)
        for table in Base.metadata.sorted_tables:
            rows = old.execute(sa.select(table)).mappings()
            for batch in rows.partitions(_BATCH):
                new.execute(sa.insert(table), [dict(row) for row in batch])
                copied += len(batch)
        new.restart_numbers()
    return copied
