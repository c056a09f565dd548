r"""Probabilistic serial: agents eat expected copies at unit speed, each her best good still to be had.

Time runs until nobody wants more. At each moment agent i eats the acceptable good of greatest gain among
those with supply left (capacity, and every limit over it), of which she may still have more, and which none
of her upper bounds forbids; a taper lowers gains once her total has reached its breakpoint. What everybody
has eaten is her expected share, and the lottery over feasible assignments exists since all bounds are
laminar on either side. With one copy each this is Bogomolnaia and Moulin's rule, with several copies
Kojima's, with constraints that of Budish, Che, Kojima and Milgrom; lower bounds, on which their rule is
silent, are met first.

References
----------
Bogomolnaia and Moulin (2001), "A New Solution to the Random Assignment Problem", JET 100(2).
Kojima (2009), "Random assignment of multiple indivisible objects", Mathematical Social Sciences 57(1).
Budish, Che, Kojima, Milgrom (2013), "Designing Random Allocation Mechanisms", AER 103(2), section III.B.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fairlot.baselines.gains import gain, left, open_gains
from fairlot.baselines.outcome import Outcome, draws_of_shares
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket

_EMPTY = 1e-12
"""Copies that are rounding."""


def probabilistic_serial(market: PseudoMarket, n_draws: int, seed: int) -> Outcome:
    """Let agents eat, and draw from the lottery over what they ate.

    Parameters
    ----------
    market : PseudoMarket
        The market; budgets play no role.
    n_draws : int
        Draws from the lottery.
    seed : int
        For the draws; the shares are not random. Of equally good goods an agent eats the first.

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[3, 2], [3, 1]], capacities=1)
    >>> probabilistic_serial(market, 1, seed=0).shares.tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    shares = eat(market)
    return Outcome(draws_of_shares(market, shares, n_draws, seed), shares=shares)


def eat(market: PseudoMarket) -> FloatArray:
    """Compute what everybody has eaten in the end: expected copies of each acceptable pair."""
    gains = open_gains(market)
    return np.asarray(_eat(*gains.arrays, gains.supply.astype(np.float64)))


@njit(cache=True)
def _eat(
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
    supply: FloatArray,
) -> FloatArray:
    n, n_rows, depth = len(start) - 1, len(supply), chain.shape[1]
    eaten = np.zeros(len(good))
    total = np.zeros(len(lower))
    reached = np.zeros(len(lower), dtype=np.int64)  # whole copies of each node's total
    rest = supply.copy()
    meal = np.full(n, -2, dtype=np.int64)  # the pair each agent eats; -1 done, -2 to be chosen
    while True:
        speed = np.zeros(n_rows)
        eating = False
        for i in range(n):
            if meal[i] == -2:
                meal[i] = _best(
                    i,
                    start,
                    good,
                    value,
                    room,
                    chain,
                    lower,
                    upper,
                    penalty,
                    row_start,
                    row,
                    rest,
                    eaten,
                    reached,
                )
            if meal[i] >= 0:
                eating = True
                for r in range(row_start[good[meal[i]]], row_start[good[meal[i]] + 1]):
                    speed[row[r]] += 1.0
        if not eating:
            return eaten
        span = np.inf
        for r in range(n_rows):
            if speed[r] > 0.0:
                span = min(span, rest[r] / speed[r])
        for i in range(n):
            if meal[i] >= 0:
                span = min(span, room[meal[i]] - eaten[meal[i]])
                for c in range(depth):
                    node = chain[meal[i], c]
                    if node < 0:
                        break
                    # Gains change only where a total reaches a bound or a breakpoint, all of them integers.
                    span = min(span, reached[node] + 1 - total[node])
        for r in range(n_rows):
            rest[r] -= span * speed[r]
            if rest[r] < _EMPTY * max(1.0, supply[r]):
                rest[r] = 0.0
        for i in range(n):
            pair = meal[i]
            if pair < 0:
                continue
            eaten[pair] += span
            again = False
            if eaten[pair] > room[pair] - _EMPTY:
                eaten[pair] = room[pair]
                again = True
            for c in range(depth):
                node = chain[pair, c]
                if node < 0:
                    break
                total[node] += span
                if total[node] > reached[node] + 1 - _EMPTY:
                    reached[node] += 1
                    total[node] = reached[node]
                    again = True
            for r in range(row_start[good[pair]], row_start[good[pair] + 1]):
                again = again or rest[row[r]] == 0.0
            if again:
                meal[i] = -2


@njit(cache=True)
def _best(
    i: int,
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
    rest: FloatArray,
    eaten: FloatArray,
    reached: IntArray,
) -> int:
    best, needs, most = -1, 0, 0.0
    for pair in range(start[i], start[i + 1]):
        if eaten[pair] >= room[pair]:
            continue
        if not left(good[pair], row_start, row, rest):
            continue
        needed, worth = gain(pair, value, chain, lower, upper, penalty, reached)
        if needed > needs or (needed == needs and worth > most):
            best, needs, most = pair, needed, worth
    return best
