r"""Every agent's bounds as plain rows over what she accepts, nested or not.

With crossing quotas and conflicts there is no tree. What is left is, per agent, a list of rows

.. math:: l_r \le \sum_{j \in R_r} x_{ij} \le h_r,

the rows of mutually exclusive goods (quotas of 1 and conflicts together) replaced by the maximal cliques
of their union graph. A row that a taper bends is soft: going above ``upper`` costs ``penalty`` a copy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.model.conflicts import maximal_cliques
from fairlot.model.constraints import BoundSet
from fairlot.model.hierarchy import UNBOUNDED, BoolArray, FloatArray, IntArray

_Row = tuple[int, int, int, float, IntArray]
CLIQUE = -1
"""In ``Rows.source``: goods of which an agent may hold one, from conflicts and quotas of 1 together."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of all agents, flat.

    Parameters
    ----------
    start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' rows.
    lower, upper : IntArray, shape (n_rows,)
        Bounds in copies; 0 and ``UNBOUNDED`` where there is none.
    penalty : FloatArray, shape (n_rows,)
        Utility per copy above ``upper``; infinite where the bound is hard.
    source : IntArray, shape (n_rows,)
        Position in ``PseudoMarket.bound_sets``, or :data:`CLIQUE`.
    member_start, member : IntArray
        Offsets and positions, ascending, of the acceptable pairs in each row.
    """

    start: IntArray
    lower: IntArray
    upper: IntArray
    penalty: FloatArray
    source: IntArray
    member_start: IntArray
    member: IntArray

    @property
    def n_rows(self) -> int:
        """Number of rows over all agents."""
        return len(self.lower)

    @property
    def agent(self) -> IntArray:
        """Agent of each row, shape (n_rows,)."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    def membership(self, n_pairs: int) -> sp.csr_array:
        """Return the incidence matrix, shape (n_rows, n_pairs)."""
        row = np.repeat(np.arange(self.n_rows), np.diff(self.member_start))
        return sp.csr_array((np.ones(len(row)), (row, self.member)), shape=(self.n_rows, n_pairs))


def build_rows(
    bound_sets: Sequence[BoundSet], conflict_pairs: IntArray, acceptable: sp.csr_array, per_agent: IntArray
) -> Rows:
    """List every agent's rows; what the copies she may hold imply already is left out.

    Parameters
    ----------
    bound_sets : sequence of BoundSet
        Quotas and tapers.
    conflict_pairs : IntArray, shape (n, 2)
        Goods that exclude each other, for everybody.
    acceptable : scipy.sparse.csr_array, shape (n_agents, n_goods)
        Its stored entries are the pairs.
    per_agent : IntArray, shape (n_goods,)
        Copies of a good that one agent may hold.
    """
    n, n_goods = acceptable.shape
    inside = np.zeros((len(bound_sets), n_goods), dtype=bool)
    for k, bound in enumerate(bound_sets):
        inside[k, bound.goods] = True
    binds = np.ones((n, len(bound_sets)), dtype=bool)
    for k, bound in enumerate(bound_sets):
        if bound.agents is not None:
            binds[:, k] = False
            binds[bound.agents, k] = True
    soft = np.array([len(bound.marginals) > 0 for bound in bound_sets], dtype=bool)
    single = np.zeros((n, len(bound_sets)), dtype=bool)
    for k, bound in enumerate(bound_sets):
        single[:, k] = binds[:, k] & ~soft[k] & (bound.upper == 1)
    signatures, which = np.unique(single, axis=0, return_inverse=True)
    cliques = [_cliques(inside[signature], conflict_pairs, n_goods) for signature in signatures]
    lower = np.array([bound.lower for bound in bound_sets]).reshape(len(bound_sets), n)
    upper = np.array([bound.upper for bound in bound_sets]).reshape(len(bound_sets), n)
    parts = _Parts()
    known: dict[tuple[bytes, ...], list[_Row]] = {}
    for i in range(n):
        first = int(acceptable.indptr[i])
        goods = acceptable.indices[first : acceptable.indptr[i + 1]]
        # Agents who accept the same under the same bounds have the same rows.
        key = (goods.tobytes(), binds[i].tobytes(), lower[:, i].tobytes(), upper[:, i].tobytes())
        if key not in known:
            copies = per_agent[goods]
            mine: list[_Row] = [
                (CLIQUE, 0, 1, np.inf, np.flatnonzero(members))
                for members in _restricted(cliques[which.ravel()[i]][:, goods])
            ]
            for k in np.flatnonzero(binds[i]).tolist():
                bound, held = bound_sets[k], inside[k, goods]
                reach = int(copies[held].sum())
                members = np.flatnonzero(held)
                if soft[k]:
                    for step in np.flatnonzero(np.diff(bound.marginals) < 0):
                        if step + 1 < reach:
                            fall = float(bound.marginals[step] - bound.marginals[step + 1])
                            mine.append((k, 0, int(step) + 1, fall, members))
                    continue
                least, most = int(lower[k, i]), int(upper[k, i])
                told = bool(single[i, k]) and (copies[held] <= 1).all()  # by the cliques
                if most >= reach or told:
                    most = UNBOUNDED
                if least > 0 or most < UNBOUNDED:
                    mine.append((k, least, most, np.inf, members))
            known[key] = mine
        for source, least, most, fall, members in known[key]:
            parts.add(source, least, most, fall, first + members)
        parts.close()
    return parts.rows()


