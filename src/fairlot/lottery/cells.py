"""What a lottery is made of, as given: expected copies of cells, and sets of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.constraints import All, Members
from fairlot.model.hierarchy import UNBOUNDED, Forest, IntArray, laminar_forest
from fairlot.model.lotteries import UNDECLARED, CellSets
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation

Cells = All | Sequence[tuple[str, str]]


@dataclass(frozen=True)
class CellSet:
    """A set of cells whose total every realisation rounds down or up, with bounds it must respect.

    Parameters
    ----------
    name : str
        How messages call it.
    agents, goods : "all" or sequence of str
        The set holds the cells of these agents and these goods,
    cells : "all" or sequence of (str, str)
        and only those of them listed here as (agent, good).
    lower, upper : int, optional
        Bounds in copies.
    """

    name: str
    agents: Members = "all"
    goods: Members = "all"
    cells: Cells = "all"
    lower: int | None = None
    upper: int | None = None


@dataclass(frozen=True, eq=False)
class Expectations:
    """Expected copies of cells as they were given, sorted by (agent, good).

    Parameters
    ----------
    agents, goods : tuple of str
        Ids in ascending order of code points.
    cell_agent, cell_good : IntArray, shape (n_cells,)
        Positions of ids.
    copies : FloatArray, or object array of Fraction, shape (n_cells,)
        Expected copies.
    """

    agents: tuple[str, ...]
    goods: tuple[str, ...]
    cell_agent: IntArray
    cell_good: IntArray
    copies: npt.NDArray[Any]

    def cell_name(self, cell: int) -> str:
        """Return how messages call a cell."""
        return f"agent '{self.agents[self.cell_agent[cell]]}', good '{self.goods[self.cell_good[cell]]}'"


def ascending(ids: Sequence[str]) -> list[int]:
    """Return the positions of ids in ascending order of code points."""
    return sorted(range(len(ids)), key=ids.__getitem__)


def pair_positions(market: PseudoMarket, agent: IntArray, good: IntArray) -> IntArray:
    """Return the positions of (agent, good) among the market's acceptable pairs; -1 where unacceptable."""
    pairs = market.pair_agent * market.n_goods + market.pair_good
    wanted = agent * market.n_goods + good
    place = np.searchsorted(pairs, wanted)
    found = np.zeros(len(wanted), dtype=bool)
    inside = place < len(pairs)
    found[inside] = pairs[place[inside]] == wanted[inside]
    return np.where(found, place, -1)


def read_shares(shares: Any, agents: Sequence[str] | None, goods: Sequence[str] | None) -> Expectations:
    """Read shares of any kind as cells in canonical order."""
    if isinstance(shares, RandomAllocation):
        agents = shares.agents if agents is None else agents
        goods = shares.goods if goods is None else goods
        shares = shares.matrix
    if sp.issparse(shares):
        table = sp.coo_array(shares, dtype=np.float64)
        table.sum_duplicates()
        rows, columns, copies = table.row, table.col, table.data
        shape = table.shape
    else:
        array = np.asarray(shares)
        array = array if array.dtype == object else array.astype(np.float64)
        if array.ndim != 2:
            raise InvalidProblemError([Issue("shares", found=f"{array.ndim} dimensions", expected="2")])
        rows, columns = np.nonzero(array)
        copies, shape = array[rows, columns], array.shape
    if copies.dtype == object and not all(hasattr(x, "denominator") for x in copies):
        expected = "all of them fractions.Fraction or int, or all of them float"
        raise InvalidProblemError([Issue("shares", found="mixed types", expected=expected)])
    issues = []
    names: list[list[str]] = []
    for noun, ids, size in (("agent", agents, shape[0]), ("good", goods, shape[1])):
        names.append([f"{noun}{k + 1}" for k in range(size)] if ids is None else list(map(str, ids)))
        if len(names[-1]) != size or len(set(names[-1])) != size:
            issues.append(
                Issue(f"{noun}s", found=f"{len(set(names[-1]))} ids", expected=f"{size} unique ids")
            )
    if issues:
        raise InvalidProblemError(issues)
    by_row, by_column = map(ascending, names)
    agent, good = np.argsort(by_row)[rows], np.argsort(by_column)[columns]
    order = np.lexsort((good, agent))
    return Expectations(
        tuple(names[0][i] for i in by_row),
        tuple(names[1][j] for j in by_column),
        agent[order].astype(np.int64),
        good[order].astype(np.int64),
        copies[order],
    )


