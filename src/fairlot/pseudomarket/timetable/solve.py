r"""Solve a market whose quotas cross: an equilibrium, then a lottery, with an honest word on the outcome.

1. Equilibrium in expected copies x within all rows (:mod:`~fairlot.pseudomarket.timetable.path`),
   polished.
2. A vertex of its optimal face, students who entered the same averaged
   (:mod:`~fairlot.pseudomarket.timetable.vertex`).
3. Wolfe's nearest point: a lottery over assignments in the optimal face whose mean is x. If x is proved to
   be none, a lottery of any other copies in the face with the same spending.
4. The certificate is made of the lottery's own mean. *Exact* means that it passes; *impossible*, that no
   lottery is an equilibrium at these prices, with the direction that proves it; *close* is the rest.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp

from fairlot.certificate import Certificate, Stats, Status
from fairlot.errors import InvalidProblemError
from fairlot.lottery.terms import lottery_of_terms, shares_of_terms
from fairlot.lottery.wolfe import Hull, free_cells, nearest_lottery
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.lotteries import Lottery
from fairlot.model.market import PseudoMarket, utilities
from fairlot.model.shares import RandomAllocation
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.equilibrium import Equilibrium, budget_gap
from fairlot.pseudomarket.joint.start import prices_of_money
from fairlot.pseudomarket.polish import polish
from fairlot.pseudomarket.preconditions import Infeasibility
from fairlot.pseudomarket.timetable.compiled import Cut, compile_rows
from fairlot.pseudomarket.timetable.fallback import fair_lottery
from fairlot.pseudomarket.timetable.feasible import rows_feasible
from fairlot.pseudomarket.timetable.hull import separating_cut
from fairlot.pseudomarket.timetable.path import follow_rows
from fairlot.pseudomarket.timetable.result import Impossibility, Outcome, TimetableEquilibrium
from fairlot.pseudomarket.timetable.vertex import optimal_face, treat_alike, vertex
from fairlot.verify.branching import best_lotteries
from fairlot.verify.timetable import REQUIRED, lottery_losses, verify_timetable

_ATTEMPTS = 4
"""Paths of different weights, until one is certified."""
_ROUNDS = 5
_CUT_ROUNDS = 30
"""Times that rows are added for agents whose copies are outside the hull of their own bundles."""
_LOWER = 0.3
_LOSS = 1e-6
_EXACT = 1e-11
"""Distance between mean and copies at which the lottery is theirs."""
_OUTSIDE = 1e-7
"""Distance from the hull, proved, below which a proof is not told from rounding."""


def solve_timetable(
    market: PseudoMarket,
    *,
    tol: float = 1e-9,
    time_limit: float | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
    extra_seats: int = 0,
) -> TimetableEquilibrium:
    """Find prices and a lottery over assignments for a market whose quotas cross.

    Parameters
    ----------
    market : PseudoMarket
        The market; laminar ones are better served by ``solve_equilibrium``.
    tol : float
        Tolerance of the certificate, as of :func:`~fairlot.verify.timetable.verify_timetable`.
    time_limit : float, optional
        Seconds.
    seed : int
        Of the path's weights and of the vertex.
    reporter : Reporter, optional
        Told the stages and residuals.
    extra_seats : int
        Where no exact lottery exists at the prices found, how many goods may get one more seat each. 0, the
        default, adds none.

    Returns
    -------
    TimetableEquilibrium
        ``CERTIFIED`` if the outcome is exact.

    Examples
    --------
    >>> from fairlot.testing.timetables import timetable_market
    >>> found = solve_timetable(timetable_market(12, 6, slots=3, load=2))
    >>> found.status.value, found.outcome.value
    ('certified', 'exact')
    """
    began = time.monotonic()
    reporter = reporter or NullReporter()
    deadline = None if time_limit is None else began + time_limit
    parameters = {"tol": tol, "time_limit": time_limit, "seed": seed, "extra_seats": extra_seats}

    def stats(iterations: int) -> Stats:
        return Stats("timetable", iterations, time.monotonic() - began, parameters)

    infeasibility = rows_feasible(market)
    if infeasibility is not None:
        return _refused(market, infeasibility, stats(0))
    search = _Search(market, tol, seed, deadline, reporter)
    best = search.run()
    if best.outcome is Outcome.IMPOSSIBLE and extra_seats > 0:
        seated = _with_seats(market, best, extra_seats, tol, seed, deadline, reporter)
        if seated is not None:
            return seated.published(stats(search.iterations))
    if best.outcome is Outcome.IMPOSSIBLE:
        best = search.instead(best)
    return best.published(stats(search.iterations))


@dataclass
class _Claim:
    """An equilibrium claim with its lottery, certified as far as it goes."""

    market: PseudoMarket
    row_prices: FloatArray
    prices: FloatArray
    shares: RandomAllocation
    lottery: Lottery | None
    certificate: Certificate
    outcome: Outcome
    hull: Hull | None
    deviation: float
    late: bool
    impossibility: Impossibility | None = None
    outside: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    x: FloatArray = field(default_factory=lambda: np.empty(0))
    extra_seats: tuple[tuple[str, int], ...] = ()

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """How much to prefer this claim: smaller is better."""
        residuals = np.array([check.residual for check in self.certificate.checks])
        worst = float(np.where(np.isfinite(residuals), residuals, np.inf).max())
        return not self.certificate.passed, self.lottery is None, worst

    def published(self, stats: Stats) -> TimetableEquilibrium:
        """Make the result."""
        market, certificate = self.market, self.certificate
        demand = best_lotteries(market, self.prices)
        status = Status.CERTIFIED if certificate.passed else Status.UNCERTIFIED
        if not certificate.passed and self.late:
            status = Status.TIME_LIMIT
        for part in (self.prices, self.row_prices, demand.money_value, demand.satiated):
            part.flags.writeable = False
        hull = self.hull
        return TimetableEquilibrium(
            market=market,
            prices=self.prices,
            row_prices=self.row_prices,
            shares=self.shares,
            money_values=demand.money_value,
            status=status,
            certificate=certificate,
            stats=stats,
            utility_loss=lottery_losses(market, self.prices, self.shares, self.lottery),
            envy=certificate["envy"].residual,
            budget_gap=budget_gap(market, self.prices, self.shares, demand.satiated),
            clearing=max(certificate["supply"].residual, certificate["clearing"].residual),
            satiated=demand.satiated,
            outcome=self.outcome,
            drawn_from=self.lottery,
            deviation=self.deviation,
            programs=0 if hull is None else hull.programs,
            integer_programs=0 if hull is None else hull.integer_programs,
            impossibility=self.impossibility,
            extra_seats=self.extra_seats,
            outside_hull=tuple(market.agents[i] for i in self.outside.tolist()),
        )


@dataclass
class _Search:
    """One call of the solver: what has been claimed so far, and what is left of the time."""

    market: PseudoMarket
    tol: float
    seed: int
    deadline: float | None
    reporter: Reporter
    iterations: int = 0
    claims: list[_Claim] = field(default_factory=list)

    def run(self) -> _Claim:
        """Follow paths of different weights until a claim is certified, or its impossibility proved."""
        cuts: list[Cut] = []
        compiled = compile_rows(self.market)
        attempt, rounds = 0, 0
        while attempt < _ATTEMPTS and rounds < _CUT_ROUNDS:
            claim = self._claim(compiled, self._equilibrium(compiled, self.seed + attempt))
            self.claims.append(claim)
            if claim.outcome is not Outcome.CLOSE or self._late():
                break
            found = self._cuts(compiled, claim)
            cuts += found
            if found:
                compiled, rounds = compile_rows(self.market, cuts), rounds + 1
            else:
                attempt += 1
        return min(self.claims, key=lambda claim: claim.rank)

    def _cuts(self, compiled: CompiledMarket, claim: _Claim) -> list[Cut]:
        """Find rows for those whose copies are no lottery of their own bundles."""
        if compiled.n_pairs == 0:
            return []
        part = free_cells(claim.x)
        copies = compiled.copies(claim.x)
        who = np.union1d(claim.outside, compiled.agent[part]).tolist()
        found = (separating_cut(self.market, i, copies) for i in who)
        return [cut for cut in found if cut is not None]

    def instead(self, claim: _Claim) -> _Claim:
        """Publish, where no lottery is an equilibrium, the one that gives everybody most of her share."""
        if claim.impossibility is None:
            return claim
        demand = best_lotteries(self.market, claim.prices)
        found = fair_lottery(self.market, demand.value, deadline=self.deadline, reporter=self.reporter)
        if found is None:
            return claim
        pairs = np.arange(self.market.values.nnz)
        lottery = lottery_of_terms(self.market, found.weights, pairs, found.copies)
        shares = shares_of_terms(self.market, lottery)
        impossibility = replace(claim.impossibility, guarantee=found.level, guarantee_bound=found.bound)
        certificate = verify_timetable(
            self.market, claim.prices, shares, lottery, row_prices=claim.row_prices, tol=self.tol
        )
        return replace(
            claim, lottery=lottery, shares=shares, certificate=certificate, impossibility=impossibility
        )

    def _equilibrium(self, compiled: CompiledMarket, seed: int) -> Point:
        """Follow a path, polished; lower the price of money for who misses her greatest utility by it."""
        if compiled.n_pairs == 0:
            return _nothing(compiled)
        epsilon = prices_of_money(compiled)
        for _ in range(_ROUNDS):
            followed = follow_rows(
                compiled, epsilon=epsilon, deadline=self.deadline, seed=seed, reporter=self.reporter
            )
            self.iterations += followed.iterations
            point = polish(compiled, followed)
            deprived = _deprived(compiled, followed, epsilon)
            if not deprived.any() or not followed.finished or self._late():
                break
            epsilon = np.where(deprived, _LOWER * epsilon, epsilon)
        return point

    def _claim(self, compiled: CompiledMarket, point: Point) -> _Claim:
        """Find a lottery for an equilibrium, and certify it."""
        market = self.market
        face = optimal_face(compiled, point)
        x = treat_alike(compiled, vertex(face, point.x, self.seed)) if compiled.n_pairs else point.x
        polytope, free = face.polytope(x)
        hull = nearest_lottery(x[free], polytope, tol=_EXACT, deadline=self.deadline, reporter=self.reporter)
        base, impossibility = np.rint(x), None
        if _separated(hull):
            # These copies are no lottery; others that cost everybody the same may be.
            polytope, free = face.polytope()
            bound = np.flatnonzero(face.bound)
            base = np.where(face.high > face.low, 0.0, face.low)
            spend = face.cost_rows[bound]
            hull = nearest_lottery(
                face.spending[bound] - spend @ base,
                polytope,
                map_points=sp.csr_array(spend[:, free]),
                tol=_EXACT,
                deadline=self.deadline,
                reporter=self.reporter,
            )
            if _separated(hull) and hull.direction is not None:
                direction = np.zeros(market.n_agents)
                direction[bound] = hull.direction
                impossibility = Impossibility(direction, hull.beyond, np.nan, np.nan)
        row_prices = np.where(face.sold, point.q, 0.0) * compiled.budget_scale
        prices = np.asarray(compiled.rows.T @ row_prices)
        lottery, shares = self._lottery(compiled, x, base, free, hull)
        certificate = verify_timetable(market, prices, shares, lottery, row_prices=row_prices, tol=self.tol)
        outcome = Outcome.EXACT if certificate.passed else Outcome.CLOSE
        outside = _outside(compiled, x, prices)
        if impossibility is not None and not len(outside):
            outcome = Outcome.IMPOSSIBLE
        wanted = sp.csr_array(
            (compiled.copies(x), (market.pair_agent, market.pair_good)), shape=market.values.shape
        )
        apart = abs(shares.matrix - wanted)
        return _Claim(
            market=market,
            row_prices=row_prices,
            prices=prices,
            shares=shares,
            lottery=lottery,
            certificate=certificate,
            outcome=outcome,
            hull=hull,
            deviation=float(apart.max()) if apart.nnz else 0.0,
            late=self._late(),
            impossibility=impossibility if not len(outside) else None,
            outside=outside,
            x=x,
        )

    def _lottery(
        self, compiled: CompiledMarket, x: FloatArray, base: FloatArray, free: IntArray, hull: Hull
    ) -> tuple[Lottery | None, RandomAllocation]:
        """Publish the terms found; where there are none, the copies themselves without a lottery."""
        market = self.market
        if len(hull.weights):
            whole = compiled.forced.astype(np.int64)
            whole[compiled.pairs] += np.rint(base).astype(np.int64)
            chance = compiled.pairs[free]
            whole[chance] = 1  # so that they are among the pairs in use
            pairs = np.flatnonzero(whole)
            terms = np.tile(whole[pairs], (len(hull.weights), 1))
            terms[:, np.searchsorted(pairs, chance)] = hull.terms
            try:
                lottery = lottery_of_terms(market, hull.weights, pairs, terms)
                return lottery, shares_of_terms(market, lottery)
            except InvalidProblemError:
                pass
        mean = sp.csr_array(
            (compiled.copies(x), (market.pair_agent, market.pair_good)), shape=market.values.shape
        )
        return None, RandomAllocation(market.agents, market.goods, mean)

    def _late(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline


def _separated(hull: Hull) -> bool:
    return hull.direction is not None and hull.beyond > _OUTSIDE


def _outside(compiled: CompiledMarket, x: FloatArray, prices: FloatArray) -> IntArray:
    """Find agents whose rows promise more than any lottery of their bundles is worth."""
    demand = best_lotteries(compiled.market, prices)
    more = utilities(compiled.market, compiled.copies(x)) - demand.value
    return np.flatnonzero(more > _LOSS * demand.scale)


def _deprived(compiled: CompiledMarket, point: Point, epsilon: FloatArray) -> BoolArray:
    """Agents whom the price of money keeps from what they can afford: satiated by it, and short of that."""
    market = compiled.market
    prices = np.maximum(compiled.rows.T @ point.q, 0.0) * compiled.budget_scale
    demand = best_lotteries(market, prices)
    short = (demand.value - utilities(market, compiled.copies(point.x))) / compiled.value_scale
    return np.asarray((point.alpha < 2.0 * epsilon) & (short > _LOSS))


def _nothing(compiled: CompiledMarket) -> Point:
    """Say that nobody gets more than her bounds force on her, at prices of 0."""
    return Point(
        x=np.zeros(0),
        q=np.zeros(len(compiled.supply)),
        alpha=np.zeros(compiled.n_agents),
        y=np.zeros(compiled.n_nodes),
        finished=True,
        iterations=0,
    )


def _with_seats(
    market: PseudoMarket,
    claim: _Claim,
    extra_seats: int,
    tol: float,
    seed: int,
    deadline: float | None,
    reporter: Reporter,
) -> _Claim | None:
    """Add a seat to one good after another, dearest first, until a lottery is exact."""
    capacities = np.array(market.capacities)
    added: list[tuple[str, int]] = []
    for j in np.argsort(-claim.prices, kind="stable")[:extra_seats].tolist():
        capacities[j] += 1
        added.append((market.goods[j], 1))
        larger = replace(market, capacities=capacities.copy())
        found = _Search(larger, tol, seed, deadline, reporter).run()
        if found.outcome is Outcome.EXACT:
            return replace(found, extra_seats=tuple(added))
    return None


def _refused(market: PseudoMarket, infeasibility: Infeasibility, stats: Stats) -> TimetableEquilibrium:
    from fairlot.pseudomarket.equilibrium import refuse

    plain: Equilibrium = refuse(market, infeasibility, stats)
    return TimetableEquilibrium(**{**vars(plain), "certificate": Certificate(REQUIRED, ())})
