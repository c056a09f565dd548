r"""Walrasian equilibria without lotteries, which may not exist.

For every way to split the goods, prices that support it are a polyhedron:

.. math:: p \ge 0, \quad p(A_i) \le b_i, \quad p(B) > b_i \text{ whenever } u_i(B) > u_i(A_i).

Whether it is empty is decided in fractions, by the greatest margin of the strict inequalities. Nobody may
prefer the bundle of another whose budget is not larger, which leaves few splits to look at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from fairlot.certificate import Certificate
from fairlot.errors import NotSupportedError
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations.expressions import INFINITY, Number, goods_in
from fairlot.pseudomarket.bundles.rational import minimise
from fairlot.verify.deterministic import verify_deterministic

MOST_SPLITS = 2_000_000
"""Most ways to split the goods that are looked at."""


@dataclass(frozen=True)
class DeterministicEquilibrium:
    """A split of the goods, and prices that support it.

    Parameters
    ----------
    economy : FiatEconomy
        The economy.
    prices : tuple of Fraction, shape (n_goods,)
        Of those that support it, some with the greatest margin.
    bundles : tuple of tuple of int, shape (n_agents,)
        Who gets what.
    certificate : Certificate
        By :func:`~fairlot.verify.deterministic.verify_deterministic`.
    """

    economy: FiatEconomy
    prices: tuple[Fraction, ...]
    bundles: tuple[tuple[int, ...], ...]
    certificate: Certificate

    @property
    def utilities(self) -> tuple[Number, ...]:
        """What everybody's bundle is worth to her."""
        return tuple(u.value(bundle) for u, bundle in zip(self.economy.valuations, self.bundles, strict=True))


def deterministic_equilibria(economy: FiatEconomy) -> tuple[DeterministicEquilibrium, ...]:
    """Find every split of the goods that some prices support; none means that there is no equilibrium.

    Parameters
    ----------
    economy : FiatEconomy
        Small, without limits.

    Raises
    ------
    NotSupportedError
        If there are limits, or more than :data:`MOST_SPLITS` ways to split the goods.

    References
    ----------
    F. Gul, W. Pesendorfer and M. Zhang, "Efficient Allocation of Indivisible Goods in Pseudomarkets with
    Constraints": Walrasian equilibrium, deterministic.

    Examples
    --------
    >>> from fairlot.model.valuations import Table
    >>> agents = [Table([0, 10, 8, 11]), *2 * [Table([0, 10, 2, 11])]]
    >>> deterministic_equilibria(FiatEconomy(agents, budgets=1))
    ()
    >>> budgets = [Fraction(102, 100), Fraction(101, 100), 1]
    >>> [found.bundles for found in deterministic_equilibria(FiatEconomy(agents, budgets))]
    [((0,), (1,), ())]
    """
    if economy.limits:
        msg = "deterministic equilibria of economies with aggregate limits"
        raise NotSupportedError(msg)
    if economy.n_agents**economy.n_goods > MOST_SPLITS:
        msg = f"{economy.n_agents} agents can split {economy.n_goods} goods in too many ways to look at each"
        raise NotSupportedError(msg)
    found = []
    for masks in _splits(economy):
        prices = _supporting_prices(economy, masks)
        if prices is not None:
            bundles = tuple(map(goods_in, masks))
            certificate = verify_deterministic(economy, prices, bundles)
            found.append(DeterministicEquilibrium(economy, prices, bundles, certificate))
    return tuple(found)


def _splits(economy: FiatEconomy) -> Iterator[tuple[int, ...]]:
    """Go through the splits in which nobody prefers the bundle of another with no larger a budget."""
    tables = [u.table() for u in economy.valuations]
    masks = [0] * economy.n_agents

    def give(j: int) -> Iterator[tuple[int, ...]]:
        if j == economy.n_goods:
            for i, table in enumerate(tables):
                if table[masks[i]] == -INFINITY:
                    return
                for other, mask in enumerate(masks):
                    if economy.budgets[other] <= economy.budgets[i] and table[mask] > table[masks[i]]:
                        return
            yield tuple(masks)
            return
        for i in range(economy.n_agents):
            masks[i] |= 1 << j
            yield from give(j + 1)
            masks[i] ^= 1 << j

    return give(0)


def _supporting_prices(economy: FiatEconomy, masks: tuple[int, ...]) -> tuple[Fraction, ...] | None:
    """Maximise the margin by which whatever is better costs too much; None if it is not positive."""
    n_goods = economy.n_goods
    within: list[tuple[int, Fraction]] = []
    beyond: list[tuple[int, Fraction]] = []
    for u, b, mask in zip(economy.valuations, economy.budgets, masks, strict=True):
        within.append((mask, Fraction(b)))
        table = u.table()
        better = [other for other, value in enumerate(table) if value > table[mask]]
        # Of bundles that contain each other the smallest says it all.
        least = [
            other for other in better if all(table[other ^ 1 << j] <= table[mask] for j in goods_in(other))
        ]
        beyond += [(other, Fraction(b)) for other in least]
    # Columns: prices, the margin as a difference, then a slack per row; the margin is at most 1.
    m = len(within) + len(beyond) + 1
    rows, right = [], []
    for r, (mask, budget) in enumerate([*within, *beyond]):
        row = [Fraction(mask >> j & 1) for j in range(n_goods)] + [Fraction(0)] * (2 + m)
        if r >= len(within):
            row[n_goods], row[n_goods + 1] = Fraction(-1), Fraction(1)
        row[n_goods + 2 + r] = Fraction(1 if r < len(within) else -1)
        rows.append(row)
        right.append(budget)
    last = [Fraction(0)] * (n_goods + 2 + m)
    last[n_goods], last[n_goods + 1], last[-1] = Fraction(1), Fraction(-1), Fraction(1)
    cost = [Fraction(0)] * (n_goods + 2 + m)
    cost[n_goods], cost[n_goods + 1] = Fraction(-1), Fraction(1)
    best = minimise(cost, [*rows, last], [*right, Fraction(1)])
    return best.x[:n_goods] if best.value < 0 else None
