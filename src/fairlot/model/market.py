r"""The pseudo-market: agents with fiat money, goods with capacities, and what each agent may hold.

The structured class of monotone M♮-concave utilities that scales: with quotas :math:`(A_k, l_k, h_k)`
and tapers :math:`g_S` on one laminar family per agent,

.. math:: u_i(A) = \max_{B \subseteq A \text{ feasible}} \sum_{j \in B} v_{ij} + \sum_S g_S(|B \cap S|),

:math:`-\infty` where no feasible B exists. Its concave closure is a linear program over an integral
polytope :math:`P_i`, so that an agent's mean consumption :math:`x_i \in P_i` is all one needs to know.
Aggregate limits bound the copies all agents together get from a laminar family of sets of goods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.conflicts import Conflict, resolve_conflicts
from fairlot.model.constraints import BoundSet, Limit, Quota, Resolver, Taper
from fairlot.model.families import build_families, crossing_issues
from fairlot.model.frames import read_wide_frame
from fairlot.model.hierarchy import Families, FloatArray, Forest, IntArray, laminar_forest
from fairlot.model.ids import id_issues
from fairlot.model.rows import Rows, build_rows


@dataclass(frozen=True, eq=False)
class PseudoMarket:
    """Agents, goods, values and constraints of a pseudo-market.

    Parameters
    ----------
    agents, goods : tuple of str
        Ids, unique.
    capacities : IntArray, shape (n_goods,)
        Identical copies of each good.
    budgets : FloatArray, shape (n_agents,)
        Fiat money, positive.
    values : scipy.sparse.csr_array, shape (n_agents, n_goods)
        Utility per copy, at least 0. A stored entry, 0 included, is an acceptable pair; any other
        pair is unacceptable.
    per_agent : IntArray, shape (n_goods,)
        Copies of a good that one agent may hold, of linear value.
    quotas, tapers, limits : tuple of Quota, Taper, Limit
        Constraints by ids.
    title : str
        For people.
    conflicts : tuple of Conflict
        Pairs of goods that nobody can hold together, by ids.
    bound_sets : tuple of BoundSet
        Quotas, then tapers, in positions.
    limit_sets : tuple of (IntArray, int)
        Members and bound of each limit, in positions.
    conflict_pairs : IntArray, shape (n, 2)
        All conflicts in positions, each pair once, the smaller first.

    Raises
    ------
    InvalidProblemError
        Listing every fault found. Crossing quotas are none: ``crossings`` tells them.

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[10, 8], [10, 2], [10, 2]], capacities=[1, 1])
    >>> market.n_agents, market.n_goods, market.goods
    (3, 2, ('good1', 'good2'))
    """

    agents: tuple[str, ...]
    goods: tuple[str, ...]
    capacities: IntArray
    budgets: FloatArray
    values: sp.csr_array
    per_agent: IntArray
    quotas: tuple[Quota, ...] = ()
    tapers: tuple[Taper, ...] = ()
    limits: tuple[Limit, ...] = ()
    title: str = ""
    conflicts: tuple[Conflict, ...] = ()
    bound_sets: tuple[BoundSet, ...] = field(init=False)
    limit_sets: tuple[tuple[IntArray, int], ...] = field(init=False)
    conflict_pairs: IntArray = field(init=False)

    def __post_init__(self) -> None:
        issues = id_issues("agent", self.agents) + id_issues("good", self.goods)
        n, n_goods = len(self.agents), len(self.goods)
        set_ = object.__setattr__
        set_(self, "capacities", _counts("capacity", self.capacities, self.goods, 0, issues))
        set_(self, "per_agent", _counts("per_agent", self.per_agent, self.goods, 1, issues))
        set_(self, "budgets", _budgets(self.budgets, self.agents, issues))
        values = sp.csr_array(self.values, dtype=np.float64, copy=True)
        if values.shape != (n, n_goods):
            issues.append(Issue("values", found=f"shape {values.shape}", expected=f"shape {(n, n_goods)}"))
        else:
            values.sort_indices()
            rows = np.repeat(np.arange(n), np.diff(values.indptr))
            for k in np.flatnonzero(~(np.isfinite(values.data) & (values.data >= 0))):
                pair = f"agent '{self.agents[rows[k]]}', good '{self.goods[values.indices[k]]}'"
                found = str(values.data[k])
                issues.append(
                    Issue(f"value of {pair}", found=found, expected="a finite number of at least 0")
                )
            twice = (np.diff(rows) == 0) & (np.diff(values.indices) == 0)
            for k in np.flatnonzero(twice):
                pair = f"agent '{self.agents[rows[k]]}', good '{self.goods[values.indices[k]]}'"
                issues.append(Issue(f"value of {pair}: stored twice", expected="one value per pair"))
        for part in (values.data, values.indices, values.indptr):
            part.flags.writeable = False
        set_(self, "values", values)
        resolver = Resolver(self.agents, self.goods)
        bound_sets = [resolver.quota(q) for q in self.quotas] + [resolver.taper(t) for t in self.tapers]
        set_(self, "bound_sets", tuple(bound_sets))
        resolved = [resolver.limit(limit) for limit in self.limits]
        issues += resolver.issues
        forest = laminar_forest([goods for goods, _ in resolved], n_goods)
        if not isinstance(forest, Forest):
            issues += crossing_issues(forest, [limit.label for limit in self.limits], self.goods)
        set_(self, "limit_sets", tuple(resolved))
        set_(self, "conflict_pairs", resolve_conflicts(self.conflicts, self.goods, self.per_agent, issues))
        if issues:
            raise InvalidProblemError(issues)

    @classmethod
    def from_arrays(
        cls,
        values: Any,
        capacities: npt.ArrayLike,
        budgets: npt.ArrayLike = 1.0,
        *,
        agents: Sequence[str] | None = None,
        goods: Sequence[str] | None = None,
        per_agent: npt.ArrayLike = 1,
        quotas: Sequence[Quota] = (),
        tapers: Sequence[Taper] = (),
        limits: Sequence[Limit] = (),
        conflicts: Sequence[Conflict] = (),
        title: str = "",
    ) -> PseudoMarket:
        """Make a market from arrays or a data frame.

        Parameters
        ----------
        values : array, scipy sparse matrix or data frame
            Shape (n_agents, n_goods). In an array NaN is an unacceptable pair; in a sparse matrix an
            unstored one. A pandas or polars frame is wide: one column ``agent``, then a column per
            good, missing cells unacceptable.
        capacities, per_agent : array_like
            Per good, or one number for all.
        budgets : array_like
            Per agent, or one number for all.
        agents, goods : sequence of str, optional
            Ids; default ``agent1, agent2, ...`` and ``good1, good2, ...``, or the frame's.
        quotas, tapers, limits, conflicts : sequences
            Constraints by ids. Without quotas an agent may hold everything she accepts.
        title : str
            For people.
        """
        if hasattr(values, "columns"):
            values, agents, goods = read_wide_frame("values", values)
        if sp.issparse(values):
            matrix = sp.csr_array(values)
        else:
            dense = np.atleast_2d(np.asarray(values, dtype=np.float64))
            rows, columns = np.nonzero(~np.isnan(dense))
            matrix = sp.csr_array((dense[rows, columns], (rows, columns)), shape=dense.shape)
        n, n_goods = matrix.shape
        return cls(
            agents=tuple(f"agent{i + 1}" for i in range(n)) if agents is None else tuple(map(str, agents)),
            goods=tuple(f"good{j + 1}" for j in range(n_goods)) if goods is None else tuple(map(str, goods)),
            capacities=_spread(capacities, n_goods),
            budgets=_spread(budgets, n),
            values=matrix,
            per_agent=_spread(per_agent, n_goods),
            quotas=tuple(quotas),
            tapers=tuple(tapers),
            limits=tuple(limits),
            conflicts=tuple(conflicts),
            title=title,
        )

    @property
    def n_agents(self) -> int:
        """Number of agents."""
        return len(self.agents)

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return len(self.goods)

    @cached_property
    def pair_agent(self) -> IntArray:
        """Agent of each acceptable pair, shape (n_pairs,); pairs are in the order of ``values.data``."""
        return np.repeat(np.arange(self.n_agents), np.diff(self.values.indptr)).astype(np.int64)

    @cached_property
    def pair_good(self) -> IntArray:
        """Good of each acceptable pair, shape (n_pairs,)."""
        return np.asarray(self.values.indices, dtype=np.int64)

    @cached_property
    def base_values(self) -> FloatArray:
        """Value of each pair plus the first marginal of every taper that holds it, shape (n_pairs,)."""
        base = np.array(self.values.data)
        for taper in self.bound_sets:
            if len(taper.marginals) and taper.marginals[0] != 0:
                inside = np.isin(self.pair_good, taper.goods)
                if taper.agents is not None:
                    inside &= np.isin(self.pair_agent, taper.agents)
                base[inside] += taper.marginals[0]
        return base

    @cached_property
    def families(self) -> Families:
        """Each agent's laminar tree of bounds over her acceptable goods.

        Raises
        ------
        InvalidProblemError
            Naming the crossing sets, if some agent's quotas and tapers are not laminar, or conflicts.
        """
        if len(self.conflict_pairs):
            one, other = (self.goods[j] for j in self.conflict_pairs[0])
            pairs = (
                f"{len(self.conflict_pairs)} pairs of goods exclude each other, '{one}' and '{other}' first"
            )
            raise InvalidProblemError([Issue(pairs, expected="quotas that are nested or disjoint")])
        return build_families(
            self.bound_sets, self.values, self.per_agent, self.goods, np.ones(self.values.nnz, bool)
        )

    @cached_property
    def crossings(self) -> tuple[Issue, ...]:
        """Say what keeps agents' bounds from being trees: conflicts and crossing sets; empty if nothing."""
        try:
            _ = self.families
        except InvalidProblemError as error:
            return error.issues
        return ()

    @cached_property
    def rows(self) -> Rows:
        """Each agent's bounds as plain rows, for markets in which sets cross or goods conflict."""
        return build_rows(self.bound_sets, self.conflict_pairs, self.values, self.per_agent)

    @cached_property
    def supply_sets(self) -> tuple[sp.csr_array, FloatArray]:
        """Rows that are priced: a capacity per good, then the limits.

        Returns
        -------
        membership : scipy.sparse.csr_array, shape (n_goods + n_limits, n_goods)
            1 where the row counts the good.
        bounds : FloatArray, shape (n_goods + n_limits,)
            Copies available.
        """
        rows = [np.arange(self.n_goods)] + [
            np.full(len(goods), self.n_goods + k) for k, (goods, _) in enumerate(self.limit_sets)
        ]
        columns = [np.arange(self.n_goods)] + [goods for goods, _ in self.limit_sets]
        row, column = np.concatenate(rows), np.concatenate(columns)
        shape = (self.n_goods + len(self.limit_sets), self.n_goods)
        membership = sp.csr_array((np.ones(len(row)), (row, column)), shape=shape)
        bounds = np.concatenate([self.capacities, [bound for _, bound in self.limit_sets]])
        return membership, bounds.astype(np.float64)


