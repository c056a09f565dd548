"""The published test vectors: all three implementations, and the digest of the file itself."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from typing import Any

import make_vectors
import pytest
from javascript import ask, needs_node

from fairlot.lottery.pick import draw_term
from fairlot.lottery.protocol.canonical import assignment_csv, fields, frozen_lottery
from fairlot.lottery.protocol.ceremony import Ceremony
from fairlot.lottery.protocol.steps import inner_seed, ticket
from fairlot.lottery.walk import draw_walk
from fairlot.model.lotteries import Lottery
from fairlot.verify import beacon
from fairlot.verify import draw as twin

VECTORS: dict[str, Any] = json.loads(make_vectors.PATH.read_bytes())
GOLDEN = {
    "two agents, two goods, halves": "8bba0a9c6892c89b7d692ade3e927c80",
    "chains of sets on both sides": "2092d383b90d6843a6d4aef05399fd6e",
    "ids that tables must quote or disarm": "f83dcb984a7027592d785755425d4a19",
    "the largest denominator": "08656b4e01184e143ee892a6d5cf21e0",
    "many cells": "c415e1fae8ecf507c8d33961d57527b4",
    "terms with bounds": "393a3223a95406c994896505bc0b33a7",
    "a single term": "3b167e3cf02367d4982a69abb3e4a727",
}


def test_the_file_is_what_the_code_computes() -> None:
    assert make_vectors.PATH.read_bytes() == make_vectors.file_bytes()


def test_golden_digests() -> None:
    # These never change: they would make every draw published so far unverifiable.
    found = {
        case["name"]: hashlib.sha256(case["assignment"].encode()).hexdigest()[:32]
        for case in VECTORS["draws"]
    }
    assert found.items() >= GOLDEN.items()


@pytest.mark.parametrize("case", VECTORS["draws"], ids=lambda case: case["name"])
def test_draws_in_python(case: dict[str, str]) -> None:
    data = case["lottery"].encode()
    lottery = Lottery.from_json(data)
    assert frozen_lottery(lottery) == data
    seed = inner_seed(bytes.fromhex(case["public_seed"]), case["commitment"])
    assert seed.hex() == case["seed"]
    by_terms = lottery.drawn_by == "terms"
    drawn = draw_term(lottery, seed) if by_terms else draw_walk(lottery, seed)
    assert assignment_csv(lottery, drawn).decode() == case["assignment"]
    slow = twin.Lottery({"lottery.json": data})
    assert twin.inner_seed(case["public_seed"], case["commitment"]) == seed
    copies = twin.pick(slow, seed) if by_terms else twin.walk(slow, twin.coins(seed))
    assert slow.csv(copies).decode() == case["assignment"]
    assert slow.copies(case["assignment"].encode()) == copies


@needs_node
def test_draws_in_javascript() -> None:
    cases = VECTORS["draws"]
    requests = [("draw", {**case, "lottery": case["lottery"].encode().hex()}) for case in cases]
    answers = [bytes.fromhex(answer).decode() for answer in ask(requests)]
    assert answers == [case["assignment"] for case in cases]


def test_coins_fields_tickets_and_rows_in_python() -> None:
    asked = VECTORS["coins"]
    coin = twin.coins(bytes.fromhex(asked["seed"]))
    assert [coin(int(a), int(s)) for a, s in asked["asked"]] == asked["answers"]
    for case in VECTORS["fields"]:
        assert fields(case["texts"]).hex() == twin.fields(*case["texts"]).hex() == case["bytes"]
    for case in VECTORS["tickets"]:
        arguments = bytes.fromhex(case["seed"]), case["draw"], case["agent"]
        assert ticket(*arguments) == twin.ticket(*arguments) == case["ticket"]
    for case in VECTORS["rows"]:
        assert hashlib.sha256(bytes.fromhex(case["salt"]) + case["row"].encode()).hexdigest() == case["hash"]


@needs_node
def test_coins_tickets_rows_and_ceremony_in_javascript() -> None:
    ceremony, (row,) = VECTORS["ceremony"], VECTORS["rows"]
    commitment, dice, officials = ceremony["commitment"], ceremony["dice"], ceremony["officials"]
    requests: list[tuple[str, dict[str, Any]]] = [
        ("coins", VECTORS["coins"]),
        ("row", {"salt": row["salt"], "row": row["row"].encode().hex()}),
        ("inner", VECTORS["inner_seed"]),
        ("ceremony", {"commitment": commitment, "dice": dice, "opened": [[n, v] for n, _, v in officials]}),
        *(("ticket", case) for case in VECTORS["tickets"]),
        *(("seal", {"commitment": commitment, "official": n, "number": v}) for n, _, v in officials),
        *(("hash", {"data": case["signature"]}) for case in VECTORS["drand"]),
    ]
    assert ask(requests) == [
        VECTORS["coins"]["answers"],
        row["hash"],
        VECTORS["inner_seed"]["seed"],
        ceremony["public_seed"],
        *(case["ticket"] for case in VECTORS["tickets"]),
        *(sealed for _, sealed, _ in officials),
        *(case["public_seed"] for case in VECTORS["drand"]),
    ]


def test_ceremony_in_python() -> None:
    case = VECTORS["ceremony"]
    ceremony = Ceremony.begin(case["commitment"], {n: sealed for n, sealed, _ in case["officials"]})
    ceremony = ceremony.roll(case["dice"])
    for name, sealed, number in case["officials"]:
        assert twin.seal(case["commitment"], name, number) == sealed
        ceremony = ceremony.reveal(name, number)
    opened = [(name, number) for name, _, number in case["officials"]]
    assert ceremony.public_seed.hex() == case["public_seed"]
    assert twin.ceremony_seed(case["commitment"], case["dice"], opened) == case["public_seed"]


def test_a_whole_result_in_python() -> None:
    files = {name: text.encode() for name, text in VECTORS["result"].items()}
    assert all(passed for passed, _ in twin.verify(files).values())


@needs_node
def test_a_whole_result_in_javascript() -> None:
    files = {name: text.encode().hex() for name, text in VECTORS["result"].items()}
    (answer,) = ask([("verify", {"files": files})])
    assert [name for name, _, _ in answer] == list(twin.CHECKS)
    assert all(passed for _, passed, _ in answer)


@pytest.mark.skipif(importlib.util.find_spec("py_ecc") is None, reason="the extra 'beacon' is not installed")
def test_drand_rounds_are_genuine_and_nothing_near_them_is() -> None:
    for case in VECTORS["drand"]:
        signature = bytes.fromhex(case["signature"])
        assert hashlib.sha256(signature).hexdigest() == case["public_seed"]
        assert beacon.is_genuine(case["round"], signature)
    assert not beacon.is_genuine(case["round"] + 1, signature)
    negated = bytes([signature[0] ^ 0x20]) + signature[1:]  # the other point with this coordinate
    bent = [negated, signature[:-1] + bytes([signature[-1] ^ 1]), b"", signature + b"\0", b"\xff" * 48]
    infinity = b"\xc0" + bytes(47)
    assert not any(beacon.is_genuine(case["round"], wrong) for wrong in [*bent, infinity, bytes(48)])


def test_the_beacon_key_is_the_one_that_gives_the_chain_its_name() -> None:
    assert beacon.chain_name() == twin.QUICKNET
