r"""What must hold for an assignment, and for an equilibrium, to exist.

*Feasible assignment*: copies :math:`x_i \in P_i` within capacities and limits. Without lower quotas
nothing assigned is one; with them it is a flow problem, and where it fails a set of agents must
together take more copies of some goods than there are (Hall's condition).

*Feasibility condition* (Gul, Pesendorfer, Zhang, before Theorem 2): pairwise disjoint
:math:`A_1, \dots, A_{N+1}`, each acceptable to every agent, together within the limits. With equal
budgets it gives every agent some acceptable bundle that costs strictly less than her budget at any
prices that clear (asking for N sets would only give "not more than"). The mean bundle :math:`a` of such
sets satisfies :math:`(N+1)\, a(T) \le B_T` for every supply row and :math:`a(S \cap H_k) \ge l_S` for every
lower quota of every agent k with acceptable goods :math:`H_k`. That linear program is necessary; it is
also sufficient where these sets form a laminar family and no upper quota lies inside a set with a
lower one, by the decomposition of bihierarchies (Budish, Che, Kojima, Milgrom 2013, Theorem 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from fairlot.model.hierarchy import UNBOUNDED, BoolArray, Forest, IntArray, laminar_forest
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.flows import flow_exists


class Severity(StrEnum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at before solving.

    Parameters
    ----------
    name : str
        What was looked at.
    severity : Severity
        ``FAULT``: no assignment exists; ``WARNING``: a solution may not exist or surprise somebody.
    text : str
        What was found, and what to change, in words for a registrar.
    """

    name: str
    severity: Severity
    text: str

    @property
    def passed(self) -> bool:
        """Whether nothing needs attention."""
        return self.severity is Severity.OK


@dataclass(frozen=True)
class Infeasibility:
    """Why no assignment respects all bounds.

    Parameters
    ----------
    agents : tuple of str
        Agents whose lower bounds cannot all be met.
    sets : tuple of str
        The lower bounds, and the capacities and limits, that clash.
    required, available : int
        Copies these agents must together take of the goods concerned, and copies there are for them.
    """

    agents: tuple[str, ...]
    sets: tuple[str, ...]
    required: int
    available: int

    def __str__(self) -> str:
        who = _some([f"'{agent}'" for agent in self.agents])
        return (
            f"{who} must together get at least {self.required} of goods of which "
            f"{self.available} can be given to them ({_some(list(self.sets))})"
        )


def feasible_assignment(market: PseudoMarket) -> Infeasibility | None:
    """Decide whether any assignment respects every quota, capacity and limit.

    Parameters
    ----------
    market : PseudoMarket
        The market; where quotas cross or goods conflict, an integer program decides.

    Returns
    -------
    Infeasibility or None
        None if an assignment exists, else who and what stands against it.
    """
    if market.crossings:
        from fairlot.pseudomarket.timetable.feasible import rows_feasible

        return rows_feasible(market)
    families = market.families
    if families.infeasible:
        i, k, required, possible = families.infeasible[0]
        label = f"{market.bound_sets[k].label}, over what she accepts"
        return Infeasibility((market.agents[i],), (label,), required, possible)
    needy = np.zeros(market.n_agents, dtype=bool)
    needy[families.agent[families.lower > 0]] = True
    if not needy.any() or flow_exists(market, needy):
        return None
    return _witness(market, needy)


def _witness(market: PseudoMarket, needy: BoolArray) -> Infeasibility | None:
    """Find who and what stands against an assignment, by the duals of a linear program; None if nothing."""
    families = market.families
    pairs = np.flatnonzero(needy[market.pair_agent])
    nodes = np.flatnonzero(needy[families.agent] & ~np.isfinite(families.penalty))
    inside = _membership(families.chains()[pairs], nodes, families.n_nodes)
    rows, supply = market.supply_sets
    lower, upper = families.lower[nodes], families.upper[nodes]
    short, over = np.flatnonzero(lower > 0), np.flatnonzero(upper < UNBOUNDED)
    demand = sp.csr_array(
        (np.ones(len(pairs)), (market.pair_good[pairs], np.arange(len(pairs)))),
        shape=(market.n_goods, len(pairs)),
    )
    # Elastic flow: each lower bound may fall short at a cost of one a copy; duals are then 0 or 1.
    shortfall = sp.identity(len(short), format="csr")
    matrix = sp.vstack(
        [
            sp.hstack([-inside[short], -shortfall]),
            sp.hstack([inside[over], sp.csr_array((len(over), len(short)))]),
            sp.hstack([rows @ demand, sp.csr_array((rows.shape[0], len(short)))]),
        ],
        format="csr",
    )
    bounds = np.concatenate([-lower[short], upper[over], supply])
    cost = np.concatenate([np.zeros(len(pairs)), np.ones(len(short))])
    cap = np.concatenate(
        [market.per_agent[market.pair_good[pairs]].astype(float), np.full(len(short), np.inf)]
    )
    solved = linprog(
        cost, A_ub=matrix, b_ub=bounds, bounds=np.column_stack([np.zeros(len(cap)), cap]), method="highs"
    )
    if solved.fun < 0.5:
        return None
    dual = -solved.ineqlin.marginals
    unmet = np.flatnonzero(dual[: len(short)] > 0.5)
    full = np.flatnonzero(dual[len(short) + len(over) :] > 0.5)
    required = int(lower[short[unmet]].sum())
    labels = [market.bound_sets[k].label for k in np.unique(families.source[nodes[short[unmet]]]).tolist()]
    names = [f"capacity of '{good}'" for good in market.goods] + [limit.label for limit in market.limits]
    who = np.unique(families.agent[nodes[short[unmet]]]).tolist()
    return Infeasibility(
        tuple(market.agents[i] for i in who),
        (*labels, *(names[k] for k in full.tolist())),
        required,
        required - round(solved.fun),
    )


