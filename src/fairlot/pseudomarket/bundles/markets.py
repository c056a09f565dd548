r"""Small structured markets as economies of bundles, and back.

Every copy of a good becomes a good of its own; an agent who may hold one copy of a good values a bundle of
copies by the goods that are in it,

.. math:: u_i(A) = \max_{B \subseteq A \text{ feasible}} \sum_{j \in B} v_{ij} + \sum_S g_S(|B \cap S|),

listed. In an equilibrium copies of one good cost the same: nobody would take the dearer one, so that it would
be left over, at price 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import scipy.sparse as sp

from fairlot.certificate import Status
from fairlot.errors import NotSupportedError
from fairlot.model.constraints import BoundSet
from fairlot.model.economies import FiatEconomy
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.model.valuations import MOST_ENUMERATED, Bound, Number, Table
from fairlot.progress import Reporter
from fairlot.pseudomarket.bundles.equilibrium import EconomyEquilibrium
from fairlot.pseudomarket.bundles.solve import EconomyMethod, solve_economy
from fairlot.pseudomarket.equilibrium import Claim, Equilibrium, publish, refuse
from fairlot.pseudomarket.preconditions import feasible_assignment
from fairlot.verify.equilibrium import verify_equilibrium


@dataclass(frozen=True, eq=False)
class BundleEquilibrium(Equilibrium):
    """An equilibrium of a market that was solved as an economy of bundles.

    Parameters
    ----------
    bundles : EconomyEquilibrium or None
        The economy, with exact prices, lottery over bundles of copies and certificate where ``exact`` was
        asked for. Copies of a good are numbered one after the other.
    """

    bundles: EconomyEquilibrium | None = None


def as_economy(market: PseudoMarket) -> FiatEconomy:
    """Write a small market as an economy in which there is one of each good.

    Parameters
    ----------
    market : PseudoMarket
        With at most 16 copies that can be of use, and at most one copy per agent.

    Raises
    ------
    NotSupportedError
        If there are more copies, or an agent may hold several of one good.

    Examples
    --------
    >>> from fairlot.model.constraints import Quota
    >>> market = PseudoMarket.from_arrays([[3, 1]], capacities=[1, 1], quotas=[Quota("one", max=1)])
    >>> as_economy(market).valuations[0]
    Table(values=(0, 3, 1, 3))
    """
    home = _copies(market)
    if ((market.per_agent > 1) & (market.capacities > 1)).any():
        msg = "markets in which an agent may hold several copies of a good are not solved by bundles"
        raise NotSupportedError(msg)
    if len(home) > MOST_ENUMERATED:
        msg = f"a market of {len(home)} copies; bundles of at most {MOST_ENUMERATED} are listed"
        raise NotSupportedError(msg)
    valuations = []
    for i in range(market.n_agents):
        table = _utilities(market, i)
        valuations.append(Table(tuple(table[_goods(mask, home)] for mask in range(1 << len(home)))))
    limits = []
    for members, most in market.limit_sets:
        copies = [k for k, j in enumerate(home) if j in members]
        if copies:
            limits.append(Bound(tuple(copies), upper=int(most)))
    return FiatEconomy(tuple(valuations), tuple(map(_exact, market.budgets.tolist())), tuple(limits))


def solve_by_bundles(
    market: PseudoMarket,
    *,
    method: EconomyMethod = "exact",
    tol: float = 1e-9,
    time_limit: float | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> BundleEquilibrium:
    """Solve a small market as an economy of bundles.

    Parameters
    ----------
    market : PseudoMarket
        Small: see :func:`as_economy`.
    method, tol, time_limit, seed, reporter
        As in :func:`~fairlot.pseudomarket.bundles.solve.solve_economy`.

    Returns
    -------
    BundleEquilibrium
        With the shares that the lottery over bundles expects, checked as those of any road; ``CERTIFIED``
        only if the economy's certificate passes as well.
    """
    economy = as_economy(market)
    found = solve_economy(
        economy, method=method, tol=tol, time_limit=time_limit, seed=seed, reporter=reporter
    )
    if found.prices is None or found.lottery is None:
        infeasibility = feasible_assignment(market)
        if infeasibility is None:
            return _unsolved(market, found)
        return _with_bundles(refuse(market, infeasibility, found.stats), found)
    home = _copies(market)
    prices, rows = _prices(market, found, home)
    copies = np.zeros((market.n_agents, market.n_goods))
    for row, expected in zip(copies, found.lottery.shares(economy.n_goods), strict=True):
        np.add.at(row, home, [float(share) for share in expected])
    # What an agent holds without accepting it is worth nothing to her, and costs nothing.
    accepted = np.zeros(copies.shape, dtype=bool)
    accepted[market.pair_agent, market.pair_good] = True
    shares = RandomAllocation(market.agents, market.goods, sp.csr_array(np.where(accepted, copies, 0.0)))
    certificate = verify_equilibrium(market, prices, shares, row_prices=rows, tol=tol)
    claim = Claim(prices, rows, shares, certificate, found.stats.method)
    certified = certificate.passed and found.status is Status.CERTIFIED
    status = Status.CERTIFIED if certified else Status.UNCERTIFIED
    return _with_bundles(publish(market, claim, status, found.stats), found)


def _with_bundles(result: Equilibrium, found: EconomyEquilibrium) -> BundleEquilibrium:
    return BundleEquilibrium(**vars(result), bundles=found)


def _unsolved(market: PseudoMarket, found: EconomyEquilibrium) -> BundleEquilibrium:
    """Make a result without prices: nobody gets anything, and the certificate says so."""
    nothing = RandomAllocation(market.agents, market.goods, sp.csr_array(market.values.shape))
    prices = np.zeros(market.n_goods)
    rows = np.zeros(market.n_goods + len(market.limit_sets))
    certificate = verify_equilibrium(market, prices, nothing, row_prices=rows)
    claim = Claim(prices, rows, nothing, certificate, found.stats.method)
    result = publish(market, claim, found.status, found.stats)
    return _with_bundles(replace(result, prices=None, row_prices=None, shares=None), found)


def _copies(market: PseudoMarket) -> list[int]:
    """Good of every copy; of each good as many as could be of use, and one more to be left over."""
    useful = np.minimum(market.capacities, market.n_agents * market.per_agent + 1)
    return [j for j, copies in enumerate(useful.tolist()) for _ in range(copies)]


def _goods(mask: int, home: list[int]) -> int:
    """Bitmask of the goods of which a bundle of copies has one."""
    goods = 0
    for k, j in enumerate(home):
        if mask >> k & 1:
            goods |= 1 << j
    return goods


def _utilities(market: PseudoMarket, agent: int) -> list[Number]:
    """List the utility of every set of goods, the best feasible part of it counted."""
    row = market.values[[agent], :].tocoo()
    value: dict[int, Number] = {
        int(j): _exact(float(v)) for j, v in zip(row.coords[1], row.data, strict=True)
    }
    bounds = [bound for bound in market.bound_sets if bound.agents is None or agent in bound.agents]
    masks = [sum(1 << int(j) for j in bound.goods) for bound in bounds]
    table: list[Number] = []
    for mask in range(1 << market.n_goods):
        worth = _worth(mask, agent, value, bounds, masks)
        less = [table[mask ^ 1 << j] for j in range(market.n_goods) if mask >> j & 1]
        table.append(max([worth, *less]))
    return table


def _worth(
    mask: int, agent: int, value: dict[int, Number], bounds: list[BoundSet], masks: list[int]
) -> Number:
    """Compute what exactly these goods are worth to an agent; -inf where a quota forbids them."""
    goods = [j for j in range(mask.bit_length()) if mask >> j & 1]
    if any(j not in value for j in goods):
        return -math.inf
    worth: Number = sum(value[j] for j in goods)
    for bound, members in zip(bounds, masks, strict=True):
        count = (mask & members).bit_count()
        if len(bound.marginals):
            steps = bound.marginals.tolist() + [float(bound.marginals[-1])] * count
            worth += sum(_exact(step) for step in steps[:count])
        elif not bound.lower[agent] <= count <= bound.upper[agent]:
            return -math.inf
    return worth


def _exact(number: float) -> Number:
    return int(number) if number.is_integer() else Fraction(number)


def _prices(
    market: PseudoMarket, found: EconomyEquilibrium, home: list[int]
) -> tuple[FloatArray, FloatArray]:
    """Prices of goods, and of supply rows: what capacities and limits cost."""
    prices = np.zeros(market.n_goods)
    for j, price in zip(home, found.prices or (), strict=True):
        prices[j] = float(price)
    limits = np.zeros(len(market.limit_sets))
    priced = iter(found.limit_prices)
    rest = prices.copy()
    for k, (members, _) in enumerate(market.limit_sets):
        if any(j in members for j in home):
            limits[k] = float(next(priced))
            rest[members] -= limits[k]
    rest[np.abs(rest) < 1e-13 * max(1.0, float(prices.max(initial=0.0)))] = 0.0
    return prices, np.concatenate([rest, limits])
