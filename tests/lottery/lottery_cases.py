"""Random bihierarchies and shares for the tests of lotteries, and what a realisation is, summed slowly."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from fairlot.lottery.cells import Expectations
from fairlot.lottery.exact import exact_lottery
from fairlot.model.lotteries import UNDECLARED, CellSets, Lottery
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation


def random_sets(rng: np.random.Generator, n_cells: int, most: int) -> CellSets:
    """Draw any laminar family: parents among earlier sets, and any smallest set for each cell."""
    n = int(rng.integers(most + 1))
    parent = np.array([rng.integers(-1, k) for k in range(n)], dtype=np.int64)
    free = np.full(n, UNDECLARED)
    leaf = rng.integers(-1, n, n_cells) if n else np.full(n_cells, -1)
    return CellSets(parent, free, free, tuple(f"set {k}" for k in range(n)), leaf)


def random_cells(rng: np.random.Generator, size: int) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    n, m = rng.integers(1, size + 1, 2)
    mask = rng.random((n, m)) < rng.choice([0.4, 0.8, 1.0])
    mask[0, 0] = True
    cells = np.argwhere(mask)
    return tuple(f"a{i:02}" for i in range(n)), tuple(f"g{j:02}" for j in range(m)), cells


def random_lottery(seed: int, size: int = 5, *, denominator: int | None = None) -> Lottery:
    """Draw a lottery with entries up to three copies over a random bihierarchy."""
    rng = np.random.default_rng(seed)
    agents, goods, cells = random_cells(rng, size)
    d = int(rng.choice([1, 2, 3, 7, 10, 360, 2**31])) if denominator is None else denominator
    whole = rng.integers(0, 3, len(cells))
    fraction = rng.integers(0, min(d, 2**62), len(cells)) * (rng.random(len(cells)) < 0.8)
    whole[(whole == 0) & (fraction == 0)] = 1
    n = len(cells)
    return Lottery(
        agents,
        goods,
        cells[:, 0],
        cells[:, 1],
        whole,
        fraction,
        d,
        random_sets(rng, n, 6),
        random_sets(rng, n, 6),
    )


def noisy_lottery(seed: int, noise: float, tol: float = 1e-9) -> tuple[Lottery, list[Fraction], Expectations]:
    """Make a lottery of floating-point shares that are simple fractions up to noise."""
    rng = np.random.default_rng(seed)
    agents, goods, cells = random_cells(rng, 6)
    exact = [Fraction(int(k), 12) for k in rng.integers(1, 37, len(cells))]
    copies = np.array([float(x) for x in exact]) + noise * rng.uniform(-1, 1, len(cells))
    given = Expectations(agents, goods, cells[:, 0], cells[:, 1], copies)
    sides = random_sets(rng, len(cells), 6), random_sets(rng, len(cells), 6)
    return exact_lottery(given, *sides, "reallocation", tol), exact, given


def totals_of(sets: CellSets, values: list) -> list:
    """Sum over each set, then over all cells, cell by cell and ancestor by ancestor."""
    totals = [0] * (sets.n_sets + 1)
    for leaf, value in zip(sets.leaf.tolist(), values, strict=True):
        s = leaf
        while s >= 0:
            totals[s] += value
            s = int(sets.parent[s])
        totals[-1] += value
    return totals


def is_realisation(lottery: Lottery, copies: list[int]) -> bool:
    """Say whether every cell, every set and the grand total is a floor or a ceiling."""
    d, expected = lottery.denominator, lottery.numerators
    pairs = list(zip(expected, copies, strict=True))
    for sets in (lottery.agent_sets, lottery.good_sets):
        pairs += zip(totals_of(sets, expected), totals_of(sets, copies), strict=True)
    return all(n // d <= z <= -(-n // d) for n, z in pairs)


def random_shares(market: PseudoMarket, rng: np.random.Generator) -> RandomAllocation | None:
    """Average a few vertices of the set of feasible shares; None if it is empty."""
    families = market.families
    if families.infeasible:
        return None
    n_pairs = market.values.nnz
    chain = families.chains()
    rows, low, high = [], [], []
    for node in range(families.n_nodes):
        if np.isfinite(families.penalty[node]):
            continue
        rows.append((chain == node).any(axis=1).astype(float))
        low.append(families.lower[node])
        high.append(families.upper[node])
    membership, bounds = market.supply_sets
    for row, bound in zip(membership.toarray(), bounds, strict=True):
        rows.append(row[market.pair_good])
        low.append(0)
        high.append(bound)
    a = np.array(rows).reshape(len(rows), n_pairs)
    if n_pairs == 0:
        return RandomAllocation(market.agents, market.goods, market.values)
    points = []
    for _ in range(3):
        result = linprog(
            rng.normal(size=n_pairs),
            np.vstack([a, -a]),
            np.concatenate([np.array(high, float), -np.array(low, float)]),
            bounds=[(0, c) for c in market.per_agent[market.pair_good]],
            method="highs-ds",
        )
        if result.status == 2:
            return None
        assert result.status == 0
        points.append(result.x)
    x = np.average(points, axis=0, weights=rng.dirichlet(np.ones(3)))
    matrix = sp.csr_array(
        (np.maximum(x, 0), (market.pair_agent, market.pair_good)), shape=market.values.shape
    )
    return RandomAllocation(market.agents, market.goods, matrix)