class _Parts:
    """Rows as they are found, agent after agent."""

    def __init__(self) -> None:
        self._start = [0]
        self._bounds: list[tuple[int, int, int, float]] = []
        self._members: list[IntArray] = []

    def add(self, source: int, lower: int, upper: int, penalty: float, members: IntArray) -> None:
        self._bounds.append((source, lower, upper, penalty))
        self._members.append(members)

    def close(self) -> None:
        self._start.append(len(self._bounds))

    def rows(self) -> Rows:
        columns = list(zip(*self._bounds, strict=True)) or [(), (), (), ()]
        source, lower, upper = (np.array(column, dtype=np.int64) for column in columns[:3])
        ends = np.cumsum([0, *(len(members) for members in self._members)])
        member = np.concatenate(self._members) if self._members else np.empty(0)
        return Rows(
            start=np.array(self._start, dtype=np.int64),
            lower=lower,
            upper=upper,
            penalty=np.array(columns[3], dtype=np.float64),
            source=source,
            member_start=ends.astype(np.int64),
            member=member.astype(np.int64),
        )


def _cliques(sets: BoolArray, conflict_pairs: IntArray, n_goods: int) -> BoolArray:
    """Maximal cliques of the union graph as a boolean matrix, shape (n_cliques, n_goods)."""
    adjacent = (sets.T.astype(np.int64) @ sets.astype(np.int64)) > 0
    adjacent[conflict_pairs[:, 0], conflict_pairs[:, 1]] = True
    adjacent[conflict_pairs[:, 1], conflict_pairs[:, 0]] = True
    found = maximal_cliques(adjacent)
    cliques = np.zeros((len(found), n_goods), dtype=bool)
    for row, members in zip(cliques, found, strict=True):
        row[members] = True
    return cliques


def _restricted(cliques: BoolArray) -> BoolArray:
    """Keep the maximal ones of at least two goods after restriction."""
    size = cliques.sum(axis=1)
    cliques = cliques[size > 1]
    size = size[size > 1]
    common = cliques.astype(np.int64) @ cliques.T.astype(np.int64)
    inside = common == size[:, None]
    order = np.arange(len(size))
    larger = (size[None, :] > size[:, None]) | (order[None, :] < order[:, None])
    return np.asarray(cliques[~(inside & larger).any(axis=1)])
