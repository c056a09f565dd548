"""Tiny result folders for the tests of the protocol, as bytes by name."""

from __future__ import annotations

from collections.abc import Mapping

from fairlot.io.results import manifest
from fairlot.lottery.protocol.canonical import canonical_json, digest
from fairlot.lottery.protocol.ceremony import Ceremony, seal
from fairlot.lottery.protocol.record import Change, abort_result, commit_result, draw_result
from fairlot.lottery.protocol.salts import Salts
from fairlot.lottery.protocol.seeds import DrandRound, Source

ROUND = 1000
SIGNATURE = bytes.fromhex(
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39"
)
DRAW = "electives 2026"
VALUES = b"agent,good,value\nann,art,2\nann,law,1\nbob,art,2\nbob,law,1\n"


def seed(k: int) -> bytes:
    return bytes.fromhex(digest(f"public seed {k}".encode()))


def lottery_file() -> bytes:
    half = 2**51
    return canonical_json(
        {
            "format": 1,
            "kind": "pseudomarket",
            "denominator": 2**52,
            "agents": ["ann", "bob"],
            "goods": ["art", "law"],
            "cells": [[0, 0, half, 0, 0], [0, 1, half, 0, 1], [1, 0, half, 1, 0], [1, 1, half, 1, 1]],
            "agent_sets": [[-1, 1, 1, "ann"], [-1, 1, 1, "bob"]],
            "good_sets": [[-1, None, 1, "art"], [-1, None, 1, "law"]],
        }
    )


def terms_file() -> bytes:
    """Return a lottery over two assignments: art and law to one each, and both to ann, none to bob."""
    return canonical_json(
        {
            "format": 1,
            "kind": "pseudomarket",
            "denominator": 3,
            "agents": ["ann", "bob"],
            "goods": ["art", "law"],
            "cells": [[0, 0, 3, -1, 0], [0, 1, 1, -1, 1], [1, 1, 2, -1, 1]],
            "agent_sets": [],
            "good_sets": [[-1, None, 1, "art"], [-1, None, 1, "law"]],
            "draw": "terms",
            "terms": [[2, [1, 0, 1]], [1, [1, 1, 0]]],
        }
    )


def solved() -> dict[str, bytes]:
    """Return a result before its draw: one personal table, one other."""
    files = {
        "lottery.json": lottery_file(),
        "prices.csv": b"good,price\nart,1\nlaw,0\n",
        "input/values.csv": VALUES,
    }
    return sealed(files)


def salts() -> Salts:
    agents = {agent: digest(f"salt of {agent}".encode()) for agent in ("ann", "bob")}
    return Salts(DRAW, agents, {"input/values.csv": digest(b"salt of the table")})


def sealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files with a manifest that fits."""
    rest = {name: data for name, data in files.items() if name != "manifest.json"}
    return {**rest, "manifest.json": manifest(rest)}


def changed(files: Mapping[str, bytes], change: Change) -> dict[str, bytes]:
    """Return the files after a change."""
    kept = {name: data for name, data in files.items() if name not in change.remove}
    return sealed({**kept, **change.write})


def committed(source: Source | None = None) -> dict[str, bytes]:
    files = solved()
    return changed(files, commit_result(files, DRAW, source=source, salts=salts())[1])


def result_files() -> dict[str, bytes]:
    """Return a result with an aborted ceremony, a draw from given bytes, and one more."""
    files = committed(Source("ceremony", officials=("Ann", "Bob")))
    commitment = commit_result(
        solved(), DRAW, source=Source("ceremony", officials=("Ann", "Bob")), salts=salts()
    )[0]
    numbers = {name: digest(name.encode()) for name in ("Ann", "Bob")}
    ceremony = Ceremony.begin(commitment.hash, {n: seal(commitment.hash, n, v) for n, v in numbers.items()})
    ceremony = ceremony.roll("41641523643122546213").reveal("Bob", numbers["Bob"])
    files = sealed({**files, "ceremony.json": ceremony.to_json()})
    files = changed(files, abort_result(files, "Ann does not reveal her number")[1])
    files = changed(files, commit_result(files, DRAW, salts=salts(), again=True)[1])
    files = changed(files, draw_result(files, seed(1), reason="the ceremony was aborted")[1])
    return changed(files, draw_result(files, seed(2), reason="the screen went dark before anyone saw it")[1])


def drand_result() -> dict[str, bytes]:
    """Return a result drawn from the announced round of drand."""
    files = committed(Source("drand", round=ROUND))
    return changed(files, draw_result(files, DrandRound(ROUND, SIGNATURE))[1])