def utilities(market: PseudoMarket, copies: FloatArray) -> FloatArray:
    r"""Evaluate the expected utility :math:`\bar u_i(x_i)` of expected copies of each acceptable pair.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    copies : FloatArray, shape (n_pairs,)
        Expected copies, within the agents' bounds (not checked).

    Returns
    -------
    FloatArray, shape (n_agents,)
    """
    total = np.bincount(market.pair_agent, market.base_values * copies, minlength=market.n_agents)
    bends = market.rows if market.crossings else market.families
    taken = bends.membership(len(copies)) @ copies if isinstance(bends, Rows) else bends.totals(copies)
    soft = np.isfinite(bends.penalty)
    excess = np.maximum(taken - bends.upper, 0)[soft]
    loss = np.bincount(bends.agent[soft], bends.penalty[soft] * excess, minlength=market.n_agents)
    return np.asarray(total - loss, dtype=np.float64)


def _spread(numbers: npt.ArrayLike, size: int) -> npt.NDArray[Any]:
    array = np.asarray(numbers)
    return np.broadcast_to(array, (size,)) if array.ndim == 0 else array


def _counts(name: str, numbers: Any, goods: Sequence[str], least: int, issues: list[Issue]) -> IntArray:
    array = np.asarray(numbers, dtype=np.float64)
    if array.shape != (len(goods),):
        issues.append(
            Issue(name, found=f"shape {array.shape}", expected=f"one number per good ({len(goods)})")
        )
        return np.full(len(goods), least, dtype=np.int64)
    good = np.isfinite(array) & (array >= least) & (array == np.floor(array)) & (array < 2**31)
    for j in np.flatnonzero(~good).tolist():
        expected = f"an integer of at least {least}"
        issues.append(Issue(f"{name} of good '{goods[j]}'", found=f"{array[j]:g}", expected=expected))
    counts = np.where(good, array, least).astype(np.int64)
    counts.flags.writeable = False
    return counts


def _budgets(numbers: Any, agents: Sequence[str], issues: list[Issue]) -> FloatArray:
    array = np.array(numbers, dtype=np.float64)
    if array.shape != (len(agents),):
        expected = f"one number per agent ({len(agents)})"
        issues.append(Issue("budgets", found=f"shape {array.shape}", expected=expected))
        return np.ones(len(agents))
    for i in np.flatnonzero(~(np.isfinite(array) & (array > 0))).tolist():
        expected = "a finite number above 0"
        issues.append(Issue(f"budget of agent '{agents[i]}'", found=f"{array[i]:g}", expected=expected))
    array.flags.writeable = False
    return array
