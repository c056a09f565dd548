"""Promise "data": folders both ways, backup and restore, data handed out and erased, retention."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from small_rounds import (
    MARKET,
    RATINGS,
    designed_tasks,
    drawn_market,
    open_market,
    organiser,
    solved_market,
    solved_tasks,
)

from fairlot import rounds
from fairlot.errors import InvalidProblemError
from fairlot.io.demo import demo_pseudomarket
from fairlot.io.folders import write_folder
from fairlot.io.verification import verify_result
from fairlot.rounds import RefusedError, RoundState
from fairlot.store import Store, open_store
from fairlot.store.database import StoreError


def test_an_exported_round_comes_back_as_it_was(store: Store, tmp_path: Path) -> None:
    who, round_id = organiser(store), drawn_market(store)
    rounds.export_round(store, round_id, tmp_path / "out")
    back = rounds.import_round(store, tmp_path / "out", who)
    assert back.state is RoundState.DRAWN
    assert rounds.result(store, back.id) == rounds.result(store, round_id)
    assert rounds.read_back(store, back.id) == rounds.read_back(store, round_id)
    assert rounds.outcome(store, back.id, "ann").salt == rounds.outcome(store, round_id, "ann").salt
    rounds.publish(store, back.id, who)
    with pytest.raises(InvalidProblemError):
        rounds.export_round(store, round_id, tmp_path / "out")  # there is something already


@pytest.mark.parametrize("make", [solved_market, solved_tasks])
def test_a_result_folder_comes_in_and_goes_on(store: Store, tmp_path: Path, make: object) -> None:
    who, round_id = organiser(store), make(store)  # type: ignore[operator]
    rounds.export_round(store, round_id, tmp_path / "out")
    back = rounds.import_round(store, tmp_path / "out" / "result", who, title="Again")
    assert (back.title, back.state) == ("Again", RoundState.SOLVED)
    rounds.commit(store, back.id, who)
    rounds.draw(store, back.id, who, seed="7" * 64)
    (folder,) = rounds.export_round(store, back.id, tmp_path / "back")[-1:]
    assert verify_result(folder).passed


def test_a_design_comes_in_ready_to_open(store: Store, tmp_path: Path) -> None:
    who, round_id = organiser(store), designed_tasks(store)
    (folder,) = rounds.export_round(store, round_id, tmp_path / "out")
    back = rounds.import_round(store, folder, who)
    assert back.state is RoundState.CHECKED
    assert rounds.open_round(store, back.id, store.clock() + timedelta(hours=1), who).state is RoundState.OPEN


def test_a_problem_folder_comes_in_as_a_draft(store: Store, tmp_path: Path) -> None:
    write_folder(tmp_path / "problem", demo_pseudomarket())
    made = rounds.import_round(store, tmp_path / "problem", organiser(store))
    assert made.title == "Electives at an invented university"
    assert rounds.read_back(store, made.id) == demo_pseudomarket()


def test_a_result_that_does_not_verify_stays_outside(store: Store, tmp_path: Path) -> None:
    who, round_id = organiser(store), drawn_market(store)
    rounds.export_round(store, round_id, tmp_path / "out")
    forged = tmp_path / "out" / "result" / "assignment.csv"
    forged.write_bytes(b"agent,good,copies\neve,art,1\n")
    before = len(rounds.rounds(store, who))
    with pytest.raises(InvalidProblemError):
        rounds.import_round(store, tmp_path / "out" / "result", who)
    with pytest.raises(InvalidProblemError):
        rounds.import_round(store, tmp_path, who)
    assert len(rounds.rounds(store, who)) == before


def test_backup_and_restore_while_rounds_go_on(store: Store, tmp_path: Path) -> None:
    round_id = drawn_market(store)
    rounds.backup(store, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").stat().st_mode & 0o077 == 0
    with pytest.raises(RefusedError):
        rounds.backup(store, tmp_path / "copy.db")
    organiser(store)
    other = rounds.restore(tmp_path / "copy.db", f"sqlite:///{tmp_path}/restored.db")
    assert rounds.log(other, round_id) == rounds.log(store, round_id)
    assert rounds.result(other, round_id) == rounds.result(store, round_id)
    assert rounds.verify_log(rounds.log(other, round_id)) == []
    other.close()
    with pytest.raises(StoreError, match="not empty"):
        rounds.restore(tmp_path / "copy.db", f"sqlite:///{tmp_path}/restored.db")
    with pytest.raises(RefusedError):
        rounds.restore(tmp_path / "nothing.db", f"sqlite:///{tmp_path}/other.db")


def test_a_backup_restores_into_the_database_under_test(tmp_path: Path, database_url: str) -> None:
    source = open_store(f"sqlite:///{tmp_path}/source.db")
    round_id = open_market(source)
    rounds.submit(source, round_id, "ann", {"ratings": {"art": 5}}, "k", 0)
    rounds.backup(source, tmp_path / "copy.db")
    target = rounds.restore(tmp_path / "copy.db", database_url)
    assert rounds.receipt(target, round_id, "ann") == rounds.receipt(source, round_id, "ann")
    assert rounds.submit(target, round_id, "ann", {"ratings": {"art": 4}}, "l", 1).version == 2
    source.close()
    target.close()


def test_a_backup_with_a_changed_log_is_not_restored(tmp_path: Path) -> None:
    import sqlite3

    store = open_store(f"sqlite:///{tmp_path}/source.db")
    open_market(store)
    rounds.backup(store, tmp_path / "copy.db")
    store.close()
    with sqlite3.connect(tmp_path / "copy.db") as connection:
        connection.execute("DROP TRIGGER log_no_update")
        connection.execute("UPDATE log SET who = 'Eve' WHERE number = 1")
    connection.close()
    with pytest.raises(RefusedError, match="not whole"):
        rounds.restore(tmp_path / "copy.db", f"sqlite:///{tmp_path}/other.db")


def test_an_agent_gets_all_that_is_stored_of_her(store: Store) -> None:
    round_id = drawn_market(store)
    files = rounds.export_agent(store, round_id, "ann")
    assert {"about.json", "log.jsonl", "choice-0001.json", "tables/agents.csv", "tables/values.csv"} <= set(
        files
    )
    assert b"ann@example.edu" in files["tables/agents.csv"]
    assert b"bob" not in b"".join(files.values())
    document = json.loads(files["choice-0001.json"])
    assert document["choice"] == {"ratings": RATINGS["ann"]}
    assert hashlib.sha256(files["choice-0001.json"]).hexdigest().encode() in files["log.jsonl"]


def test_an_agent_who_is_erased_leaves_an_open_round(store: Store) -> None:
    who, round_id = organiser(store), open_market(store)
    rounds.submit(store, round_id, "ann", {"ratings": {"art": 5}}, "k", 0)
    secret = rounds.redeem(store, rounds.invite(store, round_id, who, ["ann"])[0].secret) or ""
    rounds.erase_agent(store, round_id, "ann", who)
    assert rounds.session(store, secret) is None
    assert rounds.participation(store, round_id).agents == 3
    assert b"ann" not in everything(store, round_id, but_agent_id="ann")
    with pytest.raises(RefusedError):
        rounds.submit(store, round_id, "ann", {"ratings": {"art": 5}}, "l", 0)
    rounds.freeze(store, round_id, who)
    assert rounds.verify_log(rounds.log(store, round_id)) == []


def test_erasing_after_publication_leaves_the_others_their_explanations(store: Store, tmp_path: Path) -> None:
    who, round_id = organiser(store), drawn_market(store)
    with pytest.raises(RefusedError):
        rounds.erase_agent(store, round_id, "ann", who)  # not before it is published
    rounds.publish(store, round_id, who)
    before = rounds.outcome(store, round_id, "bob")
    commitment = rounds.public_page(store, round_id).commitment
    for agent in ("ann", "cyd"):
        rounds.erase_agent(store, round_id, agent, who)
    after = rounds.outcome(store, round_id, "bob")
    assert (after.drawn, after.salt, after.row) == (before.drawn, before.salt, before.row)
    with pytest.raises(RefusedError):
        rounds.outcome(store, round_id, "ann")
    stored = everything(store, round_id, but_agent_id="")
    assert b"ann@example.edu" not in stored
    assert b"ann,art" not in stored.replace(rounds.result(store, round_id)["shares.csv"], b"").replace(
        rounds.result(store, round_id)["assignment.csv"], b""
    )
    folders = rounds.export_round(store, round_id, tmp_path / "out")
    assert all(verify_result(folder, commitment=commitment).passed for folder in folders)
    assert rounds.verify_log(rounds.log(store, round_id)) == []


def test_menus_that_were_designed_with_an_agent_keep_her_until_publication(store: Store) -> None:
    who, round_id = organiser(store), designed_tasks(store)
    rounds.open_round(store, round_id, store.clock() + timedelta(hours=1), who)
    with pytest.raises(RefusedError, match="menus"):
        rounds.erase_agent(store, round_id, "x", who)


def test_a_reallocation_can_be_erased_from_too(store: Store) -> None:
    who, round_id = organiser(store), solved_tasks(store)
    rounds.commit(store, round_id, who)
    rounds.draw(store, round_id, who, seed="9" * 64)
    rounds.publish(store, round_id, who)
    before = rounds.outcome(store, round_id, "z")
    rounds.erase_agent(store, round_id, "x", who)
    assert rounds.outcome(store, round_id, "z").drawn == before.drawn


def test_retention_ends(database_url: str) -> None:
    at = [datetime(2026, 9, 1, tzinfo=UTC)]
    store = open_store(database_url, lambda: at[0])
    who, round_id = organiser(store), drawn_market(store)
    rounds.set_settings(store, round_id, who, retention_days=30)
    rounds.publish(store, round_id, who)
    rounds.archive(store, round_id, who)
    at[0] += timedelta(days=29)
    assert rounds.sweep(store) == 0
    assert b"ann@example.edu" in everything(store, round_id, but_agent_id="")
    at[0] += timedelta(days=2)
    assert rounds.sweep(store) == 1
    assert rounds.sweep(store) == 0
    assert b"ann@example.edu" not in everything(store, round_id, but_agent_id="")
    assert "input/values.csv" not in rounds.result(store, round_id)
    assert rounds.public_page(store, round_id).files
    assert rounds.verify_log(rounds.log(store, round_id)) == []
    store.close()


def everything(store: Store, round_id: str, *, but_agent_id: str) -> bytes:
    """Return all that is stored of a round, but for the bare list of its agents."""
    import sqlalchemy as sa

    from fairlot.store.schema import Base

    with store.reading() as tx:
        text = b"\n".join(
            value if isinstance(value, bytes) else str(value).encode()
            for table in Base.metadata.sorted_tables
            if not (but_agent_id and table.name == "participants")
            for row in tx.execute(sa.select(table))
            for value in row
        )
    assert MARKET["goods.csv"].splitlines()[0] in text
    return text
