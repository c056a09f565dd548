r"""Why an agent got this: her lottery, what everything cost, and what her money was worth to her.

At prices p an agent with :math:`\alpha_i` utility per unit of money weighs a copy of good j by what it
leaves after its price, :math:`v_{ij} - \alpha_i p_j`. Her best bundles take the copies that leave most, as
far as her quotas reach; the lottery mixes best bundles so that on average she spends her budget. A
satiated agent has :math:`\alpha_i = 0`: her money sufficed for the best she can ask for.

Everything here is computed from the market, the prices and the shares alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket, utilities
from fairlot.model.rows import CLIQUE
from fairlot.model.shares import RandomAllocation
from fairlot.verify.branching import best_lotteries
from fairlot.verify.demand import Demand, best_affordable

_CLOSE = 1e-7
_CHECK = (
    "You can check all of this. Your points are those you entered. The prices are published and the same for "
    "everybody. The draw was made from the copies listed here. The command fairlot verify recomputes every "
    "number above, and the draw itself."
)
"""What she can check."""


def number_words(number: float) -> str:
    """Write an amount as people do: whole thousands with commas, else four digits; what is rounding is 0.

    Parameters
    ----------
    number : float
        The amount.

    Examples
    --------
    >>> number_words(181.8491), number_words(25012.3), number_words(-1e-12)
    ('181.8', '25,012', '0')
    """
    number = round(number, 9) + 0.0
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def counted(number: float, unit: str) -> str:
    """Write an amount with its unit, in the plural unless it is 1."""
    words = number_words(number)
    return f"{words} {unit}{'' if words == '1' else 's'}"


class Reason(StrEnum):
    """Why an agent has no share, a part, or all of a good."""

    CERTAIN = "certain"
    PART = "by lottery"
    DEAR = "too dear"
    FULL = "quota full"
    WORTHLESS = "no points"
    CLOSED = "no seats"


@dataclass(frozen=True)
class Line:
    """One acceptable good of one agent.

    Parameters
    ----------
    good : str
        The good.
    value : float
        Her utility per copy.
    price : float
        Money per copy.
    left : float
        What the copy leaves after its price: value less price times α.
    share : float
        Expected copies.
    reason : Reason
        Why that much.
    quota : str
        The full quota, where that is the reason.
    """

    good: str
    value: float
    price: float
    left: float
    share: float
    reason: Reason
    quota: str = ""


@dataclass(frozen=True)
class Explanation:
    """Why one agent got what she got.

    Parameters
    ----------
    agent : str
        Who.
    budget, cost : float
        Money she had, and the expected price of her lottery.
    utility, best : float
        Expected utility of her lottery, and of the best lottery she could have afforded.
    money_value : float
        α: utility of another unit of money; 0 where satiated.
    lines : tuple of Line
        Her acceptable goods, those that leave most first.
    drawn : tuple of (str, int) or None
        Copies that the draw gave her; None before the draw.
    """

    agent: str
    budget: float
    cost: float
    utility: float
    best: float
    money_value: float
    lines: tuple[Line, ...]
    drawn: tuple[tuple[str, int], ...] | None

    def sentences(self) -> list[str]:
        """Return the explanation in plain words, one paragraph an entry."""
        had = (
            f"{self.agent}: you had {counted(self.budget, 'unit')} of money. It only counts here and is "
            "worth nothing outside. You could spend it on any goods you accept, within your quotas. You can "
            "also buy a part of a copy: half a copy is one chance in two of getting it."
        )
        if not self.lines:
            nothing = "You accept none of the goods, so there was nothing to buy, and you get nothing."
            return [had, nothing, _CHECK]
        got = (
            f"What you bought costs {counted(self.cost, 'unit')} of money on average and is worth "
            f"{counted(self.utility, 'point')} to you. Nothing that you could afford at these prices is "
            f"worth more than {counted(self.best, 'point')}."
        )
        if not any(line.share > 0 for line in self.lines):
            got = "You bought nothing and get nothing: the last column says why, good by good."
        if self.money_value == 0:
            rule = "Your money was enough for the best you may have, and you pay the least it can cost."
        else:
            worth = counted(self.money_value, "point")
            rule = (
                f"One more unit of money would have brought you {worth}. So take a good's points, and take "
                f"off {worth} for every unit of money that it costs: the more is left, the better the deal "
                "for you. You get the best deals, as far as your quotas allow. Where two are equally good, "
                "you may get a part of each."
            )
        paragraphs = [had, got, rule]
        if self.drawn is not None:
            names = [good if copies == 1 else f"{copies} copies of {good}" for good, copies in self.drawn]
            paragraphs.append(
                f"The draw gave you {', '.join(names)}." if names else "The draw gave you nothing this time."
            )
        paragraphs.append(_CHECK)
        return paragraphs

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as plain data."""
        return {
            "agent": self.agent,
            "budget": self.budget,
            "cost": self.cost,
            "utility": self.utility,
            "best": self.best,
            "money_value": self.money_value,
            "satiated": self.money_value == 0,
            "goods": [
                {
                    "good": line.good,
                    "value": line.value,
                    "price": line.price,
                    "left": line.left,
                    "share": line.share,
                    "reason": line.reason.value,
                    "quota": line.quota or None,
                }
                for line in self.lines
            ],
            "drawn": None if self.drawn is None else dict(self.drawn),
            "text": self.sentences(),
        }


def demand_at(market: PseudoMarket, prices: FloatArray) -> Demand:
    """Compute what everybody can get at prices, whether or not her quotas cross."""
    return best_lotteries(market, prices) if market.crossings else best_affordable(market, prices)


