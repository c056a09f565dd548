r"""Whether prices and a lottery over assignments are a strong equilibrium where agents' bounds cross.

No theorem makes expected copies within all bounds a lottery over assignments within them, so what is
looked at are the terms: assignments Z with weights, whose mean the shares are. An agent's utility is that
of her lottery over bundles, her best affordable one is searched among lotteries over all bundles she may
hold (:mod:`fairlot.verify.branching`), and no solver is asked for anything.

The conditions of an equilibrium are those of :mod:`fairlot.verify.equilibrium`, in its units, and

==================  =====================================================================================
``terms optimal``   every bundle that some term gives an agent is a best one at her money value: what the
                    worst of them falls short of :math:`\max u_i - \alpha_i p`, in utility
``envy``            what an agent could make of each bundle of another's lottery, on average
==================  =====================================================================================

Those of a lottery drawn by terms (:func:`verify_terms`) are exact, in copies:

====================  ===================================================================================
``agents and goods``  ids of lottery and market are the same: how many are not
``weights``           positive whole numbers that add up to the denominator
``expectations``      the shares are the mean of the terms (within rounding of a floating-point number)
``acceptable pairs``  no term gives an agent what she does not accept, or more copies than she may hold
``quotas``            no term breaks a quota of an agent
``conflicts``         no term gives an agent two goods that conflict: how many times some term does
``capacities``        no term hands out more copies than there are
``limits``            no term exceeds a limit
====================  ===================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numba import njit

from fairlot.certificate import Certificate, Check
from fairlot.model.hierarchy import UNBOUNDED, BoolArray, FloatArray, IntArray
from fairlot.model.lotteries import Lottery
from fairlot.model.market import PseudoMarket, utilities
from fairlot.model.shares import RandomAllocation
from fairlot.verify.branching import Menus, _clashes, _search, best_lotteries, open_menus
from fairlot.verify.demand import Demand
from fairlot.verify.equilibrium import (
    CONDITIONS,
    Claim,
    Finding,
    _worst,
    check_of,
    read_claim,
)
from fairlot.verify.equilibrium import (
    REQUIRED as REQUIRED_OF_EQUILIBRIUM,
)

REQUIRED = (*REQUIRED_OF_EQUILIBRIUM, "terms optimal")
"""Names of the checks that make a strong equilibrium with a lottery over assignments."""
REQUIRED_OF_TERMS = (
    "agents and goods",
    "weights",
    "expectations",
    "acceptable pairs",
    "quotas",
    "conflicts",
    "capacities",
    "limits",
)
"""Names of the checks that make a lottery drawn by terms keep its promises."""
_ULP = 2.0**-52


def statement(market: PseudoMarket, gap: float) -> str:
    """Say what is true of a timetable whose lottery is verified.

    Parameters
    ----------
    market : PseudoMarket
        The market. Of classes that overlap something is said only where it has conflicts: labels of slots
        do not tell all that overlaps.
    gap : float
        Largest part of her best affordable value that some agent falls short of.
    """
    kept = (
        "no student exceeds her load, takes two sections of a course or two classes that overlap"
        if len(market.conflict_pairs)
        else "no student breaks a quota"
    )
    return (
        f"In every possible draw {kept}, and no section exceeds its seats. The published probabilities are "
        "exactly those of the draw. At the published prices no student could do better by more than "
        f"{max(gap, 0.0):.1e} of her best affordable value. This was checked on this instance; it is not a "
        "theorem for all timetables."
    )


def verify_timetable(
    market: PseudoMarket,
    prices: FloatArray,
    shares: RandomAllocation,
    lottery: Lottery | None,
    *,
    row_prices: FloatArray | None = None,
    tol: float = 1e-9,
) -> Certificate:
    """Check every condition of a strong equilibrium at the shares of a lottery drawn by terms.

    Parameters
    ----------
    market : PseudoMarket
        The market; quotas may cross and goods conflict.
    prices : FloatArray, shape (n_goods,)
        Full prices that agents pay, limit prices included.
    shares : RandomAllocation
        Expected copies, those of the lottery.
    lottery : Lottery or None
        Drawn by terms. Without one, utilities are those of the mean, and ``terms optimal`` fails.
    row_prices : FloatArray, shape (n_goods + n_limits,), optional
        Capacity prices, then limit prices; needed where the market has limits, else ``prices``.
    tol : float
        Largest residual that passes.
    """
    claim = _claim(market, prices, shares, row_prices, lottery)
    fault = claim.not_finite()
    if fault:
        return Certificate(REQUIRED, tuple(Check(name, np.nan, tol, fault) for name in REQUIRED))
    conditions = {**CONDITIONS, "envy": _envy, "terms optimal": _terms_optimal}
    with np.errstate(all="ignore"):
        checks = tuple(check_of(name, conditions[name](claim), tol) for name in REQUIRED)
    return Certificate(REQUIRED, checks)


def lottery_losses(
    market: PseudoMarket, prices: FloatArray, shares: RandomAllocation, lottery: Lottery | None
) -> FloatArray:
    """Compute what each agent falls short of her best affordable utility, relative to it.

    Parameters
    ----------
    market, prices, shares, lottery
        As in :func:`verify_timetable`.

    Returns
    -------
    FloatArray, shape (n_agents,)
    """
    rows = np.zeros(market.n_goods + len(market.limit_sets))
    return _claim(market, prices, shares, rows, lottery).loss


def verify_terms(market: PseudoMarket, lottery: Lottery, shares: RandomAllocation) -> Certificate:
    """Check that every term of a lottery is an assignment within all bounds, and their mean the shares.

    Parameters
    ----------
    market : PseudoMarket
        The constraints.
    lottery : Lottery
        Drawn by terms.
    shares : RandomAllocation
        As published, with the market's agents and goods.
    """
    odd = {*lottery.agents} ^ {*market.agents} | {*lottery.goods} ^ {*market.goods}
    if odd or lottery.terms is None:
        fault = f"ids of one only: {', '.join(sorted(odd)[:5])}" if odd else "the lottery has no terms"
        checks = [Check(name, np.nan, 0.0, fault) for name in REQUIRED_OF_TERMS[1:]]
        return Certificate(
            REQUIRED_OF_TERMS, (Check("agents and goods", len(odd) or 1.0, 0.0, fault), *checks)
        )
    view = _Terms(market, lottery)
    found = {
        "agents and goods": (0.0, ""),
        "weights": view.weights_off(),
        "expectations": view.expectations_off(shares),
        "acceptable pairs": view.unacceptable(),
        "quotas": view.outside_quotas(),
        "conflicts": view.conflicting(),
        "capacities": view.beyond_capacities(),
        "limits": view.beyond_limits(),
    }
    tolerance = {"expectations": 4 * _ULP}
    checks = [Check(name, *_told(found[name], tolerance.get(name, 0.0))) for name in REQUIRED_OF_TERMS]
    return Certificate(REQUIRED_OF_TERMS, tuple(checks))


def _told(finding: Finding, tolerance: float) -> tuple[float, float, str]:
    residual, witness = finding
    return residual, tolerance, "" if residual <= tolerance else witness


class _Terms:
    """The terms of a lottery, with cells in positions of the market."""

    def __init__(self, market: PseudoMarket, lottery: Lottery) -> None:
        if lottery.terms is None:
            raise TypeError(lottery)
        self.market, self.lottery = market, lottery
        agent_at = {agent: i for i, agent in enumerate(market.agents)}
        good_at = {good: j for j, good in enumerate(market.goods)}
        self.agent = np.array([agent_at[a] for a in lottery.agents], dtype=np.int64)[lottery.cell_agent]
        self.good = np.array([good_at[g] for g in lottery.goods], dtype=np.int64)[lottery.cell_good]
        terms = lottery.terms
        self.weights = terms.weights.tolist()
        self.copies = sp.csr_array(
            np.array([terms.copies(t) for t in range(terms.n_terms)], dtype=np.float64)
        )
        pairs = market.pair_agent * market.n_goods + market.pair_good
        cells = self.agent * market.n_goods + self.good
        at = np.minimum(np.searchsorted(pairs, cells), max(len(pairs) - 1, 0))
        self.accepted: BoolArray = pairs[at] == cells if len(pairs) else np.zeros(len(cells), dtype=bool)
        self.pair: IntArray = np.where(self.accepted, at, 0)

    @cached_property
    def chance(self) -> FloatArray:
        """Probability of each term."""
        return np.array([weight / self.lottery.denominator for weight in self.weights])

    def by_agent(self, amounts: FloatArray) -> FloatArray:
        """Sum an amount per copy over every agent's bundle, shape (n_terms, n_agents)."""
        place = (np.arange(len(self.agent)), self.agent)
        spread = sp.csr_array((amounts, place), shape=(len(self.agent), self.market.n_agents))
        return np.asarray((self.copies @ spread).toarray())

    def utilities(self) -> FloatArray:
        """Compute the utility of every agent's bundle, shape (n_terms, n_agents)."""
        market = self.market
        total = self.by_agent(np.where(self.accepted, market.base_values[self.pair], 0.0))
        for bound in market.bound_sets:
            if not len(bound.marginals):
                continue
            count = self.by_agent(np.isin(self.good, bound.goods).astype(np.float64))
            bound_agents = np.zeros(market.n_agents, dtype=bool)
            bound_agents[slice(None) if bound.agents is None else bound.agents] = True
            for step in np.flatnonzero(np.diff(bound.marginals) < 0):
                fall = bound.marginals[step] - bound.marginals[step + 1]
                total -= np.where(bound_agents, fall * np.maximum(count - (step + 1), 0.0), 0.0)
        return total

    def weights_off(self) -> Finding:
        total, least = sum(self.weights), min(self.weights, default=0)
        off = max(abs(total - self.lottery.denominator), 1 - least, 0)
        return float(off), f"the weights add up to {total}, the least is {least}"

    def expectations_off(self, shares: RandomAllocation) -> Finding:
        market = self.market
        mean = sp.csr_array(
            (self.copies.T @ self.chance, (self.agent, self.good)), shape=(market.n_agents, market.n_goods)
        )
        off = sp.coo_array(abs(mean - shares.matrix))
        if not len(off.data):
            return 0.0, ""
        k = int(np.argmax(off.data))
        agent, good = market.agents[off.row[k]], market.goods[off.col[k]]
        return float(off.data[k]), f"agent '{agent}', good '{good}'"

    def unacceptable(self) -> Finding:
        most = np.asarray(self.copies.max(axis=0).todense()).ravel() if self.copies.shape[0] else np.zeros(0)
        allowed = np.where(self.accepted, self.market.per_agent[self.good], 0)
        return _worst(most - allowed, lambda k: self._pair(k))

    def outside_quotas(self) -> Finding:
        worst: Finding = (0.0, "")
        for bound in self.market.bound_sets:
            if len(bound.marginals):
                continue
            count = self.by_agent(np.isin(self.good, bound.goods).astype(np.float64))
            over = np.where(bound.upper < UNBOUNDED, count - bound.upper, -np.inf)
            off = np.maximum(over, bound.lower - count)

            def tell(k: int, off: FloatArray = off, label: str = bound.label) -> str:
                term, i = divmod(k, off.shape[1])
                return f"term {term}: {label} of agent '{self.market.agents[i]}'"

            worst = max(worst, _worst(off.ravel(), tell))
        return worst

    def conflicting(self) -> Finding:
        market = self.market
        cell = np.full((market.n_agents, market.n_goods), -1)
        cell[self.agent, self.good] = np.arange(len(self.agent))
        held = sp.csc_array(self.copies)
        count, witness = 0, ""
        for one, other in market.conflict_pairs.tolist():
            both = np.flatnonzero((cell[:, one] >= 0) & (cell[:, other] >= 0))
            if not len(both):
                continue
            clash = (held[:, cell[both, one]].multiply(held[:, cell[both, other]])).tocoo()
            if clash.nnz:
                agent = market.agents[both[clash.col[0]]]
                goods = f"'{market.goods[one]}' and '{market.goods[other]}'"
                witness = witness or f"term {clash.row[0]} gives agent '{agent}' {goods}"
            count += clash.nnz
        return float(count), witness

    def beyond_capacities(self) -> Finding:
        market = self.market
        given = self._by_good()
        off = given - market.capacities

        def tell(k: int) -> str:
            term, j = divmod(k, market.n_goods)
            return f"term {term} gives {given[term, j]:g} of good '{market.goods[j]}'"

        return _worst(off.ravel(), tell)

    def beyond_limits(self) -> Finding:
        worst: Finding = (0.0, "")
        given = self._by_good()
        for limit, (goods, bound) in zip(self.market.limits, self.market.limit_sets, strict=True):
            off = given[:, goods].sum(axis=1) - bound
            k = int(np.argmax(off)) if len(off) else -1
            if k >= 0 and off[k] > worst[0]:
                worst = float(off[k]), f"term {k}: {limit.label}"
        return worst

    def _by_good(self) -> FloatArray:
        place = (np.arange(len(self.good)), self.good)
        spread = sp.csr_array((np.ones(len(self.good)), place), shape=(len(self.good), self.market.n_goods))
        return np.asarray((self.copies @ spread).toarray())

    def _pair(self, cell: int) -> str:
        return f"agent '{self.market.agents[self.agent[cell]]}', good '{self.market.goods[self.good[cell]]}'"


