r"""Bundles as columns: a general economy as a market in which everybody takes at most one *bundle*.

Agent i's random consumption is :math:`\sigma_i \in \Delta(2^H)`. With a column per bundle A that she may
want, of value :math:`u_i(A) - u_i(\emptyset)`, it is a point of a unit-demand polytope, and the goods are
supply rows that count :math:`\sum_{A \ni j} \sigma_i(A)`; an aggregate limit is a row that counts
:math:`|A \cap A_k|`. The roads to an equilibrium of structured markets then lead to one of the economy,
without knowing it: what they are given is a :class:`~fairlot.pseudomarket.compiled.CompiledMarket`.

An equilibrium of the columns clears in expectation. It is one of the economy if no bundle that has no column
would be demanded at its prices; which are missing, the valuations' demand oracles say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import scipy.sparse as sp

from fairlot.model.constraints import Quota
from fairlot.model.economies import FiatEconomy
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.model.valuations.expressions import INFINITY, goods_in, mask_of
from fairlot.pseudomarket.compiled import CompiledMarket, Point, compile_market

_GRID = 2**44
MOST_ALL = 6
"""Most goods with which every bundle worth its goods is a column from the start."""


@dataclass(frozen=True, eq=False)
class BundlePoint:
    """Prices and random consumptions, in the economy's units.

    Parameters
    ----------
    good_prices : FloatArray, shape (n_goods,)
        What each good costs, limits aside.
    limit_prices : FloatArray, shape (n_limits,)
        What each limit adds to the price of its goods.
    consumptions : tuple of dict
        Of each agent, probabilities of bundles by bitmask, the empty one included where she may have it.
    money_values : FloatArray, shape (n_agents,)
        Utility per unit of money.
    """

    good_prices: FloatArray
    limit_prices: FloatArray
    consumptions: tuple[dict[int, float], ...]
    money_values: FloatArray

    def prices(self, economy: FiatEconomy) -> FloatArray:
        """Full prices of the goods."""
        full = self.good_prices.copy()
        for limit, price in zip(economy.limits, self.limit_prices, strict=True):
            full[list(limit.goods)] += price
        return full


class Columns:
    """The bundles that have a column, per agent, and the market that they make.

    Parameters
    ----------
    economy : FiatEconomy
        The economy.
    """

    def __init__(self, economy: FiatEconomy) -> None:
        self.economy = economy
        self.values: list[dict[int, float]] = [{} for _ in range(economy.n_agents)]
        self.base: list[float | None] = []
        for u in economy.valuations:
            nothing = u.value(())
            self.base.append(None if nothing == -INFINITY else float(nothing))

    def add(self, agent: int, mask: int) -> bool:
        """Give a bundle a column; whether that is new and it is of use."""
        if mask == 0 or mask in self.values[agent]:
            return False
        value = self.economy.valuations[agent].value(goods_in(mask))
        base = self.base[agent]
        if value == -INFINITY or (base is not None and value <= base):
            return False
        self.values[agent][mask] = float(value) - (base or 0.0)
        return True

    def add_all(self) -> None:
        """Give a column to every bundle that is worth more than whatever it contains."""
        for i, u in enumerate(self.economy.valuations):
            table = u.table()
            for mask, value in enumerate(table):
                if value > max((table[mask ^ 1 << j] for j in goods_in(mask)), default=INFINITY):
                    self.add(i, mask)

    def compile(self) -> tuple[CompiledMarket, list[int]]:
        """Make the market of the columns; its goods are the bundles listed."""
        economy = self.economy
        n, n_goods = economy.n_agents, economy.n_goods
        masks = sorted(set().union(*self.values)) or [1]
        place = {mask: k for k, mask in enumerate(masks)}
        values = np.full((n, len(masks)), np.nan)
        for row, mine in zip(values, self.values, strict=True):
            for mask, value in mine.items():
                row[place[mask]] = value
        market = PseudoMarket.from_arrays(
            values,
            capacities=n + 1,
            budgets=[float(b) for b in economy.budgets],
            quotas=[Quota("one bundle", max=1, min=[int(base is None) for base in self.base])],
        )
        compiled = compile_market(market)
        counts = np.zeros((n_goods + len(economy.limits), len(masks)))
        for k, mask in enumerate(masks):
            counts[list(goods_in(mask)), k] = 1.0
            for at, limit in enumerate(economy.limits, n_goods):
                counts[at, k] = (mask & limit.mask).bit_count()
        rows = sp.csr_array(sp.vstack([compiled.rows, sp.csr_array(counts)]))
        taken = np.bincount(market.pair_good, compiled.forced, minlength=len(masks))
        bounds = [1.0] * n_goods + [float(limit.upper or 0) for limit in economy.limits]
        supply = np.concatenate([compiled.supply, bounds - counts @ taken])
        return replace(compiled, rows=rows, supply=supply), masks

    def read(self, compiled: CompiledMarket, masks: list[int], point: Point) -> BundlePoint:
        """Translate a point of the market of the columns."""
        market, n_goods = compiled.market, self.economy.n_goods
        copies = compiled.copies(point.x)
        consumptions: list[dict[int, float]] = [{} for _ in self.values]
        for i, k, share in zip(market.pair_agent, market.pair_good, copies, strict=True):
            if share > 0:
                consumptions[i][masks[k]] = float(share)
        for mine, base in zip(consumptions, self.base, strict=True):
            rest = 1.0 - sum(mine.values())
            if base is not None and rest > 0:
                mine[0] = rest
        q = np.maximum(point.q[len(masks) :], 0.0) * compiled.budget_scale
        return BundlePoint(
            good_prices=q[:n_goods],
            limit_prices=q[n_goods:],
            consumptions=tuple(consumptions),
            money_values=point.alpha * compiled.value_scale / compiled.budget_scale,
        )

    def write(self, compiled: CompiledMarket, masks: list[int], point: BundlePoint) -> Point:
        """Translate prices for the market of the columns, as a place to start from."""
        q = np.concatenate([np.zeros(len(masks)), point.good_prices, point.limit_prices])
        return Point(
            x=np.zeros(compiled.n_pairs),
            q=q / compiled.budget_scale,
            alpha=point.money_values * compiled.budget_scale / compiled.value_scale,
            y=np.zeros(compiled.n_nodes),
            finished=False,
            iterations=0,
        )

    def missing(self, point: BundlePoint, tol: float) -> list[tuple[int, int]]:
        """List bundles without a column that agents would rather have at the point's prices.

        Parameters
        ----------
        point : BundlePoint
            Prices and money values.
        tol : float
            How much better, over the agent's greatest value, a bundle must be.
        """
        prices: list[float] = point.prices(self.economy).tolist()
        found = []
        for i, (u, mine) in enumerate(zip(self.economy.valuations, self.values, strict=True)):
            alpha = max(float(point.money_values[i]), 0.0)
            # In fractions, so that ties are ties; utility per good is rounded far below what counts.
            costs = [Fraction(round(alpha * price * _GRID), _GRID) for price in prices]
            mask = mask_of(u.demand(costs))
            base = self.base[i]
            surplus = {m: value - float(_total(costs, m)) for m, value in mine.items()}
            best = max([*surplus.values(), *([] if base is None else [0.0])])
            gain = float(u.value(goods_in(mask))) - (base or 0.0) - float(_total(costs, mask)) - best
            if gain > tol * max(mine.values(), default=1.0):
                found.append((i, mask))
        return found


def _total(costs: list[Fraction], mask: int) -> Fraction:
    return sum((costs[j] for j in goods_in(mask)), Fraction(0))
