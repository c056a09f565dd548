"""Write ``docs/test-vectors/draw-v1.json``: to run as a script after a change of the specification."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from bihierarchies import document
from small_results import result_files

from fairlot.lottery.protocol.canonical import canonical_json, digest, fields
from fairlot.lottery.protocol.ceremony import Ceremony, seal
from fairlot.lottery.protocol.seeds import DrandRound
from fairlot.lottery.protocol.steps import draw, inner_seed, ticket
from fairlot.model.lotteries import Lottery
from fairlot.verify.draw import coins
from fairlot.verify.personal import salted

PATH = Path(__file__).resolve().parents[2] / "docs" / "test-vectors" / "draw-v1.json"

# Rounds of drand's chain quicknet, each genuine: the tests check the signatures.
DRAND = {
    123: "b75c69d0b72a5d906e854e808ba7e2accb1542ac355ae486d591aa9d43765482e26cd02df835d3546d23c4b13e0dfc92",
    1000: "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e4b6b63ed5e39",
    657413: "b713718a38ae728dfd477991af2822e08d2f305e47718cef9f7848ce4050e7be"
    "41076862b98fad56e91a6b85b89cd97b",
}


def lotteries() -> dict[str, dict[str, Any]]:
    """Return the lotteries of the vectors, each for a reason."""

    def small(cells: list[list[int]], denominator: int, **rest: Any) -> dict[str, Any]:
        agents = sorted({f"agent {cell[0]}" for cell in cells})
        goods = sorted({f"good {cell[1]}" for cell in cells})
        return {
            "format": 1,
            "kind": "pseudomarket",
            "denominator": denominator,
            "agents": agents,
            "goods": goods,
            "cells": cells,
            "agent_sets": [],
            "good_sets": [],
        } | rest

    def drawn_by_terms(places: list[list[int]], terms: list[Any], **rest: Any) -> dict[str, Any]:
        given = [sum(weight * copies[k] for weight, copies in terms) for k in range(len(places))]
        cells = [[i, j, n, a, b] for (i, j, a, b), n in zip(places, given, strict=True)]
        whole = small(cells, sum(weight for weight, _ in terms), **rest)
        return whole | {"draw": "terms", "terms": terms}

    half, third = 2**51, 2**52 // 3
    rows = [[-1, 1, 1, "row 0"], [-1, 1, 1, "row 1"]]
    columns = [[-1, 1, 1, "column 0"], [-1, None, 1, "column 1"]]
    square = [[0, 0, half, 0, 0], [0, 1, half, 0, 1], [1, 0, half, 1, 0], [1, 1, half, 1, 1]]
    return {
        "two agents, two goods, halves": small(square, 2**52, agent_sets=rows, good_sets=columns),
        "nothing to draw": small([], 1, agents=["ann"], goods=["art"]),
        "whole numbers only": small([[0, 0, 2, -1, -1], [0, 1, 6, -1, -1]], 2, kind="reallocation"),
        "one cell, and the grand total with it": small([[0, 0, third, -1, -1]], 2**52),
        "two cells between the same sets": small(
            [[0, 0, 1, 0, -1], [0, 1, 2, 0, -1]], 3, agent_sets=[[-1, None, None, "both"]]
        ),
        "the grand total is fractional": small([[0, 0, 1, -1, -1], [1, 0, 3, -1, -1], [1, 1, 2, -1, -1]], 5),
        "chains of sets on both sides": small(
            [
                [0, 0, 9, 1, 2],
                [0, 1, 4, 2, 2],
                [1, 0, 5, 0, 1],
                [1, 1, 7, 3, 0],
                [2, 0, 12, -1, -1],
                [2, 1, 3, 3, 1],
            ],
            7,
            agent_sets=[[-1, None, None, "a"], [0, None, None, "b"], [1, None, 1, "c"], [-1, 0, 2, "d"]],
            good_sets=[[-1, None, None, "a"], [0, 1, 4, "b"], [-1, None, None, "c"]],
        ),
        "ids that tables must quote or disarm": document(random.Random(8), 11, 11, 0.5, 2**20),
        "the largest denominator": document(random.Random(62), 5, 4, 1.0, 2**62),
        "many cells": document(random.Random(52), 30, 20, 0.4, 2**52),
        # From here on drawn by terms; of eight numbers of three bits, three are drawn again for fifths.
        "two terms": drawn_by_terms([[0, 0, -1, -1], [1, 1, -1, -1]], [[2**51, [1, 0]], [2**51, [0, 1]]]),
        "terms with bounds": drawn_by_terms(
            [[0, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 1, 1]],
            [[third, [2, 0, 0, 1]], [third, [1, 1, 1, 0]], [2**52 - 2 * third, [1, 1, 1, 1]]],
            agent_sets=[[-1, 1, 2, "row 0"], [-1, 1, 2, "row 1"]],
            good_sets=[[-1, 2, 2, "column 0"], [-1, None, 2, "column 1"]],
        ),
        "terms of fifths": drawn_by_terms(
            [[0, 0, -1, -1], [0, 1, -1, -1]], [[2, [1, 0]], [1, [1, 1]], [1, [0, 1]], [1, [0, 0]]]
        ),
        "a single term": drawn_by_terms([[0, 0, -1, -1], [1, 0, -1, -1]], [[1, [3, 1]]]),
        "terms of nothing": drawn_by_terms([], [[1, []]], agents=["ann"], goods=["art"]),
        "one term almost surely": drawn_by_terms([[0, 0, -1, -1]], [[2**61 - 1, [1]], [1, [0]]]),
    }


def vectors() -> dict[str, Any]:
    """Compute every vector."""
    seed = digest(b"a public seed")
    commitment = digest(b"a commitment")
    draws = []
    for k, (name, lottery) in enumerate(lotteries().items()):
        data = canonical_json(lottery)
        public = digest(f"public seed {k}".encode())
        drawn = draw(Lottery.from_json(data), bytes.fromhex(public))
        draws.append(
            {
                "name": name,
                "lottery": data.decode(),
                "public_seed": public,
                "commitment": drawn.commitment.hash,
                "seed": drawn.transcript.seed,
                "assignment": drawn.csv.decode(),
            }
        )
    asks = [(1, 2), (1, 3), (2, 3), (5, 7), (3, 8), (2**51 - 1, 2**52), (1, 2**62), (2**62 - 1, 2**62)] * 5
    coin = coins(bytes.fromhex(seed))
    numbers = {
        "Ann": digest(b"Ann's number"),
        "Bob, Jr.": digest(b"Bob's number"),
        "Céline": digest(b"Celine's number"),
    }
    ceremony = Ceremony.begin(commitment, {name: seal(commitment, name, n) for name, n in numbers.items()})
    ceremony = ceremony.roll("4164 1523 6431 2254 6213")
    for name, number in numbers.items():
        ceremony = ceremony.reveal(name, number)
    row = canonical_json(
        {"agent": "ann", "tables": {"input/values.csv": [["agent", "good", "value"], ["ann", "å", "2"]]}}
    )
    texts: list[list[str]] = [[], [""], ["ab", "c"], ["a", "bc"], ["ticket", "Électifs", "\U0001f600"]]
    return {
        "format": 1,
        "fields": [{"texts": list(t), "bytes": fields(t).hex()} for t in texts],
        "inner_seed": {
            "public_seed": seed,
            "commitment": commitment,
            "seed": inner_seed(bytes.fromhex(seed), commitment).hex(),
        },
        "coins": {
            "seed": seed,
            "asked": [[str(a), str(s)] for a, s in asks],
            "answers": [coin(a, s) for a, s in asks],
        },
        "tickets": [
            {"seed": seed, "draw": d, "agent": a, "ticket": ticket(bytes.fromhex(seed), d, a)}
            for d, a in (("electives", "ann"), ("electives", "bob"), ("électifs", "\U0001f600"), ("", ""))
        ],
        "rows": [{"salt": seed, "row": row.decode(), "hash": salted(seed, row)}],
        "ceremony": {
            "commitment": commitment,
            "dice": ceremony.dice,
            "officials": [[o.name, o.seal, o.number] for o in ceremony.officials],
            "public_seed": ceremony.public_seed.hex(),
        },
        "drand": [
            {"round": r, "signature": s, "public_seed": DrandRound(r, bytes.fromhex(s)).public_seed.hex()}
            for r, s in DRAND.items()
        ],
        "draws": draws,
        "result": {name: data.decode() for name, data in result_files().items()},
    }


def file_bytes() -> bytes:
    """Return the file of vectors."""
    return (json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n").encode()


if __name__ == "__main__":
    PATH.parent.mkdir(parents=True, exist_ok=True)
    PATH.write_bytes(file_bytes())
