r"""Laminar families of sets.

A *hierarchy* is a collection :math:`\mathcal H \subset 2^H` such that :math:`A, B \in \mathcal H`
implies :math:`A \cap B = \emptyset`, :math:`A \subset B` or :math:`B \subset A` (Gul, Pesendorfer,
Zhang, "Hierarchy"). It is a forest: each set's parent is the smallest set that contains it.

A *hierarchical constraint* is :math:`C = \{(A_k, l_k, h_k)\}` on a hierarchy, with integer bounds
:math:`l_k \le |A \cap A_k| \le h_k`. :class:`Families` holds one such tree per agent, flat, with what
is implied by the rest of the tree removed. A *taper*, a concave function of :math:`|A \cap A_k|`, is a
chain of soft bounds on the same set: going above ``upper`` costs ``penalty`` a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

UNBOUNDED = 2**31 - 1
"""The upper bound of a set that has none."""


@dataclass(frozen=True)
class Crossing:
    """Two sets that overlap without one containing the other.

    Parameters
    ----------
    first, second : int
        Positions of the two sets.
    in_both, only_first, only_second : int
        Items that show it.
    """

    first: int
    second: int
    in_both: int
    only_first: int
    only_second: int


@dataclass(frozen=True)
class Forest:
    """The tree structure of a laminar family.

    Parameters
    ----------
    order : IntArray, shape (n_sets,)
        Positions of the sets, each before the sets that contain it.
    parent : IntArray, shape (n_sets,)
        For the k-th set in ``order``, the rank in ``order`` of its parent; -1 for a root.
    leaf : IntArray, shape (n_items,)
        Rank in ``order`` of the smallest set that holds the item; -1 if none does.
    """

    order: IntArray
    parent: IntArray
    leaf: IntArray


def laminar_forest(sets: Sequence[IntArray], n_items: int) -> Forest | list[Crossing]:
    """Arrange sets as a forest, or show which sets cross.

    Equal sets form a chain, in which the earlier of the sequence is the inner one.

    Parameters
    ----------
    sets : sequence of IntArray
        Members of each set, without repetition.
    n_items : int
        Number of items.

    Returns
    -------
    Forest or list of Crossing
        The forest; or, if the family is not laminar, a crossing partner for every set that crosses
        a larger one (or an equally large, earlier one).

    Examples
    --------
    >>> import numpy as np
    >>> laminar_forest([np.array([0, 1]), np.array([0, 1, 2])], 3).parent.tolist()
    [1, -1]
    >>> laminar_forest([np.array([0, 1]), np.array([1, 2])], 3)[0]
    Crossing(first=0, second=1, in_both=1, only_first=0, only_second=2)
    """
    n_sets = len(sets)
    # Largest first; among equal sizes the later of the sequence is the outer one.
    outer_first = sorted(range(n_sets), key=lambda k: (-len(sets[k]), -k))
    rank = np.full(n_sets, -1, dtype=np.int64)
    for position, k in enumerate(reversed(outer_first)):
        rank[k] = position
    leaf = np.full(n_items, -1, dtype=np.int64)
    depth: dict[int, int] = {-1: 0}
    parent = np.full(n_sets, -1, dtype=np.int64)
    crossings: list[Crossing] = []
    for k in outer_first:
        members = sets[k]
        homes = np.unique(leaf[members]) if len(members) else np.array([-1])
        if len(homes) > 1:
            # Of the innermost sets met so far, the deepest holds some members and misses another:
            # it is at least as large as this set, so the two cross.
            other = max((int(h) for h in homes), key=lambda h: depth[h])
            larger = sets[other]
            crossings.append(
                Crossing(
                    min(k, other),
                    max(k, other),
                    *_witnesses(*((members, larger) if k < other else (larger, members))),
                )
            )
            continue
        home = int(homes[0])
        parent[rank[k]] = -1 if home < 0 else rank[home]
        depth[k] = depth[home] + 1
        leaf[members] = k
    if crossings:
        return crossings
    order = np.array(outer_first[::-1], dtype=np.int64)
    return Forest(order, parent, np.where(leaf >= 0, rank[leaf], -1) if n_sets else leaf)


def _witnesses(first: IntArray, second: IntArray) -> tuple[int, int, int]:
    return (
        int(np.intersect1d(first, second)[0]),
        int(np.setdiff1d(first, second)[0]),
        int(np.setdiff1d(second, first)[0]),
    )


@dataclass(frozen=True, eq=False)
class Families:
    r"""One laminar tree of bounds per agent over her acceptable goods, flat.

    Nodes of agent ``i`` are ``start[i]:start[i + 1]``, each before its parent. Only bounds that the
    rest of the tree does not imply are kept: a node is *hard* (``penalty`` infinite; ``lower`` 0 or
    ``upper`` :data:`UNBOUNDED` where that side is implied) or *soft*, a taper's breakpoint: with
    :math:`x(S)` the copies taken from the set, utility falls by
    :math:`\text{penalty} \cdot (x(S) - \text{upper})^+`.

    Parameters
    ----------
    start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' nodes.
    parent : IntArray, shape (n_nodes,)
        Node index of the smallest kept set that contains the node's set; -1 for a root.
    lower, upper : IntArray, shape (n_nodes,)
        Bounds in copies.
    penalty : FloatArray, shape (n_nodes,)
        Utility per copy above ``upper``; infinite where the bound is hard.
    source : IntArray, shape (n_nodes,)
        Position in ``PseudoMarket.bound_sets`` of the set that the node comes from.
    leaf : IntArray, shape (n_pairs,)
        Node index of the smallest kept set that holds the acceptable pair; -1 if none does.
    least, most : IntArray, shape (n_nodes,)
        Fewest and most copies that all bounds at or below the node allow.
    infeasible : tuple of (int, int, int, int)
        (agent, bound set, copies required, copies possible) wherever an agent's own bounds contradict
        each other, inner sets first.
    """

    start: IntArray
    parent: IntArray
    lower: IntArray
    upper: IntArray
    penalty: FloatArray
    source: IntArray
    leaf: IntArray
    least: IntArray
    most: IntArray
    infeasible: tuple[tuple[int, int, int, int], ...]

    @property
    def n_nodes(self) -> int:
        """Number of nodes over all agents."""
        return len(self.parent)

    @property
    def agent(self) -> IntArray:
        """Agent of each node, shape (n_nodes,)."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    def chains(self) -> IntArray:
        """List the nodes that hold each pair, innermost first, padded with -1: shape (n_pairs, depth)."""
        columns = []
        current = self.leaf
        while (current >= 0).any():
            columns.append(current)
            current = np.where(current >= 0, self.parent[current], -1)
        return np.column_stack(columns) if columns else np.empty((len(self.leaf), 0), dtype=np.int64)

    def totals(self, copies: FloatArray) -> FloatArray:
        """Sum the copies taken from each node's set, given copies of each pair."""
        held = self.leaf >= 0
        totals = np.zeros(self.n_nodes)
        np.add.at(totals, self.leaf[held], copies[held])
        # Nodes come before their parents within an agent; level by level keeps it vectorised.
        for level in self.levels():
            np.add.at(totals, self.parent[level], totals[level])
        return totals

    def levels(self) -> list[IntArray]:
        """Non-root nodes grouped by height above the leaves, lowest first."""
        depth = np.zeros(self.n_nodes, dtype=np.int64)
        current = self.parent
        while (current >= 0).any():
            depth += current >= 0
            current = np.where(current >= 0, self.parent[current], -1)
        return [np.flatnonzero(depth == d) for d in range(int(depth.max(initial=0)), 0, -1)]
