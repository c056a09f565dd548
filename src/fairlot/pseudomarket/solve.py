"""Solve a pseudo-market: several roads, one certificate.

No road to a strong equilibrium is sure to arrive. The joint road is the fastest where it does; the path in
price space is the one for folds; Nash weights always end at something feasible that clears. Whatever a
road brings is polished, put back into the market's units and verified there from scratch. Only the
certificate decides: the first claim that passes is the result, else the best one, with its losses stated.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args, overload

import numpy as np

from fairlot.certificate import Stats, Status
from fairlot.model.economies import FiatEconomy
from fairlot.model.market import PseudoMarket
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.compiled import CompiledMarket, Point, compile_market
from fairlot.pseudomarket.equilibrium import Claim, Equilibrium, claim_of, publish, refuse
from fairlot.pseudomarket.nearby import point_near
from fairlot.pseudomarket.polish import polish, residual
from fairlot.pseudomarket.preconditions import feasible_assignment

if TYPE_CHECKING:
    from fairlot.pseudomarket.bundles.equilibrium import EconomyEquilibrium

Method = Literal["auto", "joint", "path", "nash", "bundles", "exact"]

_ITINERARY = (
    ("joint", 0, 0.35),
    ("path", 0, 0.6),
    ("nash", 0, 0.8),
    ("joint", 1, 0.9),
    ("path", 1, 1.0),
)
"""Road, what to add to the seed, and the part of the time limit by which the road has to end."""
_ONE_BOUND_ITINERARY = (("path", 0, 0.5), ("joint", 0, 0.6), ("nash", 0, 0.8), ("path", 1, 1.0))
"""The same where everybody has one bound over all that she may want: folds are many, and cheap to follow."""
_PIVOT_SHARE = 0.3
"""Part of the time limit by which pivots from an earlier result have to end."""
_MANY_PAIRS = 1_000_000
"""Above as many pairs, fewer factorisations are worth more than cheap ones."""
_JOINT_TOL, _PATH_TOL, _ONE_BOUND_TOL = 1e-9, 1e-10, 1e-8
"""Complementary products at which the roads end and polishing begins."""
_POOR = 0.01
"""Part of the mean budget from which an agent is so poor that the coarser of these says little of her."""
_CLOSE = 1e-6
"""Residual up to which a start may be an equilibrium already; polishing a worse one is time lost."""
_DEEPER_TOL, _NEAR = 1e-11, 1e-3
"""Where the joint road goes on to from a point of at most this residual, if polishing fails there."""


@overload
def solve_equilibrium(
    market: PseudoMarket,
    *,
    method: Method = "auto",
    tol: float = 1e-9,
    max_iter: int | None = None,
    time_limit: float | None = None,
    start: Equilibrium | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Equilibrium: ...


@overload
def solve_equilibrium(
    market: FiatEconomy,
    *,
    method: Method = "auto",
    tol: float = 1e-9,
    max_iter: int | None = None,
    time_limit: float | None = None,
    start: Equilibrium | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> EconomyEquilibrium: ...


def solve_equilibrium(
    market: PseudoMarket | FiatEconomy,
    *,
    method: Method = "auto",
    tol: float = 1e-9,
    max_iter: int | None = None,
    time_limit: float | None = None,
    start: Equilibrium | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Equilibrium | EconomyEquilibrium:
    r"""Find prices and expected shares that are a strong equilibrium.

    Every agent's lottery is then among the best that she can afford, and cheapest among those; capacities
    and limits hold, and what is left over has price 0.

    Parameters
    ----------
    market : PseudoMarket or FiatEconomy
        The market; or an economy of agents with valuations of bundles, which
        :func:`~fairlot.pseudomarket.bundles.solve.solve_economy` solves.
    method : "auto", "joint", "path", "nash", "bundles" or "exact"
        A road, or "auto": joint, path, nash, and the first two with another seed, until one is certified;
        path first where everybody has a single bound over all goods, as under unit demand.
        The last two are for small markets and for economies: ``exact`` gives fractions.
    tol : float
        Tolerance of the certificate, relative as :func:`~fairlot.verify.equilibrium.verify_equilibrium`
        says.
    max_iter : int, optional
        Factorisations after which no further attempt begins; the joint road stops there within one.
    time_limit : float, optional
        Seconds. The roads share it; no limit by default.
    start : Equilibrium, optional
        Of a market that shares agents and goods with this one, by their ids: where to begin. After a
        change that touches nothing scarce nothing is left to compute. After another small one
        (somebody drops out, a seat more) equilibria are followed pivot by pivot, ``stats.method`` is
        "pivots", and where that is lost, a shorter path from nearby.
    seed : int
        Of the random choices of some roads.
    reporter : Reporter, optional
        Told the stages and residuals.

    Returns
    -------
    Equilibrium
        ``CERTIFIED`` if every condition holds to ``tol``; ``INFEASIBLE``, without prices, if no assignment
        respects all bounds; else the best found, ``TIME_LIMIT``, ``ITERATION_LIMIT`` or ``UNCERTIFIED``,
        and the certificate says what it misses and by whom: with lower quotas and unequal budgets an
        agent may be unable to afford anything acceptable at any prices.

    Raises
    ------
    InvalidProblemError
        If quotas and tapers of some agent cross, or goods conflict, and the method is not "auto": then
        :func:`~fairlot.pseudomarket.timetable.solve.solve_timetable` takes over.
    ValueError
        If an option is out of range, or ``start`` shares no agent or no good with the market.

    References
    ----------
    F. Gul, W. Pesendorfer and M. Zhang, "Efficient Allocation of Indivisible Goods in Pseudomarkets with
    Constraints", Theorems 1 and 2. A. Hylland and R. Zeckhauser, "The Efficient Allocation of Individuals
    to Positions", Journal of Political Economy 87 (1979).

    Examples
    --------
    >>> from fairlot.model.constraints import Quota
    >>> market = PseudoMarket.from_arrays(
    ...     [[100, 20, 0], [100, 20, 0], [100, 80, 0]], capacities=1, quotas=[Quota("one", max=1)]
    ... )
    >>> found = solve_equilibrium(market)
    >>> found.status.value, float(found.prices[2])
    ('certified', 0.0)
    """
    if method not in get_args(Method):
        msg = f"method is {method!r}, expected one of {', '.join(get_args(Method))}"
        raise ValueError(msg)
    if isinstance(market, FiatEconomy):
        if method not in ("auto", "bundles", "exact"):
            msg = f"method is {method!r}; an economy is solved by auto, bundles or exact"
            raise ValueError(msg)
        from fairlot.pseudomarket.bundles.solve import solve_economy

        return solve_economy(
            market, method=method, tol=tol, time_limit=time_limit, seed=seed, reporter=reporter
        )
    if method in ("bundles", "exact"):
        from fairlot.pseudomarket.bundles.markets import solve_by_bundles

        return solve_by_bundles(
            market, method=method, tol=tol, time_limit=time_limit, seed=seed, reporter=reporter
        )
    if method == "auto" and market.crossings:
        from fairlot.pseudomarket.timetable.solve import solve_timetable

        return solve_timetable(market, tol=tol, time_limit=time_limit, seed=seed, reporter=reporter)
    if start is not None and (
        set(start.market.agents).isdisjoint(market.agents) or set(start.market.goods).isdisjoint(market.goods)
    ):
        msg = "start is of other agents or goods than the market"
        raise ValueError(msg)
    began = time.monotonic()
    parameters = {"method": method, "tol": tol, "max_iter": max_iter, "time_limit": time_limit, "seed": seed}

    def stats(road: str, iterations: int) -> Stats:
        return Stats(road, iterations, time.monotonic() - began, parameters)

    reporter = reporter or NullReporter()
    attempt = None
    if start is not None and not market.families.infeasible:
        attempt = _Attempt(compile_market(market), tol, max_iter, began, time_limit, seed, reporter)
    # A certified equilibrium is an assignment within all bounds: no need to look for one first.
    if attempt is None or start is None or not attempt.resume(start):
        infeasibility = feasible_assignment(market)
        if infeasibility is not None:
            return refuse(market, infeasibility, stats("feasibility", 0))
        if attempt is None:
            attempt = _Attempt(compile_market(market), tol, max_iter, began, time_limit, seed, reporter)
        attempt.run(method)
    best = attempt.best()
    return publish(market, best, attempt.status(best), stats(best.method, attempt.iterations))


@dataclass
class _Attempt:
    """One call of the solver: what has been claimed so far, and what is left of the limits."""

    compiled: CompiledMarket
    tol: float
    max_iter: int | None
    began: float
    time_limit: float | None
    seed: int
    reporter: Reporter
    iterations: int = 0
    claims: list[Claim] = field(default_factory=list)
    near: Point | None = None

    @property
    def one_bound(self) -> bool:
        """Whether the path in price space has its cheap form."""
        from fairlot.pseudomarket.pricepath import wants_one_bound

        return wants_one_bound(self.compiled)

    def resume(self, start: Equilibrium) -> bool:
        """Begin from an earlier result; whether it leads to a certified claim without a road."""
        from fairlot.pseudomarket.pivoting import shift_equilibrium

        if self.compiled.n_pairs == 0:
            return False
        near = self.near = point_near(self.compiled, start)
        if near is None:
            return False
        if residual(self.compiled, near) <= _CLOSE and self._accept(near, "start"):
            return True
        self.reporter.stage("pivots")
        shifted = shift_equilibrium(
            self.compiled, near, deadline=self._deadline(_PIVOT_SHARE), max_iter=self._left()
        )
        return shifted is not None and self._accept(shifted, "pivots")

    def run(self, method: Method) -> None:
        """Go down the roads until a claim is certified or the limits are reached."""
        if self.compiled.n_pairs == 0:
            self._accept(_nothing(self.compiled), "none")
            return
        point = self.near
        fold_first = self.one_bound and point is None and self.compiled.n_pairs <= _MANY_PAIRS
        itinerary = _ONE_BOUND_ITINERARY if fold_first else _ITINERARY
        trips = [trip for trip in itinerary if method in ("auto", trip[0])]
        for k, (road, more, share) in enumerate(trips):
            if self.claims and self._late() and road != "nash":
                continue  # out of time: only the road that always brings something is still taken
            deadline = self._deadline(share if k + 1 < len(trips) else 1.0)
            found = self._travel(road, point, self.seed + more, deadline)
            if self._accept(found, road) or self._spent():
                return
            if residual(self.compiled, found) <= _NEAR and self._accept(self._go_on(found, deadline), road):
                return

    def best(self) -> Claim:
        """Return the claim with the best certificate."""
        return min(self.claims, key=lambda claim: claim.rank)

    def status(self, claim: Claim) -> Status:
        """Say how the computation ended."""
        if claim.certificate.passed:
            return Status.CERTIFIED
        if self._late():
            return Status.TIME_LIMIT
        return Status.ITERATION_LIMIT if self._spent() else Status.UNCERTIFIED

    def _accept(self, point: Point, road: str) -> bool:
        """Have a point verified, polished and as it came; whether one of the two is certified."""
        self.iterations += point.iterations
        polished = polish(self.compiled, point)
        for candidate in (polished,) if polished is point else (polished, point):
            claim = claim_of(self.compiled, candidate, road, self.tol)
            self.claims.append(claim)
            if claim.certificate.passed:
                return True
        return False

    def _travel(self, road: str, start: Point | None, seed: int, deadline: float | None) -> Point:
        from fairlot.pseudomarket.joint import solve_joint
        from fairlot.pseudomarket.pricepath import solve_price_path
        from fairlot.pseudomarket.weights import search_weights

        compiled, reporter = self.compiled, self.reporter
        if road == "nash":
            return search_weights(
                compiled, tol=self.tol, deadline=deadline, max_iter=self._left(), reporter=reporter
            )
        if road == "joint":
            return solve_joint(
                compiled,
                start=start,
                tol=_JOINT_TOL,
                deadline=deadline,
                max_iter=self._left(),
                seed=seed,
                reporter=reporter,
            )
        coarse = self.one_bound and float(compiled.budget.min()) > _POOR
        tol = _ONE_BOUND_TOL if coarse else _PATH_TOL
        return solve_price_path(
            compiled,
            start=start,
            tol=tol,
            deadline=deadline,
            max_iter=self._left(),
            seed=seed,
            reporter=reporter,
        )

    def _go_on(self, found: Point, deadline: float | None) -> Point:
        from fairlot.pseudomarket.joint import solve_joint

        return solve_joint(
            self.compiled,
            start=found,
            tol=_DEEPER_TOL,
            deadline=deadline,
            max_iter=self._left(),
            reporter=self.reporter,
        )

    def _deadline(self, share: float) -> float | None:
        return None if self.time_limit is None else self.began + share * self.time_limit

    def _late(self) -> bool:
        deadline = self._deadline(1.0)
        return deadline is not None and time.monotonic() > deadline

    def _left(self) -> int | None:
        return None if self.max_iter is None else max(0, self.max_iter - self.iterations)

    def _spent(self) -> bool:
        return self.max_iter is not None and self.iterations >= self.max_iter


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