def check_market(market: PseudoMarket) -> list[Finding]:
    """Check what the theory asks of a market before it is solved.

    Parameters
    ----------
    market : PseudoMarket
        The market.

    Returns
    -------
    list of Finding
        In the order in which they should be read.

    """
    if market.crossings:
        return [_crossings(market), _modules(market), _feasibility(market), *_interest(market)]
    return [
        _laminarity(market),
        _modules(market),
        _feasibility(market),
        *_theorem(market),
        *_interest(market),
    ]


def _crossings(market: PseudoMarket) -> Finding:
    """Say which sets cross or which goods conflict, and what that means."""
    rows = market.rows
    widest = int(np.diff(rows.start).max(initial=0))
    which = "; ".join(issue.message for issue in market.crossings)
    text = (
        f"{which}. Shares within such bounds need not be a lottery over assignments: no theorem promises "
        "it here. fairlot solve searches for a lottery all the same, publishes it term by term, and says "
        f"whether it is exact, close, or proved impossible at the prices found ({rows.n_rows} rows, at most "
        f"{widest} per agent)"
    )
    return Finding("crossing quotas", Severity.WARNING, text)


def _laminarity(market: PseudoMarket) -> Finding:
    sets = len(market.bound_sets)
    text = (
        f"the {sets} sets of quotas and tapers are nested or disjoint for every agent"
        if sets > 1
        else "there is one set, so nothing can cross"
        if sets
        else "no quotas: every agent may hold everything she accepts"
    )
    return Finding("laminar quotas", Severity.OK, text)


def _modules(market: PseudoMarket) -> Finding:
    """Modularity: a quota inside a larger taper's set is no module, yet the sum stays M♮-concave."""
    tapers = [bound for bound in market.bound_sets if len(bound.marginals) > 1]
    inside = [
        f"{quota.label} lies inside {taper.label}"
        for quota in market.bound_sets
        if len(quota.marginals) == 0
        for taper in tapers
        if len(quota.goods) < len(taper.goods) and np.isin(quota.goods, taper.goods).all()
    ]
    text = "values add up, so every quota's set is a module; utilities are M♮-concave"
    if inside:
        text = (
            f"{inside[0]}, so its set is not a module (as for {len(inside)} sets in all); quotas and tapers "
            "together are still a laminar concave function, so utilities are M♮-concave"
        )
    return Finding("M♮-concave utilities", Severity.OK, text)


def _feasibility(market: PseudoMarket) -> Finding:
    trouble = feasible_assignment(market)
    if trouble is None:
        return Finding("feasible assignment", Severity.OK, "an assignment within all bounds exists")
    text = f"no assignment exists: {trouble}; lower a minimum, add seats, or widen what these agents accept"
    return Finding("feasible assignment", Severity.FAULT, text)


def _theorem(market: PseudoMarket) -> list[Finding]:
    """Check the hypotheses of Theorems 1 and 2."""
    lower = [bound for bound in market.bound_sets if (bound.lower > 0).any()]
    if not lower:
        text = "nobody is forced to take anything, so an equilibrium exists (Theorem 1), at any budgets"
        return [Finding("existence", Severity.OK, text)]
    findings = []
    if np.ptp(market.budgets) > 0:
        poorest = market.agents[int(np.argmin(market.budgets))]
        text = (
            "budgets differ and there are minimums: Theorem 2 promises an equilibrium only for equal "
            f"budgets; the poor (least: '{poorest}', {market.budgets.min():g}) may not afford a minimum. "
            "Make budgets equal, or drop minimums for the poorest"
        )
        findings.append(Finding("equal budgets", Severity.WARNING, text))
    else:
        findings.append(Finding("equal budgets", Severity.OK, "all budgets are equal, as Theorem 2 asks"))
    findings.append(_feasibility_condition(market))
    return findings


