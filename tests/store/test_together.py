import threading

import pytest

pytest.importorskip("sqlalchemy")

import sqlalchemy as sa

from fairlot.store import Kind, Store, open_store
from fairlot.store.chain import chain_faults
from fairlot.store.database import StoreError
from fairlot.store.writing import Writing


def run_together(store: Store, works: list) -> list:
    """Queue all of them while somebody else writes, so that they share a transaction."""
    results: list = [None] * len(works)

    def write(k: int) -> None:
        try:
            results[k] = store.write_together(works[k])
        except Exception as error:
            results[k] = error

    threads = [threading.Thread(target=write, args=(k,)) for k in range(len(works))]
    with store.writing():
        for thread in threads:
            thread.start()
        while len(store._queue) < len(works):
            pass
    for thread in threads:
        thread.join()
    return results


def test_writers_share_a_transaction_and_fail_alone(database_url: str) -> None:
    store = open_store(database_url)
    with store.writing() as tx:
        round_id = tx.add_round("T", Kind.PSEUDOMARKET, {}).id

    def append(k: int):
        def work(tx: Writing) -> int:
            tx.append(round_id, "Ada", "step", {"k": k})
            if k % 5 == 3:
                msg = f"refused {k}"
                raise ValueError(msg)
            return k

        return work

    results = run_together(store, [append(k) for k in range(20)])
    for k, result in enumerate(results):
        assert str(result) == (f"refused {k}" if k % 5 == 3 else str(k))
    with store.reading() as tx:
        entries = tx.log(round_id)
    assert chain_faults(entries) == []
    assert sorted(entry.detail["k"] for entry in entries) == [k for k in range(20) if k % 5 != 3]
    store.close()


def test_what_the_database_refuses_harms_nobody_else(database_url: str) -> None:
    store = open_store(database_url)
    with store.writing() as tx:
        round_id = tx.add_round("T", Kind.PSEUDOMARKET, {}).id

    def good(tx: Writing) -> str:
        return tx.append(round_id, "Ada", "step", {}).hash

    def bad(tx: Writing) -> None:
        tx.append(round_id, "Eve", "step", {})
        tx.execute(sa.text("DELETE FROM log"))

    results = run_together(store, [good, bad, good, good])
    assert isinstance(results[1], StoreError)
    with store.reading() as tx:
        entries = tx.log(round_id)
    assert {entry.hash for entry in entries} == {results[0], results[2], results[3]}
    assert chain_faults(entries) == []
    store.close()
