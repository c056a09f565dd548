r"""What a point near an equilibrium shows: who demands which bundles, and what those say of prices exactly.

A *cell* is the combinatorial part of an equilibrium: for every agent the bundles that are optimal at her
:math:`\lambda_i`, whether she is satiated, and which goods and limits have a price. It holds

.. math:: \lambda_i u_i(A) - p(A) = \beta_i \quad (A \text{ optimal for unsatiated } i), \qquad
          p(A) = -\beta_i \quad (A \text{ optimal for satiated } i),

and, since everything with a price is sold and the unsatiated spend all they have,
:math:`\sum_j q_j + \sum_k h_k \rho_k + \sum_{\text{satiated}} \beta_i = \sum_{\text{unsatiated}} b_i`. These
equations are linear with rational data: the prices they allow are an affine space, whose
coordinates are prices of a few rows. What remains is bilinear: budgets and the lottery's weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations import MOST_ENUMERATED
from fairlot.model.valuations.expressions import INFINITY, goods_in
from fairlot.pseudomarket.bundles.columns import BundlePoint
from fairlot.pseudomarket.bundles.rational import echelon, solve_system

_TIGHT = 1e-7
"""How far below an agent's best, over her greatest value, a bundle still counts as optimal."""
_PRICED = 1e-9
"""Prices, over the mean budget, from which a row has one."""
_LEFT = 1e-8
"""Unspent money, over the budget, from which an agent is satiated."""
MOST_ASSIGNMENTS = 20_000


@dataclass(frozen=True)
class Cell:
    """The combinatorial part of an equilibrium.

    Parameters
    ----------
    supports : tuple of tuple of int
        Of each agent, optimal bundles by bitmask.
    satiated : tuple of bool
        Who does not spend all her money.
    priced : tuple of int
        Rows that have a price: goods, then limits from ``n_goods`` on.
    """

    supports: tuple[tuple[int, ...], ...]
    satiated: tuple[bool, ...]
    priced: tuple[int, ...]


def read_cell(economy: FiatEconomy, point: BundlePoint) -> Cell:
    """Read off what a point shows, within rounding."""
    prices: list[float] = point.prices(economy).tolist()
    money = sum(float(b) for b in economy.budgets) / economy.n_agents
    supports, satiated = [], []
    for i, mine in enumerate(point.consumptions):
        spent = sum(share * _cost(mask, prices) for mask, share in mine.items())
        budget = float(economy.budgets[i])
        content = spent < budget * (1 - _LEFT)
        alpha = 0.0 if content else float(point.money_values[i])
        values = _values(economy, i, mine)
        top = max(abs(value) for value in values.values())
        surplus = {mask: value - alpha * _cost(mask, prices) for mask, value in values.items()}
        best = max(surplus.values())
        support = [mask for mask, s in surplus.items() if best - s <= _TIGHT * top]
        if content:
            least = min(_cost(mask, prices) for mask in support)
            support = [mask for mask in support if _cost(mask, prices) <= least + _TIGHT * budget]
        supports.append(tuple(support))
        satiated.append(content)
    rows = [*point.good_prices.tolist(), *point.limit_prices.tolist()]
    priced = tuple(r for r, price in enumerate(rows) if price > _PRICED * money)
    return Cell(tuple(supports), tuple(satiated), priced)


def _cost(mask: int, prices: Sequence[float]) -> float:
    return sum(prices[j] for j in goods_in(mask))


def _values(economy: FiatEconomy, agent: int, mine: dict[int, float]) -> dict[int, float]:
    """Values of all bundles where they can be listed, else of those that the agent holds."""
    u = economy.valuations[agent]
    if economy.n_goods <= MOST_ENUMERATED:
        return {mask: float(value) for mask, value in enumerate(u.table()) if value != -INFINITY}
    return {mask: float(u.value(goods_in(mask))) for mask in mine}


