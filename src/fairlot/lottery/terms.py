"""Lotteries that are their terms, from assignments with weights: what timetables are drawn from."""

from __future__ import annotations

import numpy as np

from fairlot.lottery.build import _good_side
from fairlot.lottery.cells import Expectations, ascending
from fairlot.lottery.wolfe import whole_weights
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.lotteries import CellSets, Decomposition, Lottery
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation

DENOMINATOR = 2**52
"""Of weights; expected copies of at most 1 are then exact floating-point numbers."""


def lottery_of_terms(market: PseudoMarket, weights: FloatArray, pairs: IntArray, copies: IntArray) -> Lottery:
    """Publish weighted assignments as a lottery that is drawn by terms.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    weights : FloatArray, shape (n_terms,)
        Positive, adding up to about 1, heaviest first; rounded to multiples of 2^-52.
    pairs : IntArray, shape (n_cells,)
        Positions, ascending, of the acceptable pairs that some term gives something of.
    copies : IntArray, shape (n_terms, n_cells)
        Copies of these pairs; of each pair they differ by at most 1.

    Raises
    ------
    InvalidProblemError
        If a term exceeds a capacity or a limit.

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[1.0, 1.0]], 1)
    >>> lottery = lottery_of_terms(market, np.array([0.75, 0.25]), np.arange(2), np.eye(2, dtype=np.int64))
    >>> lottery.expectations().of("agent1")
    {'good1': 0.75, 'good2': 0.25}
    """
    whole = whole_weights(weights, DENOMINATOR)
    alike, first = _merged(copies)
    whole = np.bincount(alike, whole.astype(np.float64)).astype(np.int64)  # sums below 2^53 are exact
    copies = copies[first]
    order = np.lexsort((first, -whole))
    whole, copies = whole[order], copies[order]
    given_some = copies.any(axis=0)
    used, copies = pairs[given_some], copies[:, given_some]
    row, column = (np.argsort(ascending(ids)) for ids in (market.agents, market.goods))
    agent, good = row[market.pair_agent[used]], column[market.pair_good[used]]
    place = np.lexsort((good, agent))
    used, agent, good = used[place], agent[place], good[place]
    copies = copies[:, place]
    least = copies.min(axis=0)
    up = copies - least
    fraction = np.zeros(len(used), dtype=np.int64)
    for weight, term in zip(whole.tolist(), up, strict=True):
        fraction += weight * term
    given = Expectations(
        tuple(sorted(market.agents)),
        tuple(sorted(market.goods)),
        agent,
        good,
        least + fraction / DENOMINATOR,
    )
    none = np.empty(0, dtype=np.int64)
    return Lottery(
        agents=given.agents,
        goods=given.goods,
        cell_agent=agent,
        cell_good=good,
        whole=least,
        fraction=fraction,
        denominator=DENOMINATOR,
        agent_sets=CellSets(none, none, none, (), np.full(len(used), -1)),
        good_sets=_good_side(market, given, market.pair_good[used]),
        terms=Decomposition(whole, np.packbits(up.astype(np.uint8), axis=1), least),
        drawn_by="terms",
    )


def shares_of_terms(market: PseudoMarket, lottery: Lottery) -> RandomAllocation:
    """Return the lottery's expected copies with agents and goods in the market's order."""
    mean = lottery.expectations().matrix
    rows, columns = (np.argsort(ascending(ids)) for ids in (market.agents, market.goods))
    return RandomAllocation(market.agents, market.goods, mean[rows][:, columns])


def _merged(copies: IntArray) -> tuple[IntArray, IntArray]:
    """Give equal terms the same number, in order of their first; return numbers, and those first ones."""
    found: dict[bytes, int] = {}
    first: list[int] = []
    alike = np.empty(len(copies), dtype=np.int64)
    for term, row in enumerate(copies):
        key = row.tobytes()
        if key not in found:
            found[key] = len(first)
            first.append(term)
        alike[term] = found[key]
    return alike, np.array(first, dtype=np.int64)