def _claim(
    market: PseudoMarket,
    prices: FloatArray,
    shares: RandomAllocation,
    row_prices: FloatArray | None,
    lottery: Lottery | None,
) -> _TermClaim:
    base = read_claim(market, prices, shares, row_prices)
    return _TermClaim(
        base.market, base.signed_prices, base.shares, base.signed_row_prices, base.money, lottery
    )


@dataclass(frozen=True, eq=False)
class _TermClaim(Claim):
    """A claimed equilibrium with its lottery."""

    lottery: Lottery | None

    @cached_property
    def terms(self) -> _Terms | None:
        drawable = self.lottery is not None and self.lottery.drawn_by == "terms"
        return _Terms(self.market, self.lottery) if self.lottery is not None and drawable else None

    @cached_property
    def menus(self) -> Menus:
        return open_menus(self.market)

    @cached_property
    def demand(self) -> Demand:
        return best_lotteries(self.market, self.prices, self.menus)

    @cached_property
    def utility(self) -> FloatArray:
        if self.terms is not None:
            return np.asarray(self.terms.chance @ self.term_utility)
        return utilities(self.market, self.copies)

    @cached_property
    def term_utility(self) -> FloatArray:
        """Utility of every term for every agent, shape (n_terms, n_agents)."""
        return np.zeros((0, self.market.n_agents)) if self.terms is None else self.terms.utilities()