def laminar_side(sets: Sequence[CellSet], given: Expectations, issues: list[Issue]) -> CellSets:
    """Arrange sets as a laminar family over the cells given, parents first."""
    locate = _Locator(given, issues)
    members = [locate.members(one) for one in sets]
    for one in sets:
        for noun, bound in (("lower", one.lower), ("upper", one.upper)):
            if bound is not None and not (isinstance(bound, int) and 0 <= bound <= UNBOUNDED):
                message = f"{one.name}: {noun} bound"
                issues.append(Issue(message, found=str(bound), expected="an integer of at least 0"))
    forest = laminar_forest(members, len(given.copies))
    if not isinstance(forest, Forest):
        issues += [
            Issue(
                f"{sets[c.first].name} and {sets[c.second].name} cross: "
                f"{given.cell_name(c.in_both)} is in both, "
                f"{given.cell_name(c.only_first)} only in the first, "
                f"{given.cell_name(c.only_second)} only in the second",
                expected="sets of one side that are nested or disjoint",
            )
            for c in forest
        ]
        none = np.empty(0, dtype=np.int64)
        return CellSets(none, none, none, (), np.full(len(given.copies), -1))
    # By first cell, larger sets first: parents come before their children, in the order of the ids.
    size = np.array([len(members[k]) for k in forest.order], dtype=np.int64)
    first = np.array([members[k][0] if len(members[k]) else 0 for k in forest.order], dtype=np.int64)
    order = np.lexsort((-np.arange(len(sets)), -size, first))
    position = np.append(np.argsort(order), -1)
    ordered = [sets[forest.order[rank]] for rank in order]
    return CellSets(
        parent=position[forest.parent[order]],
        lower=np.array([UNDECLARED if one.lower is None else one.lower for one in ordered], dtype=np.int64),
        upper=np.array([UNDECLARED if one.upper is None else one.upper for one in ordered], dtype=np.int64),
        names=tuple(one.name for one in ordered),
        leaf=position[forest.leaf],
    )


class _Locator:
    """Finds the cells of a :class:`CellSet`, collecting faults."""

    def __init__(self, given: Expectations, issues: list[Issue]) -> None:
        self._issues = issues
        self._agent_at = {agent: i for i, agent in enumerate(given.agents)}
        self._good_at = {good: j for j, good in enumerate(given.goods)}
        cells = np.arange(len(given.copies))
        shape = (len(given.agents), len(given.goods))
        self._by_agent = sp.csr_array((cells, (given.cell_agent, given.cell_good)), shape=shape)
        self._by_good = self._by_agent.tocsc()
        self._cell_agent, self._cell_good = given.cell_agent, given.cell_good

    def members(self, one: CellSet) -> IntArray:
        agents = self._positions(one, "agent", one.agents, self._agent_at)
        goods = self._positions(one, "good", one.goods, self._good_at)
        if agents is not None:
            cells = _slices(self._by_agent, agents)
            if goods is not None:
                wanted = np.zeros(len(self._good_at), dtype=bool)
                wanted[goods[goods >= 0]] = True
                cells = cells[wanted[self._cell_good[cells]]]
        elif goods is not None:
            cells = _slices(self._by_good, goods)
        else:
            cells = np.arange(len(self._cell_agent))
        if not isinstance(one.cells, str):
            listed_agents = self._positions(one, "agent", [pair[0] for pair in one.cells], self._agent_at)
            listed_goods = self._positions(one, "good", [pair[1] for pair in one.cells], self._good_at)
            if listed_agents is not None and listed_goods is not None:
                n_goods = len(self._good_at)
                key = self._cell_agent[cells] * n_goods + self._cell_good[cells]
                cells = cells[np.isin(key, listed_agents * n_goods + listed_goods)]
        return np.sort(cells)

    def _positions(self, one: CellSet, noun: str, ids: Members, positions: dict[str, int]) -> IntArray | None:
        if isinstance(ids, str):
            if ids != "all":
                expected = f'"all" or a list of {noun} ids'
                self._issues.append(Issue(f"{one.name}: {noun}s", found=ids, expected=expected))
            return None
        unknown = sorted({one_id for one_id in ids if one_id not in positions})
        if unknown:
            expected = f"ids of {noun}s"
            self._issues.append(
                Issue(f"{one.name}: unknown {noun}", found=", ".join(unknown), expected=expected)
            )
        return np.array([positions.get(name, -1) for name in ids], dtype=np.int64)


def _slices(matrix: sp.csr_array, lines: IntArray) -> IntArray:
    pieces = [matrix.data[matrix.indptr[k] : matrix.indptr[k + 1]] for k in np.unique(lines[lines >= 0])]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=np.int64)
