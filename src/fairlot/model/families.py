"""From bound sets on goods to one laminar tree per agent over what she accepts.

Laminarity is judged per agent after filters, quotas and tapers together, on all goods and never on
what she reported: agents under the same bound sets share one forest. Each tree is then restricted to
the agent's acceptable goods, and bounds that the rest of the tree implies are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.constraints import BoundSet
from fairlot.model.hierarchy import (
    UNBOUNDED,
    BoolArray,
    Crossing,
    Families,
    FloatArray,
    Forest,
    IntArray,
    laminar_forest,
)

_CHUNK = 20_000_000
"""Entries of an agents × sets array worked on at once."""


def crossing_issues(
    crossings: Sequence[Crossing], labels: Sequence[str], goods: Sequence[str]
) -> list[Issue]:
    """Say which sets cross, once per pair of constraint names, and what would mend it."""
    told: dict[tuple[str, str], Issue] = {}
    counts: dict[tuple[str, str], int] = {}
    for c in crossings:
        key = (labels[c.first].split(" [")[0], labels[c.second].split(" [")[0])
        counts[key] = counts.get(key, 0) + 1
        told.setdefault(
            key,
            Issue(
                f"{labels[c.first]} and {labels[c.second]} cross: '{goods[c.in_both]}' is in both, "
                f"'{goods[c.only_first]}' only in the first, '{goods[c.only_second]}' only in the second",
                expected="sets that are nested or disjoint; narrow one of the two, or drop it",
            ),
        )
    return [
        issue
        if counts[key] == 1
        else Issue(f"{issue.message} (and {counts[key] - 1} more pairs like it)", expected=issue.expected)
        for key, issue in told.items()
    ]


@dataclass(frozen=True, eq=False)
class _Class:
    """Agents under the same bound sets, and the forest they share; a node per set and breakpoint."""

    agents: IntArray
    node_set: IntArray  # bound set of each node, children before parents
    breakpoint: IntArray  # 0 for hard nodes, else the number of copies from which the penalty is due
    penalty: FloatArray
    parent: IntArray
    leaf: IntArray  # per good


def build_families(
    bound_sets: Sequence[BoundSet],
    acceptable: sp.csr_array,
    per_agent: IntArray,
    goods: Sequence[str],
    keep: BoolArray,
    taken: sp.csr_array | None = None,
) -> Families:
    """Build every agent's tree.

    Parameters
    ----------
    bound_sets : sequence of BoundSet
        Quotas and tapers.
    acceptable : scipy.sparse.csr_array, shape (n_agents, n_goods)
        Its stored entries are the pairs.
    per_agent : IntArray, shape (n_goods,)
        Copies one agent may hold.
    goods : sequence of str
        Ids, for messages.
    keep : BoolArray, shape (n_pairs,)
        Pairs that may be consumed; the others hold nothing and have leaf -1.
    taken : scipy.sparse.csr_array, optional
        Copies an agent holds already, shape (n_agents, n_goods): they count against her bounds.

    Raises
    ------
    InvalidProblemError
        If some agent's sets cross.
    """
    n = acceptable.shape[0]
    classes = _classes(bound_sets, n, goods)
    rows = np.repeat(np.arange(n), np.diff(acceptable.indptr))
    copies = np.where(keep, per_agent[acceptable.indices], 0).astype(np.float64)
    room = sp.csr_array((copies, acceptable.indices, acceptable.indptr), shape=acceptable.shape)
    parts: list[_Part] = []
    for group in classes:
        chunk = max(1, _CHUNK // max(1, len(group.node_set)))
        for first in range(0, len(group.agents), chunk):
            agents = group.agents[first : first + chunk]
            parts.append(_restrict(group, agents, bound_sets, room, taken))
    return _assemble(parts, n, rows, acceptable, keep)


def _classes(bound_sets: Sequence[BoundSet], n: int, goods: Sequence[str]) -> list[_Class]:
    filtered = [k for k, bound in enumerate(bound_sets) if bound.agents is not None]
    binds = np.zeros((n, len(filtered)), dtype=bool)
    for column, k in enumerate(filtered):
        binds[bound_sets[k].agents, column] = True
    if filtered:
        signatures, of_agent = np.unique(binds, axis=0, return_inverse=True)
    else:
        signatures, of_agent = np.zeros((1, 0), dtype=bool), np.zeros(n, dtype=np.int64)
    order = np.argsort(of_agent.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(of_agent.ravel(), minlength=len(signatures)))
    classes = []
    crossings: list[Crossing] = []
    for signature, agents in zip(signatures, np.split(order, ends[:-1]), strict=True):
        bound = dict(zip(filtered, signature, strict=True))
        chosen = [k for k in range(len(bound_sets)) if bound.get(k, True)]
        forest = laminar_forest([bound_sets[k].goods for k in chosen], len(goods))
        if isinstance(forest, Forest):
            classes.append(_expand(forest, np.array(chosen, dtype=np.int64), agents, bound_sets))
        else:
            crossings += [
                Crossing(chosen[c.first], chosen[c.second], c.in_both, c.only_first, c.only_second)
                for c in forest
            ]
    if crossings:
        labels = [bound.label for bound in bound_sets]
        raise InvalidProblemError(crossing_issues(list(dict.fromkeys(crossings)), labels, goods))
    return classes


def _expand(forest: Forest, chosen: IntArray, agents: IntArray, bound_sets: Sequence[BoundSet]) -> _Class:
    """One node per quota and per strict drop of a taper's marginals."""
    node_set: list[int] = []
    breakpoints: list[int] = []
    penalties: list[float] = []
    first_node, last_node = [], []
    for k in chosen[forest.order]:
        marginals = bound_sets[k].marginals
        first_node.append(len(node_set))
        if len(marginals) == 0:
            node_set.append(k)
            breakpoints.append(0)
            penalties.append(np.inf)
        for step in np.flatnonzero(np.diff(marginals) < 0):
            node_set.append(k)
            breakpoints.append(int(step) + 1)
            penalties.append(float(marginals[step] - marginals[step + 1]))
        last_node.append(len(node_set) - 1)
    # A taper whose marginals never fall has no node; its set is skipped on the way up.
    parent = np.full(len(node_set), -1, dtype=np.int64)
    entry = np.full(len(chosen), -1, dtype=np.int64)
    for rank in range(len(chosen) - 1, -1, -1):
        above = forest.parent[rank]
        outside = -1 if above < 0 else entry[above]
        empty = last_node[rank] < first_node[rank]
        entry[rank] = outside if empty else first_node[rank]
        for node in range(first_node[rank], last_node[rank] + 1):
            parent[node] = node + 1 if node < last_node[rank] else outside
    leaf = np.where(forest.leaf >= 0, entry[forest.leaf], -1) if len(chosen) else forest.leaf
    return _Class(
        agents,
        np.array(node_set, dtype=np.int64),
        np.array(breakpoints, dtype=np.int64),
        np.array(penalties, dtype=np.float64),
        parent,
        leaf,
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """Nodes of some agents of one class: which are kept, and their bounds, shape (agents, nodes)."""

    group: _Class
    agents: IntArray
    kept: BoolArray
    above: IntArray  # nearest kept ancestor, -1 if none
    lower: IntArray
    upper: IntArray
    least: IntArray
    most: IntArray
    infeasible: list[tuple[int, int, int, int]]


def _restrict(
    group: _Class,
    agents: IntArray,
    bound_sets: Sequence[BoundSet],
    room: sp.csr_array,
    taken: sp.csr_array | None,
) -> _Part:
    n_nodes = len(group.node_set)
    shape = (len(agents), n_nodes)
    own = _subtree_sums(group, room[agents])
    held = np.zeros(shape, dtype=np.int64) if taken is None else _subtree_sums(group, taken[agents])
    soft = np.isfinite(group.penalty)
    lower = np.zeros(shape, dtype=np.int64)
    upper = np.empty(shape, dtype=np.int64)
    for node, k in enumerate(group.node_set):
        if soft[node]:
            upper[:, node] = group.breakpoint[node]
        else:
            lower[:, node] = bound_sets[k].lower[agents]
            upper[:, node] = bound_sets[k].upper[agents]
    lower = np.maximum(lower - held, 0)
    upper = np.where(upper == UNBOUNDED, UNBOUNDED, upper - held)
    children_most = np.zeros(shape, dtype=np.int64)
    children_least = np.zeros(shape, dtype=np.int64)
    children_own = np.zeros(shape, dtype=np.int64)
    kept = np.zeros(shape, dtype=bool)
    least, most = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    infeasible: list[tuple[int, int, int, int]] = []
    for node in range(n_nodes):
        loose = own[:, node] - children_own[:, node]
        reach = children_most[:, node] + loose
        floor = children_least[:, node]
        if soft[node]:
            kept[:, node] = (upper[:, node] < reach) & (reach > 0)
            least[:, node], most[:, node] = floor, reach
        else:
            least[:, node] = np.maximum(lower[:, node], floor)
            most[:, node] = np.minimum(upper[:, node], reach)
            wrong = np.flatnonzero(least[:, node] > most[:, node])
            infeasible += [
                (int(agents[i]), int(group.node_set[node]), int(least[i, node]), int(most[i, node]))
                for i in wrong
            ]
            binds_below, binds_above = lower[:, node] > floor, upper[:, node] < reach
            kept[:, node] = binds_below | binds_above
            lower[:, node] = np.where(binds_below, lower[:, node], 0)
            upper[:, node] = np.where(binds_above, upper[:, node], UNBOUNDED)
        up = group.parent[node]
        if up >= 0:
            children_most[:, up] += most[:, node]
            children_least[:, up] += least[:, node]
            children_own[:, up] += own[:, node]
    above = np.full(shape, -1, dtype=np.int64)
    for node in range(n_nodes - 1, -1, -1):
        up = group.parent[node]
        if up >= 0:
            above[:, node] = np.where(kept[:, up], up, above[:, up])
    return _Part(group, agents, kept, above, lower, upper, least, most, infeasible)


def _subtree_sums(group: _Class, copies: sp.csr_array) -> IntArray:
    """Sum the copies in each node's set, shape (agents, nodes)."""
    held = np.flatnonzero(group.leaf >= 0)
    n_nodes = len(group.node_set)
    place = sp.csr_array(
        (np.ones(len(held)), (held, group.leaf[held])), shape=(len(group.leaf), max(n_nodes, 1))
    )
    sums: IntArray = np.rint((copies @ place).toarray()[:, :n_nodes]).astype(np.int64)
    for node, up in enumerate(group.parent):
        if up >= 0:
            sums[:, up] += sums[:, node]
    return sums


def _assemble(
    parts: Sequence[_Part], n: int, rows: IntArray, acceptable: sp.csr_array, keep: BoolArray
) -> Families:
    counts = np.zeros(n, dtype=np.int64)
    for part in parts:
        counts[part.agents] = part.kept.sum(axis=1)
    start = np.concatenate([[0], np.cumsum(counts)])
    size = int(start[-1])
    parent = np.full(size, -1, dtype=np.int64)
    lower, upper = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    least, most = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
    penalty, source = np.zeros(size), np.zeros(size, dtype=np.int64)
    leaf = np.full(len(rows), -1, dtype=np.int64)
    part_of = np.empty(n, dtype=np.int64)
    row_of = np.empty(n, dtype=np.int64)
    for k, part in enumerate(parts):
        part_of[part.agents] = k
        row_of[part.agents] = np.arange(len(part.agents))
    for k, part in enumerate(parts):
        # Index of each kept node: the agent's offset plus its place among her kept nodes.
        index = start[part.agents][:, None] + np.cumsum(part.kept, axis=1) - 1
        where = np.nonzero(part.kept)
        at = index[where]
        up = part.above[where]
        parent[at] = np.where(up >= 0, index[where[0], np.maximum(up, 0)], -1)
        lower[at], upper[at] = part.lower[where], part.upper[where]
        least[at], most[at] = part.least[where], part.most[where]
        penalty[at] = part.group.penalty[where[1]]
        source[at] = part.group.node_set[where[1]]
        pairs = np.flatnonzero(keep & (part_of[rows] == k))
        local = part.group.leaf[acceptable.indices[pairs]]
        pairs, local = pairs[local >= 0], local[local >= 0]
        who = row_of[rows[pairs]]
        home = np.where(part.kept[who, local], local, part.above[who, local])
        leaf[pairs] = np.where(home >= 0, index[who, np.maximum(home, 0)], -1)
    infeasible = tuple(
        sorted((fault for part in parts for fault in part.infeasible), key=lambda fault: fault[0])
    )
    return Families(start, parent, lower, upper, penalty, source, leaf, least, most, infeasible)