def assignments(economy: FiatEconomy, cell: Cell, most: int = MOST_ASSIGNMENTS) -> list[tuple[int, ...]]:
    """List the assignments of optimal bundles that use up whatever has a price.

    Parameters
    ----------
    economy : FiatEconomy
        The economy.
    cell : Cell
        Its optimal bundles.
    most : int
        Stop after so many.
    """
    n_goods = economy.n_goods
    needed = sum(1 << r for r in cell.priced if r < n_goods)
    reach = [0] * (economy.n_agents + 1)
    for i in range(economy.n_agents - 1, -1, -1):
        reach[i] = reach[i + 1]
        for mask in cell.supports[i]:
            reach[i] |= mask
    full = [economy.limits[r - n_goods] for r in cell.priced if r >= n_goods]
    found: list[tuple[int, ...]] = []
    chosen: list[int] = []

    def extend(i: int, given: int) -> None:
        if len(found) >= most or needed & ~given & ~reach[i]:
            return
        if any((given & limit.mask).bit_count() > (limit.upper or 0) for limit in economy.limits):
            return
        if i == economy.n_agents:
            if all((given & limit.mask).bit_count() == limit.upper for limit in full):
                found.append(tuple(chosen))
            return
        for mask in cell.supports[i]:
            if not mask & given:
                chosen.append(mask)
                extend(i + 1, given | mask)
                chosen.pop()

    extend(0, 0)
    return found


Form = tuple[Fraction, ...]
"""An affine form: its constant, then a coefficient per coordinate."""


@dataclass(frozen=True)
class PriceSpace:
    """The prices that a cell's linear equations allow.

    Parameters
    ----------
    rows : tuple of Form, length n_goods + n_limits
        Price of each row; 0 where it has none.
    coordinates : tuple of int
        The rows whose prices are the coordinates.
    """

    rows: tuple[Form, ...]
    coordinates: tuple[int, ...]

    def good_forms(self, economy: FiatEconomy) -> list[Form]:
        """Full prices of the goods as affine forms."""
        forms = [list(form) for form in self.rows[: economy.n_goods]]
        for limit, price in zip(economy.limits, self.rows[economy.n_goods :], strict=True):
            for j in limit.goods:
                forms[j] = [a + b for a, b in zip(forms[j], price, strict=True)]
        return [tuple(form) for form in forms]


def price_space(economy: FiatEconomy, cell: Cell) -> PriceSpace | None:
    """Solve a cell's linear equations; None where they contradict each other."""
    n, n_goods = economy.n_agents, economy.n_goods
    m = len(cell.priced)
    width = m + 2 * n  # prices, then λ, then β
    rows: list[list[Fraction]] = []
    right: list[Fraction] = []

    def costs(mask: int) -> list[Fraction]:
        row = [Fraction(0)] * width
        for k, r in enumerate(cell.priced):
            if r < n_goods:
                row[k] += mask >> r & 1
            else:
                row[k] += (mask & economy.limits[r - n_goods].mask).bit_count()
        return row

    for i, support in enumerate(cell.supports):
        for mask in support:
            row = costs(mask)
            row[m + n + i] = Fraction(1)
            if not cell.satiated[i]:
                row[m + i] = -Fraction(economy.valuations[i].value(goods_in(mask)))
            rows.append(row)
            right.append(Fraction(0))
        if cell.satiated[i]:
            row = [Fraction(0)] * width
            row[m + i] = Fraction(1)
            rows.append(row)
            right.append(Fraction(0))
    revenue = [Fraction(0)] * width
    for k, r in enumerate(cell.priced):
        revenue[k] = Fraction(1 if r < n_goods else economy.limits[r - n_goods].upper or 0)
    income = Fraction(0)
    for i, (content, budget) in enumerate(zip(cell.satiated, economy.budgets, strict=True)):
        if content:
            revenue[m + n + i] = Fraction(1)
        else:
            income += Fraction(budget)
    rows.append(revenue)
    right.append(income)
    solved = solve_system(rows, right, width)
    if solved is None:
        return None
    basis, pivots = echelon([direction[:m] for direction in solved.directions], m)
    point = list(solved.point[:m])
    for direction, pivot in zip(basis, pivots, strict=True):
        here = point[pivot]
        point = [a - here * b for a, b in zip(point, direction, strict=True)]
    nothing = (Fraction(0),) * (len(basis) + 1)
    forms: list[Form] = [nothing] * (n_goods + len(economy.limits))
    for k, r in enumerate(cell.priced):
        forms[r] = (point[k], *(direction[k] for direction in basis))
    return PriceSpace(tuple(forms), tuple(cell.priced[pivot] for pivot in pivots))