def _terms_optimal(claim: Claim) -> Finding:
    if not isinstance(claim, _TermClaim) or claim.terms is None:
        return np.nan, "there is no lottery"
    demand, market = claim.demand, claim.market
    wants = np.isfinite(demand.value)
    cost = claim.terms.by_agent(claim.prices[claim.terms.good])
    short = (demand.surplus - (claim.term_utility - demand.money_value * cost)) / demand.scale
    # Who can afford the best is to get it in every term, at the same least cost.
    waste = np.abs(cost - demand.peak_cost) / market.budgets
    off = np.where(demand.satiated, np.maximum(short, waste), short)

    def tell(k: int) -> str:
        term, i = divmod(k, market.n_agents)
        return f"term {term} gives agent '{market.agents[i]}' a bundle that is not a best one"

    return _worst(np.where(wants, off, 0.0).ravel(), tell)


def _envy(claim: Claim) -> Finding:
    if not isinstance(claim, _TermClaim) or claim.terms is None:
        return np.nan, "there is no lottery"
    market, menus, terms = claim.market, claim.menus, claim.terms
    start, weight, good_start, good, number = _bundles(terms)
    worth = sp.csr_array(
        (np.maximum(market.base_values, 0.0), (market.pair_agent, market.pair_good)), shape=claim.shares.shape
    )
    _, purse = np.unique(market.budgets, return_inverse=True)
    worst: tuple[float, int, int] = (0.0, -1, -1)
    step = max(1, 20_000_000 // max(market.n_agents, 1))
    for first in range(0, market.n_agents, step):
        reach = np.asarray((worth[first : first + step] @ claim.shares.T).toarray())
        found = _worst_of(
            first,
            reach,
            purse.ravel(),
            claim.utility,
            claim.demand.scale,
            worst[0],
            menus.start,
            menus.good,
            menus.value,
            menus.row_start,
            menus.lower,
            menus.upper,
            menus.penalty,
            menus.in_start,
            menus.in_row,
            menus.excludes,
            start,
            weight,
            good_start,
            good,
            number,
        )
        if found[1] >= 0:
            worst = found
    envy, who, whom = worst
    if who < 0:
        return 0.0, ""
    agents = market.agents
    return envy, f"agent '{agents[who]}' would gain {envy:.3g} from the lottery of '{agents[whom]}'"


def _bundles(terms: _Terms) -> tuple[IntArray, FloatArray, IntArray, IntArray, IntArray]:
    """List every agent's distinct bundles: offsets by agent, chances, offsets by bundle, goods, copies."""
    market = terms.market
    owned: list[dict[tuple[tuple[int, int], ...], float]] = [{} for _ in range(market.n_agents)]
    for t, chance in enumerate(terms.chance.tolist()):
        span = slice(terms.copies.indptr[t], terms.copies.indptr[t + 1])
        cells, number = terms.copies.indices[span], terms.copies.data[span].astype(np.int64)
        order = np.lexsort((terms.good[cells], terms.agent[cells]))
        agents = terms.agent[cells][order]
        pairs = list(zip(terms.good[cells][order].tolist(), number[order].tolist(), strict=True))
        cuts = np.searchsorted(agents, np.arange(market.n_agents + 1)).tolist()
        for i, mine in enumerate(owned):
            bundle = tuple(pairs[cuts[i] : cuts[i + 1]])
            mine[bundle] = mine.get(bundle, 0.0) + chance
    start = np.cumsum([0, *map(len, owned)])
    flat = [bundle for mine in owned for bundle in mine]
    weight = np.array([chance for mine in owned for chance in mine.values()])
    good_start = np.cumsum([0, *map(len, flat)])
    good = np.array([j for bundle in flat for j, _ in bundle], dtype=np.int64)
    number = np.array([n for bundle in flat for _, n in bundle], dtype=np.int64)
    return start.astype(np.int64), weight, good_start.astype(np.int64), good, number


@njit(cache=True)
def _worst_of(
    first: int,
    reach: FloatArray,
    purse: IntArray,
    utility: FloatArray,
    scale: FloatArray,
    worst: float,
    start: IntArray,
    good: IntArray,
    value: FloatArray,
    row_start: IntArray,
    lower: FloatArray,
    upper: FloatArray,
    penalty: FloatArray,
    in_start: IntArray,
    in_row: IntArray,
    excludes: BoolArray,
    bundle_start: IntArray,
    weight: FloatArray,
    good_start: IntArray,
    bundle_good: IntArray,
    number: IntArray,
) -> tuple[float, int, int]:
    """Find the largest envy of agents from ``first`` on, above ``worst``."""
    who, whom = -1, -1
    room = np.zeros(excludes.shape[0], dtype=np.int64)
    for r in range(len(reach)):
        i = first + r
        own = slice(start[i], start[i + 1])
        rows = slice(row_start[i], row_start[i + 1])
        g, lo, hi, pen = good[own], lower[rows], upper[rows], penalty[rows]
        entries = in_start[start[i] : start[i + 1] + 1]
        free = np.zeros(len(g))
        clash = np.zeros((0, 0), dtype=np.bool_)
        for k in range(len(purse)):
            # What the copies would be worth without bounds is an upper bound on their use.
            if k == i or purse[k] != purse[i] or reach[r, k] - utility[i] <= worst * scale[i]:
                continue
            if len(clash) == 0:
                clash = _clashes(g, hi, pen, entries, in_row, excludes)
            use = 0.0
            for b in range(bundle_start[k], bundle_start[k + 1]):
                for e in range(good_start[b], good_start[b + 1]):
                    room[bundle_good[e]] = number[e]
                part = value[own].copy()
                for c in range(len(g)):
                    if room[g[c]] > 0:
                        room[g[c]] -= 1
                    else:
                        part[c] = -np.inf
                for e in range(good_start[b], good_start[b + 1]):
                    room[bundle_good[e]] = 0
                feasible, best, _, _ = _search(g, part, free, lo, hi, pen, entries, in_row, clash, 1.0, 0.0)
                use += weight[b] * (best if feasible else -np.inf)
            if use - utility[i] > worst * scale[i]:
                worst, who, whom = (use - utility[i]) / scale[i], i, k
    return worst, who, whom
