r"""Mechanisms in which agents take turns: random serial dictatorship and two drafts.

*Random serial dictatorship*: in an order drawn at random each agent takes the best bundle of what is left.
*Round robin*: they take one copy at a time, in the same order round after round. *Bidirectional draft*: every
second round runs in reverse, the draft in use at Harvard Business School (Budish and Cantillon 2012, "The
Multi-unit Assignment Problem", AER 102(5)), here with agents who pick truthfully, copy by copy.

An agent whose picks could run into an aggregate limit that crosses her quotas takes goods greedily, which
need not be her best bundle; in every other market it is (:mod:`fairlot.baselines.gains`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fairlot.baselines.gains import Gains, gain, left, open_gains
from fairlot.baselines.outcome import Outcome
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket


def serial_dictatorship(market: PseudoMarket, n_draws: int, seed: int) -> Outcome:
    """Let agents take their best bundles in random orders.

    Parameters
    ----------
    market : PseudoMarket
        The market; budgets play no role.
    n_draws : int
        Number of orders.
    seed : int
        For the orders and for ties.

    References
    ----------
    Abdulkadiroğlu and Sönmez (1998), "Random Serial Dictatorship and the Core from Random Endowments in
    House Allocation Problems", Econometrica 66(3).

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[2, 1], [2, 1]], capacities=1)
    >>> serial_dictatorship(market, 1, seed=0).draws.sum()
    np.int64(2)
    """
    return _in_turns(market, n_draws, seed, whole_bundles=True, reverse=False)


def round_robin(market: PseudoMarket, n_draws: int, seed: int) -> Outcome:
    """Let agents take a copy at a time in the same random order; parameters as in serial dictatorship."""
    return _in_turns(market, n_draws, seed, whole_bundles=False, reverse=False)


def bidirectional_draft(market: PseudoMarket, n_draws: int, seed: int) -> Outcome:
    """Let agents take a copy at a time, every second round in reverse; parameters as before."""
    return _in_turns(market, n_draws, seed, whole_bundles=False, reverse=True)


def _in_turns(
    market: PseudoMarket, n_draws: int, seed: int, *, whole_bundles: bool, reverse: bool
) -> Outcome:
    gains = open_gains(market)
    draws = np.empty((n_draws, market.values.nnz), dtype=np.int64)
    for k in range(n_draws):
        rng = np.random.default_rng([seed, k])
        order, ties = rng.permutation(market.n_agents), rng.random(market.values.nnz)
        draws[k] = draft(gains, order, ties, whole_bundles=whole_bundles, reverse=reverse)
    return Outcome(draws)


def draft(gains: Gains, order: IntArray, ties: FloatArray, *, whole_bundles: bool, reverse: bool) -> IntArray:
    """Play one draft.

    Parameters
    ----------
    gains : Gains
        The market.
    order : IntArray, shape (n_agents,)
        Who picks first, second, ...
    ties : FloatArray, shape (n_pairs,)
        Of equally good pairs the one with the larger number is taken.
    whole_bundles : bool
        Whether a turn lasts as long as the agent gains, or for one copy.
    reverse : bool
        Whether every second round runs in reverse.

    Returns
    -------
    IntArray, shape (n_pairs,)
        Copies taken.
    """
    copies: IntArray = _take(*gains.arrays, gains.supply, order, ties, whole_bundles, reverse)
    return copies


@njit(cache=True)
def _take(
    start: IntArray,
    good: IntArray,
    value: FloatArray,
    room: IntArray,
    chain: IntArray,
    lower: IntArray,
    upper: IntArray,
    penalty: FloatArray,
    row_start: IntArray,
    row: IntArray,
    supply: IntArray,
    order: IntArray,
    ties: FloatArray,
    whole_bundles: bool,
    reverse: bool,
) -> IntArray:
    copies = np.zeros(len(good), dtype=np.int64)
    total = np.zeros(len(lower), dtype=np.int64)
    rest = supply.copy()
    n = len(order)
    done = np.zeros(n, dtype=np.bool_)
    forward = True
    active = n
    while active > 0:
        for turn in range(n):
            i = order[turn if forward else n - 1 - turn]
            while not done[i]:
                best, needs, most = -1, 0, 0.0
                for pair in range(start[i], start[i + 1]):
                    if copies[pair] >= room[pair] or not left(good[pair], row_start, row, rest):
                        continue
                    needed, worth = gain(pair, value, chain, lower, upper, penalty, total)
                    if needed != needs:
                        better = needed > needs
                    elif worth != most:
                        better = worth > most
                    else:
                        better = best >= 0 and ties[pair] > ties[best]
                    if better:
                        best, needs, most = pair, needed, worth
                if best < 0:
                    done[i] = True
                    active -= 1
                    break
                copies[best] += 1
                for c in range(chain.shape[1]):
                    if chain[best, c] < 0:
                        break
                    total[chain[best, c]] += 1
                for r in range(row_start[good[best]], row_start[good[best] + 1]):
                    rest[row[r]] -= 1
                if not whole_bundles:
                    break
        if reverse:
            forward = not forward
    return copies
