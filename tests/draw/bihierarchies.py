"""Random lotteries for the tests of draws: any cells, any two forests over them, any denominator."""

from __future__ import annotations

import random
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


def lottery(seed: int, *, size: int = 6) -> Lottery:
    """Return a random lottery."""
    return Lottery.from_json(lottery_bytes(seed, size=size))
