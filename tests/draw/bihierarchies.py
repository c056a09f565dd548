"""Random lotteries for the tests of draws: any cells, any two forests over them, any denominator."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from fairlot.lottery.protocol.canonical import canonical_json
from fairlot.model.lotteries import Lottery


def document(
    rng: random.Random, n_agents: int, n_goods: int, density: float, denominator: int
) -> dict[str, Any]:
    """Draw expectations up to three copies, some of them whole, and sets nested at random."""

    def sets() -> list[list[Any]]:
        return [[rng.randrange(-1, k), None, None, f"set {k}"] for k in range(rng.randrange(6))]

    sides = sets(), sets()
    cells = [
        [
            i,
            j,
            rng.choice([rng.randrange(1, 3 * denominator + 1), denominator * rng.randrange(1, 3)]),
            rng.randrange(-1, len(sides[0])),
            rng.randrange(-1, len(sides[1])),
        ]
        for i in range(n_agents)
        for j in range(n_goods)
        if rng.random() < density
    ]
    names = ["=sum(a)", "b,c", 'd"e', "f\ng", "å", "\U0001f600", "\uffee", "-1", "'x", "'=y", "h"]
    return {
        "format": 1,
        "kind": rng.choice(["pseudomarket", "reallocation"]),
        "denominator": denominator,
        "agents": sorted(f"{names[i % len(names)]}{i}" for i in range(n_agents)),
        "goods": sorted(f"{names[-(j % len(names))]}{j}" for j in range(n_goods)),
        "cells": cells,
        "agent_sets": sides[0],
        "good_sets": sides[1],
    }


def lottery_bytes(seed: int, *, size: int = 6) -> bytes:
    """Return a random ``lottery.json``."""
    rng = random.Random(seed)
    denominator = rng.choice([1, 2, 3, 7, 10, 64, 2**20, 2**52, 2**52, 2**52, 2**62])
    shape = rng.randrange(1, size + 1), rng.randrange(1, size + 1), rng.choice([0.0, 0.3, 0.7, 1.0])
    return canonical_json(document(rng, *shape, denominator))


def terms_bytes(seed: int, *, size: int = 6) -> bytes:
    """Return a random ``lottery.json`` that is drawn by terms."""
    rng = random.Random(seed)
    denominator = rng.choice([1, 2, 3, 5, 64, 65, 2**52, 2**61 + 1, 2**62])
    whole = document(rng, rng.randrange(1, size + 1), rng.randrange(1, size + 1), 0.7, denominator)
    cells = whole["cells"]
    n_terms = rng.randrange(1, min(denominator, 8) + 1)
    ends = sorted(rng.sample(range(1, min(denominator, 2**60)), n_terms - 1))
    weights = [high - low for low, high in pairwise([0, *ends, denominator])]
    least = [rng.randrange(3) for _ in cells]
    terms = [[weight, [low + rng.randrange(2) for low in least]] for weight in weights]
    for k, cell in enumerate(cells):
        cell[2] = sum(weight * copies[k] for weight, copies in terms)
    given = [k for k, cell in enumerate(cells) if cell[2]]
    whole["cells"] = [cells[k] for k in given]
    whole["terms"] = [[weight, [copies[k] for k in given]] for weight, copies in terms]
    return canonical_json(whole | {"draw": "terms"})


def lottery(seed: int, *, size: int = 6) -> Lottery:
    """Return a random lottery."""
    return Lottery.from_json(lottery_bytes(seed, size=size))
