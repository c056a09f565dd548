"""Promise "once": a choice is saved once, the latest wins, the loser is told."""

import hashlib
import json
import threading

import pytest
from small_rounds import open_market, organiser, solved_tasks

from fairlot import rounds
from fairlot.errors import InvalidProblemError
from fairlot.rounds import ConflictError, Receipt, RefusedError, UnknownError
from fairlot.store import Store


def choose(store: Store, round_id: str, stars: int, key: str, seen: int | None) -> Receipt:
    return rounds.submit(store, round_id, "ann", {"ratings": {"art": stars}}, key, seen)


def saved(store: Store, round_id: str) -> list[rounds.LogEntry]:
    return [entry for entry in rounds.log(store, round_id) if entry.what == "choice saved"]


def test_a_key_replayed_a_hundred_times_is_one_choice(store: Store) -> None:
    round_id = open_market(store)
    first = choose(store, round_id, 5, "key", 0)
    assert all(choose(store, round_id, 5, "key", 0) == first for _ in range(100))
    assert len(saved(store, round_id)) == 1


def test_a_key_sent_twice_at_once_is_one_choice(store: Store) -> None:
    round_id = open_market(store)
    receipts: list[Receipt] = []

    def send() -> None:
        receipts.append(choose(store, round_id, 5, "key", 0))

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(receipts) == 8
    assert len(set(receipts)) == 1
    assert len(saved(store, round_id)) == 1


def test_of_two_tabs_the_second_is_told_what_the_first_saved(store: Store) -> None:
    round_id = open_market(store)
    choose(store, round_id, 5, "tab one", 0)
    with pytest.raises(ConflictError) as told:
        choose(store, round_id, 2, "tab two", 0)
    assert told.value.current is not None
    assert told.value.current.payload == {"ratings": {"art": 5}}
    assert choose(store, round_id, 2, "tab two again", told.value.current.version).version == 2
    current = rounds.submission(store, round_id, "ann")
    assert current is not None
    assert current.payload == {"ratings": {"art": 2}}
    assert len(saved(store, round_id)) == 2


def test_a_request_that_was_overtaken_does_not_win(store: Store) -> None:
    round_id = open_market(store)
    choose(store, round_id, 1, "one", 0)
    choose(store, round_id, 3, "three", 1)  # the later click arrives first ...
    with pytest.raises(ConflictError):
        choose(store, round_id, 2, "two", 1)  # ... and the earlier one after it
    late = choose(store, round_id, 1, "one", 0)  # a retry of the first
    assert not late.current
    assert late.version == 1
    current = rounds.submission(store, round_id, "ann")
    assert current is not None
    assert current.payload == {"ratings": {"art": 3}}


def test_without_a_version_the_latest_wins(store: Store) -> None:
    round_id = open_market(store)
    assert [choose(store, round_id, k, str(k), None).version for k in (1, 2, 3)] == [1, 2, 3]


def test_a_key_belongs_to_one_choice(store: Store) -> None:
    round_id = open_market(store)
    choose(store, round_id, 5, "key", 0)
    with pytest.raises(RefusedError, match="key"):
        choose(store, round_id, 4, "key", 1)


def test_the_receipt_can_be_checked_and_tells_nobody_else(store: Store) -> None:
    round_id = open_market(store)
    receipt = choose(store, round_id, 5, "key", 0)
    assert hashlib.sha256(receipt.document).hexdigest() == receipt.hash
    document = json.loads(receipt.document)
    assert document["choice"] == {"ratings": {"art": 5}}
    assert len(document["salt"]) == 64
    (entry,) = saved(store, round_id)
    assert entry.detail["receipt"] == receipt.hash
    assert "ann" not in json.dumps(dict(entry.detail))
    assert entry.who == "agent"
    assert rounds.receipt(store, round_id, "ann") == receipt
    assert rounds.receipt(store, round_id, "bob") is None


def test_a_replay_after_the_freeze_still_gets_its_receipt(store: Store) -> None:
    round_id = open_market(store)
    first = choose(store, round_id, 5, "key", 0)
    rounds.freeze(store, round_id, organiser(store))
    assert choose(store, round_id, 5, "key", 0) == first
    with pytest.raises(RefusedError):
        choose(store, round_id, 4, "other", 1)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"ratings": {"nothing": 5}},
        {"ratings": {"art": 6}},
        {"ratings": {"art": -1}},
        {"ratings": {"art": "5"}},
        {"pick": "keep"},
        {"ratings": {"art": 5}, "more": 1},
        {"ratings": [5]},
    ],
)
def test_answers_to_something_else_are_refused(store: Store, payload: dict[str, object]) -> None:
    round_id = open_market(store)
    with pytest.raises(InvalidProblemError):
        rounds.submit(store, round_id, "ann", payload, "key", 0)
    assert saved(store, round_id) == []


def test_strangers_cannot_choose(store: Store) -> None:
    round_id = open_market(store)
    with pytest.raises(UnknownError):
        rounds.submit(store, round_id, "eve", {"ratings": {"art": 5}}, "key", 0)
    with pytest.raises(UnknownError):
        rounds.submit(store, "elsewhere", "ann", {"ratings": {"art": 5}}, "key", 0)


def test_everybody_at_once(store: Store) -> None:
    round_id = open_market(store)
    errors: list[Exception] = []

    def send(agent: str) -> None:
        try:
            for k in range(5):
                rounds.submit(store, round_id, agent, {"ratings": {"law": 1 + k}}, f"{k}", k)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(agent,)) for agent in ("ann", "bob", "cyd", "dee")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(saved(store, round_id)) == 20
    assert rounds.verify_log(rounds.log(store, round_id)) == []
    assert rounds.participation(store, round_id).chosen == 4


def test_picks_become_the_file_that_the_command_line_reads(store: Store) -> None:
    round_id = solved_tasks(store)
    picks = rounds.read_back(store, round_id)["picks.csv"].decode().splitlines()
    assert picks[0] == "agent,ray"
    assert not [line for line in picks if line.startswith("x,") and line.endswith(("keep", ","))]
