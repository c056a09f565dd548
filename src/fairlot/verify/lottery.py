r"""Whether a lottery keeps its promises in every realisation, and whether what came of it does.

A lottery's realisations round every cell, every set of its two families and the grand total down or up
(Budish, Che, Kojima, Milgrom, AER 2013, Theorem 1). What follows from that for any other set is bounded by
the sets and cells that make it up: at most the sum of their ceilings, at least the sum of their floors.
Everything here is recomputed from the numerators in whole numbers; residuals are in copies unless said
otherwise, and 0 is exact.

Of a lottery, against the shares it was made of (:func:`verify_lottery`):

====================  ===================================================================================
``agents and goods``  ids of lottery and shares are the same: how many are not
``expectations``      largest difference between published and given expected copies
``declared bounds``   bounds stated in the lottery hold in every realisation
``acceptable pairs``  *(these and the following for a market)* expected copies of an unacceptable pair
``copies per agent``  no agent can get more copies of a good than she may hold
``quotas``            no realised bundle breaks a quota
``tapers``            no realised number bends a taper: expected utility is that of the shares
``capacities``        no realisation hands out more copies than there are
``limits``            no realisation exceeds a limit
====================  ===================================================================================

Of an assignment (:func:`verify_assignment`): ``agents and goods``; ``cells``, ``agent sets``, ``good sets``
and the ``grand total`` are the floor or the ceiling of their expectations.

Of a decomposition (:func:`verify_decomposition`): ``weights`` are positive and add up to the denominator;
their ``order`` is non-increasing; the ``length`` is at most one more than there are cells left to chance;
the ``expectations`` are those of the lottery, in numerators; and every term is rounded as an assignment is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from fairlot.certificate import Certificate, Check
from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.constraints import BoundSet
from fairlot.model.hierarchy import UNBOUNDED, BoolArray, IntArray
from fairlot.model.lotteries import UNDECLARED, Assignment, CellSets, Decomposition, Lottery
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation

REQUIRED = ("agents and goods", "expectations", "declared bounds")
"""Names of the checks that make a lottery."""
REQUIRED_OF_MARKET = (
    *REQUIRED,
    "acceptable pairs",
    "copies per agent",
    "quotas",
    "tapers",
    "capacities",
    "limits",
)
"""Names of the checks that make a lottery of a market."""
REQUIRED_OF_ASSIGNMENT = ("agents and goods", "cells", "agent sets", "good sets", "grand total")
"""Names of the checks that make a realisation of a lottery."""
REQUIRED_OF_DECOMPOSITION = (
    "weights",
    "order",
    "length",
    "expectations",
    "cells",
    "agent sets",
    "good sets",
    "grand total",
)
"""Names of the checks that make a lottery written out."""


def verify_lottery(
    lottery: Lottery, shares: RandomAllocation, *, market: PseudoMarket | None = None, tol: float = 1e-9
) -> Certificate:
    """Check a lottery against the shares it was made of and, if given, its market.

    Parameters
    ----------
    lottery : Lottery
        As published.
    shares : RandomAllocation
        Expected copies, agents and goods in any order.
    market : PseudoMarket, optional
        Whose constraints every realisation must respect.
    tol : float
        Largest difference in expected copies that passes; all other checks are exact.

    Raises
    ------
    InvalidProblemError
        If the lottery is drawn by terms: :func:`~fairlot.verify.timetable.verify_terms` checks these.
    """
    if lottery.drawn_by == "terms":
        raise InvalidProblemError([Issue("lottery", found="drawn by terms", expected="drawn by a walk")])
    checks = [
        _same_ids(lottery, shares.agents, shares.goods),
        _expectations(lottery, shares, tol),
        _declared_bounds(lottery),
    ]
    if market is None:
        return Certificate(REQUIRED, tuple(checks))
    checks += _MarketView(market, lottery).checks()
    return Certificate(REQUIRED_OF_MARKET, tuple(checks))


def verify_assignment(lottery: Lottery, assignment: Assignment) -> Certificate:
    """Check that an assignment is a realisation of the lottery.

    Parameters
    ----------
    lottery : Lottery
        What it was drawn from.
    assignment : Assignment
        What was drawn; agents and goods in any order.
    """
    ids = _same_ids(lottery, assignment.agents, assignment.goods)
    drawn = _aligned(assignment.matrix, assignment.agents, assignment.goods, lottery).tocoo()
    n_goods = len(lottery.goods)
    cells = lottery.cell_agent * n_goods + lottery.cell_good
    place = np.searchsorted(cells, drawn.row * n_goods + drawn.col)
    known = np.append(cells, -1)[place] == drawn.row * n_goods + drawn.col
    copies = np.zeros(lottery.n_cells, dtype=np.int64)
    copies[place[known]] = drawn.data[known]
    checks = _rounded(lottery, [copies])
    elsewhere = np.where(known, 0, drawn.data)
    if elsewhere.any():
        k = int(np.argmax(elsewhere))
        residual = max(checks[0].residual, float(elsewhere[k]))
        witness = f"{_pair(lottery, int(drawn.row[k]), int(drawn.col[k]))} is no cell of the lottery"
        checks[0] = Check("cells", residual, 0.0, witness)
    return Certificate(REQUIRED_OF_ASSIGNMENT, (ids, *checks))


def verify_decomposition(lottery: Lottery, terms: Decomposition) -> Certificate:
    """Check that weighted assignments are the lottery, exactly.

    Parameters
    ----------
    lottery : Lottery
        What was decomposed.
    terms : Decomposition
        Its terms.
    """
    weights = terms.weights.tolist()
    total, least = sum(weights), min(weights, default=0)
    unfit = "the least weight" if least < 1 else "the sum of weights"
    rises = np.diff(terms.weights.astype(np.float64))
    longest = int((lottery.fraction > 0).sum()) + 1
    published = np.zeros(lottery.n_cells, dtype=object)
    for term, weight in enumerate(weights):
        published += terms.copies(term).astype(object) * weight
    off = np.abs(published - np.array(lottery.numerators, dtype=object))
    worst = int(np.argmax(off)) if len(off) else -1
    return Certificate(
        REQUIRED_OF_DECOMPOSITION,
        (
            _check("weights", float(max(abs(total - lottery.denominator), 1 - least, 0)), unfit),
            _check("order", float(rises.max(initial=0.0)), "weights rise after"),
            _check("length", float(max(terms.n_terms - longest, 0)), f"{terms.n_terms} terms"),
            _check("expectations", float(off[worst]) if len(off) else 0.0, _cell(lottery, worst)),
            *_rounded(lottery, (terms.copies(term) for term in range(terms.n_terms))),
        ),
    )


def _check(name: str, residual: float, witness: str, tolerance: float = 0.0) -> Check:
    return Check(name, residual, tolerance, "" if residual <= tolerance else witness)


def _pair(lottery: Lottery, agent: int, good: int) -> str:
    return f"agent '{lottery.agents[agent]}', good '{lottery.goods[good]}'"


def _cell(lottery: Lottery, cell: int) -> str:
    return _pair(lottery, int(lottery.cell_agent[cell]), int(lottery.cell_good[cell])) if cell >= 0 else ""


def _same_ids(lottery: Lottery, agents: tuple[str, ...], goods: tuple[str, ...]) -> Check:
    odd = sorted({*agents} ^ {*lottery.agents}) + sorted({*goods} ^ {*lottery.goods})
    repeated = len(agents) - len({*agents}) + len(goods) - len({*goods})
    return _check(
        "agents and goods", float(len(odd) + repeated), ", ".join(odd[:5]) or "an id is there twice"
    )


def _aligned(
    matrix: sp.csr_array, agents: tuple[str, ...], goods: tuple[str, ...], lottery: Lottery
) -> sp.csr_array:
    """Return the matrix with rows and columns as in the lottery; ids the lottery lacks are left out."""
    agent_at = {agent: i for i, agent in enumerate(lottery.agents)}
    good_at = {good: j for j, good in enumerate(lottery.goods)}
    table = matrix.tocoo()
    row = np.array([agent_at.get(agent, -1) for agent in agents], dtype=np.int64)[table.row]
    column = np.array([good_at.get(good, -1) for good in goods], dtype=np.int64)[table.col]
    known = (row >= 0) & (column >= 0)
    shape = (len(agent_at), len(good_at))
    return sp.csr_array((table.data[known], (row[known], column[known])), shape=shape)


def _expectations(lottery: Lottery, shares: RandomAllocation, tol: float) -> Check:
    given = _aligned(shares.matrix, shares.agents, shares.goods, lottery)
    published = sp.csr_array(
        (lottery.whole + lottery.fraction / lottery.denominator, (lottery.cell_agent, lottery.cell_good)),
        shape=given.shape,
    )
    off = abs(published - given).tocoo()
    if not len(off.data):
        return Check("expectations", 0.0, tol)
    worst = int(np.argmax(off.data))  # the first NaN, if there is one
    witness = _pair(lottery, int(off.row[worst]), int(off.col[worst]))
    return Check("expectations", float(off.data[worst]), tol, "" if off.data[worst] <= 0 else witness)


@dataclass(frozen=True, eq=False)
class _Family:
    """One side of a bihierarchy with its exact expected totals; the last one is the grand total."""

    sets: CellSets
    denominator: int
    numerators: list[int]

    @cached_property
    def totals(self) -> list[int]:
        """Totals in numerators, summed one by one."""
        totals = [0] * (self.sets.n_sets + 1)
        for leaf, numerator in zip(self.sets.leaf.tolist(), self.numerators, strict=True):
            totals[leaf] += numerator
        for child, parent in reversed(list(enumerate(self.sets.parent.tolist()))):
            totals[parent] += totals[child]
        return totals

    @cached_property
    def floors(self) -> IntArray:
        """Floors of the totals."""
        return np.array([total // self.denominator for total in self.totals], dtype=np.int64)

    @cached_property
    def ceilings(self) -> IntArray:
        """Ceilings of the totals."""
        return np.array([-(-total // self.denominator) for total in self.totals], dtype=np.int64)

    @cached_property
    def generations(self) -> list[IntArray]:
        """Sets by depth below the top, deepest first."""
        depth = np.zeros(self.sets.n_sets, dtype=np.int64)
        for s, parent in enumerate(self.sets.parent.tolist()):
            depth[s] = depth[parent] + 1 if parent >= 0 else 0
        return [np.flatnonzero(depth == level) for level in range(int(depth.max(initial=-1)), -1, -1)]

    @cached_property
    def low(self) -> IntArray:
        """Floors of the cells."""
        return np.array([n // self.denominator for n in self.numerators], dtype=np.int64)

    @cached_property
    def high(self) -> IntArray:
        """Ceilings of the cells."""
        return np.array([-(-n // self.denominator) for n in self.numerators], dtype=np.int64)

    @cached_property
    def sizes(self) -> IntArray:
        """Number of cells of each set, then of all."""
        return self.sums(np.ones(len(self.numerators), dtype=np.int64))

    def sums(self, values: IntArray) -> IntArray:
        """Sum whole numbers over each set, then over all cells."""
        return self._fold(np.add, values, 0)

    def _fold(self, combine: np.ufunc, values: IntArray, start: int) -> IntArray:
        folded = np.full(self.sets.n_sets + 1, start, dtype=np.int64)
        combine.at(folded, self.sets.leaf, values)
        for level in self.generations:
            combine.at(folded, self.sets.parent[level], folded[level])
        return folded

    def reach(self, inside: BoolArray, label: IntArray, n_labels: int) -> tuple[IntArray, IntArray]:
        """Bound from below and above the realised copies of each label's cells, those inside.

        A set counts as a whole if all its cells are inside under one label; the largest such sets and the
        cells in none of them make up the label's cells.
        """
        first = self._fold(np.minimum, label, n_labels)
        last = self._fold(np.maximum, label, -1)
        full = (self.sums(inside.astype(np.int64)) == self.sizes) & (first == last)
        full[-1] = False  # what is outside all sets belongs to none
        top = np.flatnonzero(full[:-1] & ~full[self.sets.parent])
        loose = np.flatnonzero(inside & ~full[self.sets.leaf])
        least, most = (np.zeros(n_labels, dtype=np.int64) for _ in range(2))
        np.add.at(least, first[top], self.floors[top])
        np.add.at(least, label[loose], self.low[loose])
        np.add.at(most, first[top], self.ceilings[top])
        np.add.at(most, label[loose], self.high[loose])
        return least, most


def _families(lottery: Lottery) -> tuple[_Family, _Family]:
    d, numerators = lottery.denominator, lottery.numerators
    return _Family(lottery.agent_sets, d, numerators), _Family(lottery.good_sets, d, numerators)


def _declared_bounds(lottery: Lottery) -> Check:
    worst, witness = 0, ""
    for family in _families(lottery):
        sets = family.sets
        for s in range(sets.n_sets):
            over = family.ceilings[s] - sets.upper[s] if sets.upper[s] != UNDECLARED else 0
            under = sets.lower[s] - family.floors[s] if sets.lower[s] != UNDECLARED else 0
            if max(over, under) > worst:
                worst, witness = int(max(over, under)), sets.names[s]
    return Check("declared bounds", float(worst), 0.0, witness)


def _rounded(lottery: Lottery, realisations: Iterable[IntArray]) -> list[Check]:
    """Compare cells, sets and the grand total of realisations with floors and ceilings; worst of each."""
    families = _families(lottery)
    inner = families[0]
    names = ("cells", "agent sets", "good sets", "grand total")
    found: dict[str, tuple[int, str]] = dict.fromkeys(names, (0, ""))

    def look(name: str, values: IntArray, low: IntArray, high: IntArray, call: Callable[[int], str]) -> None:
        off = np.maximum(low - values, values - high)
        worst = int(np.argmax(off)) if len(off) else -1
        if worst >= 0 and off[worst] > found[name][0]:
            found[name] = (int(off[worst]), f"{call(worst)}: {values[worst]} copies")

    for copies in realisations:
        look("cells", copies, inner.low, inner.high, lambda cell: _cell(lottery, cell))
        for name, family in zip(names[1:3], families, strict=True):
            sums = family.sums(copies)
            look(name, sums[:-1], family.floors[:-1], family.ceilings[:-1], family.sets.names.__getitem__)
        look("grand total", sums[-1:], family.floors[-1:], family.ceilings[-1:], lambda _: "all cells")
    return [Check(name, float(residual), 0.0, witness) for name, (residual, witness) in found.items()]


class _MarketView:
    """The market's constraints on the cells of a lottery."""

    def __init__(self, market: PseudoMarket, lottery: Lottery) -> None:
        self._market, self._lottery = market, lottery
        self._inner, self._outer = _families(lottery)
        agent_at = {agent: i for i, agent in enumerate(market.agents)}
        good_at = {good: j for j, good in enumerate(market.goods)}
        # Ids that the market lacks get positions of their own, at which nothing is acceptable.
        for positions, ids in ((agent_at, lottery.agents), (good_at, lottery.goods)):
            for one in ids:
                positions.setdefault(one, len(positions))
        self._n_agents, self._n_goods = len(agent_at), len(good_at)
        self._agent = np.array([agent_at[a] for a in lottery.agents], dtype=np.int64)[lottery.cell_agent]
        self._good = np.array([good_at[g] for g in lottery.goods], dtype=np.int64)[lottery.cell_good]

    def checks(self) -> list[Check]:
        quotas = [bound for bound in self._market.bound_sets if not len(bound.marginals)]
        tapers = [bound for bound in self._market.bound_sets if len(bound.marginals)]
        return [
            self._acceptable(),
            self._copies(),
            self._worst("quotas", quotas, self._outside_quota),
            self._worst("tapers", tapers, self._bends),
            *self._supply(),
        ]

    def _acceptable(self) -> Check:
        market, lottery = self._market, self._lottery
        pairs = {*(market.pair_agent * self._n_goods + market.pair_good).tolist()}
        worst, witness = 0.0, ""
        for cell, pair in enumerate((self._agent * self._n_goods + self._good).tolist()):
            expected = lottery.numerators[cell] / lottery.denominator if pair not in pairs else 0.0
            if expected > worst:
                worst, witness = expected, _cell(lottery, cell)
        return Check("acceptable pairs", worst, 0.0, witness)

    def _copies(self) -> Check:
        most = self._lottery.whole + (self._lottery.fraction > 0)
        allowed = np.append(self._market.per_agent, np.zeros(self._n_goods, dtype=np.int64))[self._good]
        over = most - allowed
        worst = int(np.argmax(over)) if len(over) else -1
        residual = max(int(over[worst]), 0) if worst >= 0 else 0
        return _check("copies per agent", float(residual), _cell(self._lottery, worst))

    def _worst(
        self,
        name: str,
        bounds: list[BoundSet],
        off: Callable[[BoundSet, IntArray, IntArray], IntArray],
    ) -> Check:
        """Find the agent and the set of goods by which a constraint is furthest off."""
        worst, witness = 0, ""
        n = self._market.n_agents
        for bound in bounds:
            bound_agents = np.zeros(self._n_agents, dtype=bool)
            bound_agents[np.arange(n) if bound.agents is None else bound.agents] = True
            inside = bound_agents[self._agent] & np.isin(self._good, bound.goods)
            least, most = self._inner.reach(inside, self._agent, self._n_agents)
            residual = np.where(bound_agents[:n], off(bound, least[:n], most[:n]), 0)
            agent = int(np.argmax(residual))
            if residual[agent] > worst:
                worst, witness = (
                    int(residual[agent]),
                    f"{bound.label} of agent '{self._market.agents[agent]}'",
                )
        return Check(name, float(worst), 0.0, witness)

    @staticmethod
    def _outside_quota(quota: BoundSet, least: IntArray, most: IntArray) -> IntArray:
        excess = np.where(quota.upper < UNBOUNDED, most - quota.upper, 0)
        return np.asarray(np.maximum(quota.lower - least, excess))

    @staticmethod
    def _bends(taper: BoundSet, least: IntArray, most: IntArray) -> IntArray:
        """Count the numbers strictly between least and most at which the marginal falls."""
        falls = np.flatnonzero(np.diff(taper.marginals) < 0) + 1
        between = np.searchsorted(falls, most) - np.searchsorted(falls, least, side="right")
        return np.asarray(np.maximum(between, 0))

    def _supply(self) -> list[Check]:
        market = self._market
        everything = np.ones(len(self._good), dtype=bool)
        _, most = self._outer.reach(everything, self._good, self._n_goods)
        over = most[: market.n_goods] - market.capacities
        scarce = int(np.argmax(over))
        checks = [_check("capacities", float(max(over[scarce], 0)), f"good '{market.goods[scarce]}'")]
        worst, witness = 0, ""
        for limit, (goods, bound) in zip(market.limits, market.limit_sets, strict=True):
            none = np.zeros(len(self._good), dtype=np.int64)
            _, reached = self._outer.reach(np.isin(self._good, goods), none, 1)
            if reached[0] - bound > worst:
                worst, witness = int(reached[0] - bound), limit.label
        return [*checks, Check("limits", float(worst), 0.0, witness)]
