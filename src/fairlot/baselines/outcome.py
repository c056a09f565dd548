r"""What a mechanism did to a market, in the one form in which mechanisms are compared.

A mechanism that leaves things to chance is a lottery over assignments :math:`Z^1, \dots, Z^K` with equal
weights: draws of the mechanism itself, or of the lottery that it publishes. Agent i's expected utility is
:math:`U_i = \frac1K \sum_k u_i(Z^k_i)`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.lottery.build import market_lottery
from fairlot.lottery.cells import ascending, pair_positions
from fairlot.lottery.sampling import sample
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation


@dataclass(frozen=True, eq=False)
class Outcome:
    """Assignments that a mechanism drew, and prices where it has any.

    Parameters
    ----------
    draws : IntArray, shape (n_draws, n_pairs)
        Copies of each acceptable pair in each draw, equally likely.
    shares : FloatArray, shape (n_pairs,), or None
        Expected copies where the mechanism states them; else they are the mean of the draws.
    prices : FloatArray, shape (n_goods,), or None
        Money per copy.
    note : str
        What the user should know of this run.
    """

    draws: IntArray
    shares: FloatArray | None = None
    prices: FloatArray | None = None
    note: str = ""

    @property
    def expected(self) -> FloatArray:
        """Expected copies of each acceptable pair, shape (n_pairs,)."""
        return self.draws.mean(axis=0) if self.shares is None else self.shares


def draws_of_shares(market: PseudoMarket, shares: FloatArray, n_draws: int, seed: int) -> IntArray:
    """Draw assignments from the lottery that has exactly these expected copies.

    Parameters
    ----------
    market : PseudoMarket
        The constraints, which every draw respects.
    shares : FloatArray, shape (n_pairs,)
        Expected copies of each acceptable pair.
    n_draws, seed : int
        As in :func:`fairlot.lottery.sampling.sample`.
    """
    kept = np.flatnonzero(shares > 0)
    place = (market.pair_agent[kept], market.pair_good[kept])
    matrix = sp.csr_array((shares[kept], place), shape=market.values.shape)
    lottery = market_lottery(market, RandomAllocation(market.agents, market.goods, matrix))
    row, column = (np.array(ascending(ids)) for ids in (market.agents, market.goods))
    pair = pair_positions(market, row[lottery.cell_agent], column[lottery.cell_good])
    draws = np.zeros((n_draws, market.values.nnz), dtype=np.int64)
    draws[:, pair] = sample(lottery, n_draws, seed)
    return draws
