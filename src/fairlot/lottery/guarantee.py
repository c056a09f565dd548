r"""Realised utilities near expected ones: sets of an agent's best goods.

Take a smallest set of an agent, within which her utility is linear, and order by value the goods of it that
she gets with a probability strictly between 0 and 1: :math:`v_1 \ge \dots \ge v_k`. Make the prefixes
:math:`P_j = \{1, \dots, j\}` sets of the bihierarchy. Every realised number of copies :math:`N_j` from a
prefix is then less than 1 from its expectation, and by summation by parts

.. math::

    u - E u = \sum_{j < k} (v_j - v_{j+1}) (N_j - E N_j) + v_k (N_k - E N_k),

so that u is within :math:`v_1 - v_k` of its expectation if :math:`E N_k` is an integer, and within
:math:`v_1 - v_k + |v_k|` otherwise. The bounds of her smallest sets add up. Prefixes that end between
goods of equal value are left out.

Tapers are sets of the lottery, so that their realised totals stay on one linear piece: they shift the
values of all goods in a smallest set by the same amount.

References
----------
Budish, Che, Kojima, Milgrom (2013), "Designing Random Allocation Mechanisms", AER 103(2), the section on
the utility guarantee.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fairlot.lottery.cells import ascending, pair_positions
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.lotteries import UNDECLARED, CellSets, Lottery
from fairlot.model.market import PseudoMarket

_BEST = "best "  # how names of the added sets begin


@dataclass(frozen=True, eq=False)
class UtilityGuarantee:
    """How far a realised utility can be from the expected one, and what it takes to promise that.

    Parameters
    ----------
    agents : tuple of str
        As in the lottery.
    bound : FloatArray, shape (n_agents,)
        No realisation of the lottery has a utility further than this from the expected one.
    promised : FloatArray, shape (n_agents,)
        The bound that chains of best goods give: the largest gap in value between her goods in a smallest
        set, plus the least of their values if their number may vary, summed over her smallest sets.
    revealed : BoolArray, shape (n_agents,)
        Whether sets of the lottery show how she ranks goods that she gets by chance.
    """

    agents: tuple[str, ...]
    bound: FloatArray
    promised: FloatArray
    revealed: BoolArray

    @property
    def covered(self) -> BoolArray:
        """Whether the lottery keeps the promise to each agent, shape (n_agents,)."""
        return self.bound <= self.promised * (1 + 1e-12)


def with_utility_chains(market: PseudoMarket, lottery: Lottery) -> Lottery:
    """Add, within every smallest agent-side set, the sets of her best goods among those left to chance.

    Parameters
    ----------
    market : PseudoMarket
        Whose values rank the goods.
    lottery : Lottery
        A lottery over the market's shares, without chains yet.
    """
    sets = lottery.agent_sets
    values = _values(market, lottery)
    leaf = sets.leaf.copy()
    has_inner = np.zeros(sets.n_sets, dtype=bool)
    has_inner[sets.parent[sets.parent >= 0]] = True
    parent: list[int] = []
    names: list[str] = []
    for cells in _groups(lottery, sets.leaf):
        cells = cells[np.lexsort((lottery.cell_good[cells], -values[cells]))]
        home = int(sets.leaf[cells[0]])
        ends = np.flatnonzero(np.diff(values[cells])) + 1
        if has_inner[home]:  # her other sets count towards the same total
            ends = np.append(ends, len(cells))
        above = home
        for end in ends[ends >= 2][::-1]:
            parent.append(above)
            names.append(f"{_BEST}{end} in {sets.names[home]}")
            above = sets.n_sets + len(parent) - 1
            leaf[cells[:end]] = above
    free = np.full(len(parent), UNDECLARED)
    chained = CellSets(
        np.concatenate([sets.parent, np.array(parent, dtype=np.int64)]),
        np.concatenate([sets.lower, free]),
        np.concatenate([sets.upper, free]),
        sets.names + tuple(names),
        leaf,
    )
    return replace(lottery, agent_sets=chained)


def utility_guarantee(market: PseudoMarket, lottery: Lottery) -> UtilityGuarantee:
    r"""Bound how far each agent's realised utility can be from the expected one.

    For any reference values :math:`\mu_S`, with :math:`\delta` for a realised less an expected number,

    .. math:: u - E u = \sum_c (v_c - \mu_{S(c)}) \delta_c + \sum_S (\mu_S - \mu_{\text{parent}}) \delta_S,

    and :math:`|\delta| < 1`, or 0 where the expectation is an integer. The bound is the least over all
    references: each is a median of what it meets, found from the innermost sets outwards.

    Parameters
    ----------
    market : PseudoMarket
        Whose values count.
    lottery : Lottery
        Any lottery over the market's shares.
    """
    sets, d = lottery.agent_sets, lottery.denominator
    values = _values(market, lottery)
    totals = sets.totals(lottery.whole, lottery.fraction, d)
    owner = np.full(sets.n_sets + 1, -1, dtype=np.int64)
    owner[sets.leaf] = lottery.cell_agent
    # What a reference meets: intervals of values, whose distance from it counts.
    met: list[list[tuple[float, float]]] = [[] for _ in range(sets.n_sets)]
    for cell in np.flatnonzero(lottery.fraction):
        met[sets.leaf[cell]].append((float(values[cell]), float(values[cell])))
    bound = np.zeros(len(lottery.agents))
    revealed = np.zeros(len(lottery.agents), dtype=bool)
    for s in range(sets.n_sets - 1, -1, -1):
        agent, above = owner[s], sets.parent[s]
        owner[above] = agent
        revealed[agent] |= sets.names[s].startswith(_BEST)
        if not met[s]:
            continue
        ends = sorted(end for interval in met[s] for end in interval)
        low, high = ends[len(met[s]) - 1], ends[len(met[s])]
        bound[agent] += sum(max(left - low, low - right, 0.0) for left, right in met[s])
        if totals[s] % d == 0:
            continue
        if above >= 0:
            met[above].append((low, high))
        else:
            bound[agent] += max(low, -high, 0.0)
    return UtilityGuarantee(lottery.agents, bound, _promised(market, lottery, values), revealed)


def _promised(market: PseudoMarket, lottery: Lottery, values: FloatArray) -> FloatArray:
    promised = np.zeros(len(lottery.agents))
    pair = _pairs(market, lottery)
    node = market.families.leaf[pair]
    # Goods outside all of her sets form a group of their own, by her row.
    smallest = np.where(node >= 0, node, market.families.n_nodes + lottery.cell_agent)
    for cells in _groups(lottery, smallest):
        worth = values[cells]
        gap = worth.max() - worth.min()
        if sum(lottery.fraction[cells].tolist()) % lottery.denominator:
            gap += abs(worth.min())
        promised[lottery.cell_agent[cells[0]]] += gap
    return promised


def _groups(lottery: Lottery, label: IntArray) -> list[IntArray]:
    """Group the cells left to chance by label."""
    free = np.flatnonzero(lottery.fraction)
    free = free[np.argsort(label[free], kind="stable")]
    cuts = np.flatnonzero(np.diff(label[free])) + 1
    return [group for group in np.split(free, cuts) if len(group)]


def _pairs(market: PseudoMarket, lottery: Lottery) -> IntArray:
    agent, good = np.array(ascending(market.agents)), np.array(ascending(market.goods))
    return pair_positions(market, agent[lottery.cell_agent], good[lottery.cell_good])


def _values(market: PseudoMarket, lottery: Lottery) -> FloatArray:
    """Return each cell's marginal utility on the linear piece where her totals stay."""
    families, pair = market.families, _pairs(market, lottery)
    copies = np.zeros(market.values.nnz)
    copies[pair] = lottery.whole + lottery.fraction / lottery.denominator
    # At a breakpoint itself the total does not vary, and either slope is right.
    bent = np.isfinite(families.penalty) & (families.totals(copies) >= families.upper)
    loss = np.where(bent, families.penalty, 0.0)
    values: FloatArray = np.array(market.base_values)
    for nodes in families.chains().T:
        inside = nodes >= 0
        values[inside] -= loss[nodes[inside]]
    return values[pair]
