r"""Whether it is true that no lottery over assignments is an equilibrium at some prices.

The claim is a direction c of weights on agents: every assignment of best bundles that sells what has a
price spends less than the budgets do, :math:`\sum_i c_i\, p \cdot Z_i < \sum_i c_i b_i`, so that no mixture
of them makes everybody spend her budget. The right-hand side is a sum; the largest left-hand side is an
integer program, which is not solved here. Where agents have few best bundles it is found by listing them:
for who spends her budget on average, those on both sides of it, or those that cost just that.
"""

from __future__ import annotations

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.verify.branching import Menus, best_lotteries, open_menus

MOST_ASSIGNMENTS = 200_000
"""Branches of the listing beyond which the claim is not rechecked."""
_BEST = 1e-7
"""What a bundle may fall short of the best, relative to the agent's scale, to be listed."""

Bundle = tuple[float, tuple[int, ...]]


def spending_margin(
    market: PseudoMarket, prices: FloatArray, row_prices: FloatArray, direction: FloatArray
) -> float:
    """List every assignment of best bundles; return what the budgets exceed the largest spending by.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    prices : FloatArray, shape (n_goods,)
        Full prices.
    row_prices : FloatArray, shape (n_goods + n_limits,)
        Capacity prices, then limit prices: rows with a price are sold out.
    direction : FloatArray, shape (n_agents,)
        c.

    Returns
    -------
    float
        Above 0 where the claim holds, infinite where no such assignment exists at all, NaN where there are
        too many to list.
    """
    menus = open_menus(market)
    demand = best_lotteries(market, prices, menus)
    rows, bounds = market.supply_sets
    uses = rows.toarray()
    sold = row_prices > 1e-9 * market.budgets.mean()
    choices: list[list[Bundle]] = []
    for i in range(market.n_agents):
        mine = _best_bundles(menus, i, prices, demand.money_value[i], demand.surplus[i], demand.scale[i])
        if mine is None:
            return float("nan")
        if demand.satiated[i]:
            mine = [one for one in mine if one[0] <= demand.peak_cost[i] + _BEST * market.budgets[i]]
        else:
            mine = _that_spend(mine, float(market.budgets[i]))
        choices.append(mine)
    # Few choices first, so that dead ends show early.
    order = sorted(range(market.n_agents), key=lambda i: len(choices[i]))
    reach = np.zeros((len(order) + 1, len(bounds)))
    for depth in range(len(order) - 1, -1, -1):
        taken = [uses[:, list(goods)].sum(axis=1) for _, goods in choices[order[depth]]]
        reach[depth] = reach[depth + 1] + (np.max(taken, axis=0) if taken else 0.0)
    best, steps = -np.inf, 0
    stack: list[tuple[int, float, FloatArray]] = [(0, 0.0, np.zeros(len(bounds)))]
    while stack:
        depth, spent, used = stack.pop()
        steps += 1
        if steps > MOST_ASSIGNMENTS:
            return float("nan")
        if (used > bounds).any() or (sold & (used + reach[depth] < bounds)).any():
            continue
        if depth == len(order):
            best = max(best, spent)
            continue
        i = order[depth]
        for cost, goods in choices[i]:
            stack.append((depth + 1, spent + direction[i] * cost, used + uses[:, list(goods)].sum(axis=1)))
    return float(direction @ market.budgets - best)


def _that_spend(bundles: list[Bundle], budget: float) -> list[Bundle]:
    """Keep what a lottery that spends the budget can consist of: with nothing on one side, what costs it."""
    most = _BEST * budget
    above, below = (any(sign * (cost - budget) > most for cost, _ in bundles) for sign in (1.0, -1.0))
    exact = [one for one in bundles if abs(one[0] - budget) <= most]
    return exact if exact and not (above and below) else bundles


def _best_bundles(
    menus: Menus, agent: int, prices: FloatArray, alpha: float, surplus: float, scale: float
) -> list[Bundle] | None:
    """List an agent's best bundles with their costs; None if she has too many bundles to look at."""
    own = range(int(menus.start[agent]), int(menus.start[agent + 1]))
    rows = slice(int(menus.row_start[agent]), int(menus.row_start[agent + 1]))
    lower, upper, penalty = menus.lower[rows], menus.upper[rows], menus.penalty[rows]
    found: list[Bundle] = []
    steps = 0
    stack: list[tuple[int, tuple[int, ...], FloatArray]] = [(own.start, (), np.zeros(len(lower)))]
    while stack:
        at, held, count = stack.pop()
        steps += 1
        if steps > MOST_ASSIGNMENTS:
            return None
        if at == own.stop:
            hard = np.isinf(penalty)
            if (count[hard] >= lower[hard]).all():
                over = np.where(hard, 0.0, np.maximum(count - upper, 0.0))
                loss = float(over @ np.where(hard, 0.0, penalty))
                goods = tuple(int(menus.good[k]) for k in held)
                cost = float(prices[list(goods)].sum())
                worth = float(menus.value[list(held)].sum()) - loss
                if worth - alpha * cost >= surplus - _BEST * scale:
                    found.append((cost, goods))
            continue
        stack.append((at + 1, held, count))
        inside = menus.in_row[menus.in_start[at] : menus.in_start[at + 1]]
        more = count.copy()
        more[inside] += 1.0
        clash = any(menus.excludes[menus.good[at], menus.good[k]] for k in held)
        if not clash and (more <= upper)[np.isinf(penalty)].all():
            stack.append((at + 1, (*held, at), more))
    return found