def _feasibility_condition(market: PseudoMarket) -> Finding:
    name = "feasibility condition"
    needs = _distinct_needs(market)
    rows, supply = market.supply_sets
    copies = market.n_agents + 1
    matrix = sp.vstack(
        [copies * rows, sp.csr_array(-np.array([need.mask for need in needs], dtype=np.float64))],
        format="csr",
    )
    bound = np.concatenate([supply, [-need.lower for need in needs]])
    solved = linprog(np.zeros(market.n_goods), A_ub=matrix, b_ub=bound, bounds=(0, None), method="highs")
    if solved.status == 2:
        tightest = max(
            needs, key=lambda need: need.lower / max(supply[: market.n_goods][need.mask].sum(), 1e-9)
        )
        seats = int(supply[: market.n_goods][tightest.mask].sum())
        text = (
            f"Theorem 2 asks for {copies} disjoint bundles (one more than agents) that every agent accepts, "
            f"and there are not so many: of '{tightest.agent}', {tightest.label} asks {tightest.lower} among "
            f"{int(tightest.mask.sum())} goods with {seats} seats in all. "
            "An equilibrium may still exist and is searched for; more seats or smaller minimums make it sure"
        )
        return Finding(name, Severity.WARNING, text)
    forest = laminar_forest([np.flatnonzero(need.mask) for need in needs], market.n_goods)
    if isinstance(forest, Forest) and not _upper_inside_lower(market):
        text = (
            f"{copies} disjoint bundles that every agent accepts exist, so an equilibrium exists (Theorem 2)"
        )
        return Finding(name, Severity.OK, text)
    text = (
        f"seats suffice on average for {copies} disjoint bundles that every agent accepts; whether they can "
        "be cut so is not decided here: existence is likely, not proved"
    )
    return Finding(name, Severity.OK, text)


@dataclass(frozen=True, eq=False)
class _Need:
    """A lower bound of one agent over the goods she accepts."""

    mask: np.typing.NDArray[np.bool_]
    lower: int
    label: str
    agent: str


def _distinct_needs(market: PseudoMarket) -> list[_Need]:
    """List the agents' lower bounds, without repetition."""
    found: dict[tuple[bytes, int], _Need] = {}
    for bound in market.bound_sets:
        inside = np.zeros(market.n_goods, dtype=bool)
        inside[bound.goods] = True
        for i in np.flatnonzero(bound.lower > 0).tolist():
            mask = np.zeros(market.n_goods, dtype=bool)
            mask[market.values.indices[market.values.indptr[i] : market.values.indptr[i + 1]]] = True
            mask &= inside
            lower = int(bound.lower[i])
            key = (np.packbits(mask).tobytes(), lower)
            found.setdefault(key, _Need(mask, lower, bound.label, market.agents[i]))
    return list(found.values())


def _upper_inside_lower(market: PseudoMarket) -> bool:
    lowers = [bound.goods for bound in market.bound_sets if (bound.lower > 0).any()]
    uppers = [bound.goods for bound in market.bound_sets if (bound.upper < UNBOUNDED).any()]
    return any(len(upper) < len(low) and np.isin(upper, low).all() for low in lowers for upper in uppers)


def _interest(market: PseudoMarket) -> list[Finding]:
    """Facts that surprise people afterwards."""
    findings = []
    wanted = np.bincount(market.pair_good, minlength=market.n_goods)
    alone = [f"'{market.goods[j]}'" for j in np.flatnonzero(wanted == 0).tolist()]
    if alone:
        text = f"nobody accepts {_some(alone)}: it stays empty at price 0"
        findings.append(Finding("goods nobody accepts", Severity.WARNING, text))
    closed = [f"'{market.goods[j]}'" for j in np.flatnonzero(market.capacities == 0).tolist()]
    if closed:
        text = f"{_some(closed)} has capacity 0: nobody can get it"
        findings.append(Finding("goods without seats", Severity.WARNING, text))
    accepted = np.diff(market.values.indptr)
    idle = [f"'{market.agents[i]}'" for i in np.flatnonzero(accepted == 0).tolist()]
    if idle:
        text = f"{_some(idle)} accepts no good and will get nothing; ask for her wishes again"
        findings.append(Finding("agents who accept nothing", Severity.WARNING, text))
    largest = np.maximum.reduceat(np.append(market.values.data, 0.0), market.values.indptr[:-1])
    flat = [f"'{market.agents[i]}'" for i in np.flatnonzero((accepted > 0) & (largest == 0)).tolist()]
    if flat:
        text = f"{_some(flat)} values every acceptable good at 0 and gets only what a minimum forces"
        findings.append(Finding("agents who want nothing", Severity.WARNING, text))
    return findings


def _membership(chains: IntArray, nodes: IntArray, n_nodes: int) -> sp.csr_array:
    """Incidence of pairs (columns) in the given nodes (rows)."""
    position = np.full(n_nodes + 1, -1, dtype=np.int64)
    position[nodes] = np.arange(len(nodes))
    column, _ = np.nonzero(chains >= 0)
    row = position[chains[chains >= 0]]
    held = row >= 0
    return sp.csr_array(
        (np.ones(int(held.sum())), (row[held], column[held])), shape=(len(nodes), len(chains))
    )


def _some(names: list[str], most: int = 4) -> str:
    """Join names, the first few and a count of the rest."""
    if len(names) <= most:
        return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
    return ", ".join(names[:most]) + f" and {len(names) - most} more"
