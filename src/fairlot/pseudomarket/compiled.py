r"""A market as its solvers see it: scaled, presolved and flat.

After scaling, agent :math:`i` maximises :math:`\bar u_i` over :math:`P_i` with budget :math:`b_i`. Writing
E for the membership of pairs in her tree's nodes and :math:`p = F^\top q` for the prices that the supply
rows (capacities, then limits) amount to, a strong equilibrium is a solution of

.. math::

    v_i = \alpha_i p + E_i^\top y_i + w_i - z_i, \quad 0 \le x_i \perp z_i \ge 0, \quad
    0 \le c_i - x_i \perp w_i \ge 0, \\
    p \cdot (x_i + f_i) + \sigma_i = b_i, \quad 0 \le \alpha_i \perp \sigma_i \ge 0, \\
    F \Big(\sum_i x_i + f_i\Big) + s = B, \quad 0 \le q \perp s \ge 0,

where a node's dual y is free for an equality, of either sign for a two-sided bound, and within
[0, penalty] for a taper's breakpoint: with slack t and excess e, :math:`x(S) - e + t = h`,
:math:`0 \le t \perp y \ge 0`, :math:`0 \le e \perp \text{penalty} - y \ge 0`. The copies :math:`f_i` are
those the agent's bounds force on her.

Presolve takes out what has no interior, so that what remains can be solved by interior paths: pairs of
goods without supply, pairs that a bound of 0 forbids, pairs that nobody would ever consume (no value,
and no lower bound counts them), and copies that lower bounds force.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.model.families import build_families
from fairlot.model.hierarchy import UNBOUNDED, BoolArray, Families, FloatArray, IntArray
from fairlot.model.market import PseudoMarket


@dataclass(frozen=True, eq=False)
class CompiledMarket:
    """What remains of a market after scaling and presolve. All arrays are in scaled units.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    pairs : IntArray, shape (n_pairs,)
        Positions of the remaining pairs among the market's acceptable pairs.
    start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' pairs.
    agent, good : IntArray, shape (n_pairs,)
        Of each pair.
    value : FloatArray, shape (n_pairs,)
        Utility per copy over the agent's ``value_scale``; the largest magnitude is 1.
    cap : FloatArray, shape (n_pairs,)
        Copies of the good one agent may hold.
    capped : BoolArray, shape (n_pairs,)
        Where the cap is not implied by the nodes, so that x ≤ cap needs a multiplier.
    node_start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' nodes; within an agent a node comes before its parent.
    parent : IntArray, shape (n_nodes,)
        Node index; -1 for a root.
    chain : IntArray, shape (n_pairs, depth)
        Node indices that hold the pair, innermost first, padded with -1.
    lower, upper : FloatArray, shape (n_nodes,)
        Bounds, after the forced copies; -inf and inf where there is none. Equal for an equality.
    penalty : FloatArray, shape (n_nodes,)
        Utility per copy above ``upper``; inf where the bound is hard.
    budget : FloatArray, shape (n_agents,)
        Money over ``budget_scale``; the mean is 1.
    forced : FloatArray, shape (market.values.nnz,)
        Copies of each acceptable pair of the market that bounds force; mostly zeros.
    rows : scipy.sparse.csr_array, shape (n_goods + n_limits, n_goods)
        Supply rows F.
    supply : FloatArray, shape (n_goods + n_limits,)
        Copies left for the remaining pairs, after the forced ones.
    value_scale : FloatArray, shape (n_agents,)
        Utility per scaled unit; 1 for agents without remaining pairs.
    budget_scale : float
        Money per scaled unit.
    """

    market: PseudoMarket
    pairs: IntArray
    start: IntArray
    agent: IntArray
    good: IntArray
    value: FloatArray
    cap: FloatArray
    capped: BoolArray
    node_start: IntArray
    parent: IntArray
    chain: IntArray
    lower: FloatArray
    upper: FloatArray
    penalty: FloatArray
    budget: FloatArray
    forced: FloatArray
    rows: sp.csr_array
    supply: FloatArray
    value_scale: FloatArray
    budget_scale: float

    @property
    def n_agents(self) -> int:
        """Number of agents, those without remaining pairs included."""
        return len(self.budget)

    @property
    def n_goods(self) -> int:
        """Number of goods, those without supply included."""
        return int(self.rows.shape[1])

    @property
    def n_pairs(self) -> int:
        """Number of remaining pairs."""
        return len(self.pairs)

    @property
    def n_nodes(self) -> int:
        """Number of nodes over all agents."""
        return len(self.parent)

    @property
    def forced_matrix(self) -> sp.csr_array:
        """The forced copies as a sparse matrix, shape (n_agents, n_goods); empty in most markets."""
        held = np.flatnonzero(self.forced)
        place = (self.market.pair_agent[held], self.market.pair_good[held])
        return sp.csr_array((self.forced[held], place), shape=self.market.values.shape)

    def copies(self, x: FloatArray) -> FloatArray:
        """Return the expected copies of every acceptable pair of the market, forced ones included."""
        copies = self.forced.copy()
        copies[self.pairs] = np.clip(x, 0.0, self.cap)
        return copies


@dataclass(frozen=True, eq=False)
class Point:
    """A solver's claim, in scaled units.

    Parameters
    ----------
    x : FloatArray, shape (n_pairs,)
        Expected copies.
    q : FloatArray, shape (n_goods + n_limits,)
        Prices of the supply rows; the price of goods is ``rows.T @ q``.
    alpha : FloatArray, shape (n_agents,)
        Utility per unit of money.
    y : FloatArray, shape (n_nodes,)
        Duals of the nodes.
    finished : bool
        Whether the solver reached its tolerance.
    iterations : int
        Factorisations spent.
    note : str
        Why it stopped, if it did not finish.
    """

    x: FloatArray
    q: FloatArray
    alpha: FloatArray
    y: FloatArray
    finished: bool
    iterations: int
    note: str = ""


def compile_market(market: PseudoMarket) -> CompiledMarket:
    """Scale and presolve a market whose agents' own bounds are consistent.

    Parameters
    ----------
    market : PseudoMarket
        With laminar quotas and ``market.families.infeasible`` empty.
    """
    membership, bounds = market.supply_sets
    closed = np.asarray(membership.T @ (bounds == 0)) > 0
    keep = ~closed[market.pair_good]
    whole = market.families
    keep &= ~_under(whole, whole.most == 0)
    counted = _under(whole, np.isfinite(whole.penalty) == 0, whole.lower > 0)
    keep &= counted | (market.base_values > 0)
    forced = np.zeros(market.values.nnz)
    families = _families(market, keep, forced)
    while True:
        tight = _tighten(families, np.where(keep, market.per_agent[market.pair_good], 0))
        if not (keep & (tight.full | tight.empty)).any():
            break
        full = keep & tight.full
        forced[full] = market.per_agent[market.pair_good[full]]
        keep &= ~(tight.full | tight.empty)
        families = _families(market, keep, forced)
    pairs = np.flatnonzero(keep)
    agent, good = market.pair_agent[pairs], market.pair_good[pairs]
    counts = np.bincount(agent, minlength=market.n_agents)
    base = market.base_values[pairs]
    scale = np.zeros(market.n_agents)
    np.maximum.at(scale, agent, np.abs(base))
    scale[scale == 0] = 1.0
    hard = ~np.isfinite(families.penalty)
    lower = np.where(families.lower > 0, families.lower, -np.inf).astype(np.float64)
    upper = np.where(families.upper == UNBOUNDED, np.inf, families.upper).astype(np.float64)
    tied = hard & tight.tied
    lower[tied] = upper[tied] = tight.least[tied]
    chain = families.chains()[pairs]
    cap = market.per_agent[good].astype(np.float64)
    held = np.zeros(len(pairs), dtype=bool)
    for column in chain.T:
        inside = column >= 0
        held[inside] |= hard[column[inside]] & (upper[column[inside]] <= cap[inside])
    taken = np.bincount(market.pair_good, forced, minlength=market.n_goods)
    supply = bounds - membership @ taken
    budget_scale = float(market.budgets.mean())
    return CompiledMarket(
        market=market,
        pairs=pairs,
        start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        agent=agent,
        good=good,
        value=base / scale[agent],
        cap=cap,
        capped=~held,
        node_start=families.start,
        parent=families.parent,
        chain=chain,
        lower=lower,
        upper=upper,
        penalty=families.penalty / scale[families.agent],
        budget=market.budgets / budget_scale,
        forced=forced,
        rows=membership,
        supply=supply,
        value_scale=scale,
        budget_scale=budget_scale,
    )


def _families(market: PseudoMarket, keep: BoolArray, forced: FloatArray) -> Families:
    taken = sp.csr_array((forced, market.values.indices, market.values.indptr), shape=market.values.shape)
    return build_families(market.bound_sets, market.values, market.per_agent, market.goods, keep, taken)


@dataclass(frozen=True, eq=False)
class _Tight:
    """What bounds leave no choice about: nodes whose total is tied, pairs that must be full or empty."""

    tied: BoolArray
    least: IntArray
    full: BoolArray
    empty: BoolArray


def _tighten(families: Families, own: IntArray) -> _Tight:
    """Follow ties down the trees: a total tied at its reach fills what is below, at its floor empties."""
    least, most = families.least.copy(), families.most.copy()
    inner = families.parent >= 0
    held = families.leaf >= 0
    loose = np.bincount(families.leaf[held], own[held], minlength=families.n_nodes)
    above = families.parent[inner]
    reach = loose + np.bincount(above, most[inner], minlength=families.n_nodes)
    floor = np.bincount(above, least[inner], minlength=families.n_nodes)
    for level in [np.flatnonzero(~inner), *families.levels()[::-1]]:
        up = families.parent[level]
        node, up = level[up >= 0], up[up >= 0]
        tied = least[up] == most[up]
        at_reach = tied & (most[up] == reach[up])
        at_floor = tied & ~at_reach & (least[up] == floor[up])
        least[node[at_reach]] = most[node[at_reach]]
        most[node[at_floor]] = least[node[at_floor]]
    tied = least == most
    home = np.maximum(families.leaf, 0)
    full = held & (tied & (most == reach))[home] if families.n_nodes else held
    empty = held & ~full & (tied & (least == floor))[home] if families.n_nodes else held
    return _Tight(tied, least, full, empty)


def _under(families: Families, *conditions: BoolArray) -> BoolArray:
    """Pairs below some node where all conditions hold."""
    marked = np.logical_and.reduce(conditions)
    under = np.zeros(len(families.leaf), dtype=bool)
    current = families.leaf
    while (current >= 0).any():
        inside = current >= 0
        under[inside] |= marked[current[inside]]
        current = np.where(inside, families.parent[current], -1)
    return under