def explain_agent(
    market: PseudoMarket,
    prices: FloatArray,
    shares: RandomAllocation,
    agent: str,
    *,
    assignment: Mapping[str, int] | None = None,
    demand: Demand | None = None,
) -> Explanation:
    """Explain one agent's lottery, and her draw if there was one.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    prices : FloatArray, shape (n_goods,)
        Money per copy.
    shares : RandomAllocation
        Expected copies.
    agent : str
        Her id.
    assignment : mapping of str to int, optional
        Copies by good that the draw gave her.
    demand : Demand, optional
        What everybody can get at these prices, where it is at hand: it is the same for all agents.

    Raises
    ------
    InvalidProblemError
        If there is no such agent.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from fairlot.model.constraints import Quota
    >>> market = PseudoMarket.from_arrays(
    ...     [[100, 20, 0], [100, 20, 0], [100, 80, 0]], 1, quotas=[Quota("one", max=1)]
    ... )
    >>> shares = sp.csr_array([[0.5, 0, 0.5], [0.5, 0, 0.5], [0, 1.0, 0]])
    >>> shares = RandomAllocation(market.agents, market.goods, shares)
    >>> why = explain_agent(market, np.array([2.0, 1.0, 0.0]), shares, "agent1")
    >>> [(line.good, line.reason.value) for line in why.lines]
    [('good1', 'by lottery'), ('good3', 'by lottery'), ('good2', 'too dear')]
    >>> why.money_value, why.utility
    (50.0, 50.0)
    """
    if agent not in market.agents:
        raise InvalidProblemError([Issue("unknown agent", found=agent, expected="an id of agents.csv")])
    i = market.agents.index(agent)
    mine = np.arange(market.values.indptr[i], market.values.indptr[i + 1])
    goods = market.pair_good[mine]
    given = _row(shares, i, market.n_goods)
    copies = np.zeros(market.values.nnz)
    copies[mine] = given[goods]
    crossing = bool(market.crossings)
    if demand is None:
        demand = demand_at(market, prices)
    alpha = float(demand.money_value[i])
    left = market.base_values[mine] - alpha * prices[goods]
    full = _full_rows(market, i, copies) if crossing else _full_quotas(market, mine, copies)
    lines = [
        _line(market, prices, int(pair), float(rest), float(copies[pair]), alpha, full.get(int(pair), ""))
        for pair, rest in zip(mine, left, strict=True)
    ]
    lines.sort(key=lambda line: (-round(line.left, 9), -line.share, line.good))
    return Explanation(
        agent=agent,
        budget=float(market.budgets[i]),
        cost=float(copies[mine] @ prices[goods]),
        utility=float(utilities(market, copies)[i]),
        best=float(demand.value[i]),
        money_value=alpha,
        lines=tuple(lines),
        drawn=None if assignment is None else tuple(sorted(assignment.items())),
    )


def _line(
    market: PseudoMarket,
    prices: FloatArray,
    pair: int,
    left: float,
    share: float,
    alpha: float,
    full: str,
) -> Line:
    good, value = int(market.pair_good[pair]), float(market.values.data[pair])
    quota = ""
    if share >= market.per_agent[good] - _CLOSE:
        reason = Reason.CERTAIN
    elif share > 0:
        reason = Reason.PART
    elif market.capacities[good] == 0:
        reason = Reason.CLOSED
    elif left > _CLOSE * max(value, 1e-300):
        reason, quota = Reason.FULL, full
    elif alpha * prices[good] > 0:
        reason = Reason.DEAR
    else:
        reason = Reason.WORTHLESS if value == 0 else Reason.FULL
        quota = "" if value == 0 else full
    return Line(market.goods[good], value, float(prices[good]), left, share, reason, quota)


def _full_quotas(market: PseudoMarket, mine: IntArray, copies: FloatArray) -> dict[int, str]:
    """Name, by pair, the innermost quota that is used up, or taper that has begun."""
    families = market.families
    full = families.totals(copies) >= families.upper - _CLOSE
    found = {}
    for pair in mine.tolist():
        node = int(families.leaf[pair])
        while node >= 0 and not full[node]:
            node = int(families.parent[node])
        if node >= 0:
            found[pair] = market.bound_sets[families.source[node]].label
    return found


def _full_rows(market: PseudoMarket, agent: int, copies: FloatArray) -> dict[int, str]:
    """Name, by pair, the narrowest row that is used up, where rows cross."""
    rows = market.rows
    found: dict[int, str] = {}
    spans = [rows.member_start[r : r + 2].tolist() for r in range(rows.start[agent], rows.start[agent + 1])]
    numbered = sorted(enumerate(spans, start=int(rows.start[agent])), key=lambda one: one[1][1] - one[1][0])
    for row, (first, last) in numbered:
        members = rows.member[first:last]
        if copies[members].sum() < rows.upper[row] - _CLOSE:
            continue
        if rows.source[row] == CLIQUE:
            held = [f"'{market.goods[market.pair_good[k]]}'" for k in members.tolist() if copies[k] > 0]
            label = f"excluded by {', '.join(held)}"
        else:
            label = market.bound_sets[rows.source[row]].label
        for pair in members.tolist():
            found.setdefault(pair, label)
    return found


def _row(shares: RandomAllocation, i: int, n_goods: int) -> FloatArray:
    dense = np.zeros(n_goods)
    span = slice(shares.matrix.indptr[i], shares.matrix.indptr[i + 1])
    dense[shares.matrix.indices[span]] = shares.matrix.data[span]
    return dense
