r"""Several equilibria of one market, by randomised starts.

A strong equilibrium need not be unique: with values (100, 20, 0) twice and (100, 80, 0), one unit for
everybody, both prices (2, 1, 0) and (5/2, 1/2, 0) are equilibria, and they treat agents differently. No
finite list of starts is sure to meet them all. Each start here takes another way: the path in price
space and the joint path with randomly weighted barriers, and Newton's method from the Nash program
with random weights; where they end is certified from scratch.

Two equilibria count as one if utilities and prices agree to 1e-6, prices up to what means nothing: where
all budgets are equal, everybody holds equally many copies and everything is scarce, prices may be
stretched away from the price of an average copy without any effect, and are compared as stretched
until the smallest is 0 (:mod:`~fairlot.pseudomarket.equilibrium`). Of a continuum of equilibria several
points may be listed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fairlot.certificate import Stats, Status
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket, utilities
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.compiled import CompiledMarket, Point, compile_market
from fairlot.pseudomarket.equilibrium import Equilibrium, claim_of, publish, stretched_prices
from fairlot.pseudomarket.polish import polish
from fairlot.pseudomarket.preconditions import Infeasibility, feasible_assignment

_SAME = 1e-6
_SPREAD = 1.0
"""Standard deviation of the logarithms of random Nash weights."""
_ROADS = ("path", "joint", "nash")


@dataclass(frozen=True, eq=False)
class Equilibria:
    """Distinct certified equilibria of one market; iterable, with a length.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    equilibria : tuple of Equilibrium
        All certified, in the order in which they were first met.
    counts : tuple of int
        How many starts ended at each.
    n_starts : int
        Starts made, those that ended at no equilibrium included.
    status : Status
        ``CERTIFIED`` if all starts were made and some succeeded, ``TIME_LIMIT`` if time ran out before,
        ``UNCERTIFIED`` if none succeeded, ``INFEASIBLE`` if no assignment respects all bounds. It never
        says that there are no others.
    stats : Stats
        What it cost.
    infeasibility : Infeasibility or None
        Who cannot be served, and what stands against it.
    """

    market: PseudoMarket
    equilibria: tuple[Equilibrium, ...]
    counts: tuple[int, ...]
    n_starts: int
    status: Status
    stats: Stats
    infeasibility: Infeasibility | None = None

    def __len__(self) -> int:
        return len(self.equilibria)

    def __iter__(self) -> Iterator[Equilibrium]:
        return iter(self.equilibria)

    def utilities(self) -> FloatArray:
        """Return everybody's utility in each equilibrium, shape (len(self), n_agents)."""
        rows = [_utility(found) for found in self.equilibria]
        return np.array(rows).reshape(len(rows), self.market.n_agents)


def find_equilibria(
    market: PseudoMarket,
    *,
    n_starts: int = 12,
    seed: int = 0,
    tol: float = 1e-9,
    time_limit: float | None = None,
    reporter: Reporter | None = None,
) -> Equilibria:
    """Look for several strong equilibria, from different starts.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    n_starts : int
        How many starts to make; the first three are those of
        :func:`~fairlot.pseudomarket.solve.solve_equilibrium`.
    seed : int
        Of the random weights.
    tol : float
        Tolerance of the certificates.
    time_limit : float, optional
        Seconds after which no start is made or continued.
    reporter : Reporter, optional
        Told the part of the starts made.

    Returns
    -------
    Equilibria
        Those met, each certified. That another was not met does not mean that there is none.

    Raises
    ------
    ValueError
        If ``n_starts`` is less than 1.
    InvalidProblemError
        If quotas and tapers of some agent cross.

    Examples
    --------
    >>> from fairlot.model.constraints import Quota
    >>> market = PseudoMarket.from_arrays(
    ...     [[100, 20, 0], [100, 20, 0], [100, 80, 0]], capacities=1, quotas=[Quota("one", max=1)]
    ... )
    >>> found = find_equilibria(market)
    >>> sorted(equilibrium.prices.round(6).tolist() for equilibrium in found)
    [[2.0, 1.0, 0.0], [2.5, 0.5, 0.0]]
    """
    if n_starts < 1:
        msg = f"n_starts is {n_starts}, expected at least 1"
        raise ValueError(msg)
    began = time.monotonic()
    deadline = None if time_limit is None else began + time_limit
    reporter = NullReporter() if reporter is None else reporter
    parameters = {"n_starts": n_starts, "tol": tol, "time_limit": time_limit, "seed": seed}
    infeasibility = feasible_assignment(market)
    if infeasibility is not None:
        stats = Stats("feasibility", 0, time.monotonic() - began, parameters)
        return Equilibria(market, (), (), 0, Status.INFEASIBLE, stats, infeasibility)
    compiled = compile_market(market)
    reporter.stage("equilibria")
    found: list[Equilibrium] = []
    counts: list[int] = []
    made = iterations = 0
    while made < n_starts and (deadline is None or time.monotonic() < deadline):
        road = _ROADS[made % len(_ROADS)]
        point = _travel(compiled, road, made // len(_ROADS), seed, deadline)
        iterations += point.iterations
        made += 1
        reporter.update(fraction=made / n_starts)
        claim = claim_of(compiled, polish(compiled, point), road, tol)
        if not claim.certificate.passed:
            continue
        stats = Stats(road, point.iterations, time.monotonic() - began, parameters)
        new = publish(market, claim, Status.CERTIFIED, stats)
        known = next((k for k, old in enumerate(found) if _same(old, new)), None)
        if known is None:
            found.append(new)
            counts.append(1)
        else:
            counts[known] += 1
    status = Status.CERTIFIED if found else Status.UNCERTIFIED
    stats = Stats("starts", iterations, time.monotonic() - began, parameters)
    return Equilibria(
        market,
        tuple(found),
        tuple(counts),
        made,
        Status.TIME_LIMIT if made < n_starts else status,
        stats,
    )


def _travel(compiled: CompiledMarket, road: str, turn: int, seed: int, deadline: float | None) -> Point:
    """Make one start; turn 0 of each road is not random."""
    from fairlot.pseudomarket.joint import solve_joint
    from fairlot.pseudomarket.nash import solve_nash
    from fairlot.pseudomarket.pricepath import solve_price_path

    of_turn = seed + turn if turn else 0
    if road == "path":
        return solve_price_path(compiled, seed=of_turn, deadline=deadline)
    if road == "joint":
        return solve_joint(compiled, seed=of_turn, deadline=deadline)
    rng = np.random.default_rng([seed, turn])
    spread = _SPREAD * rng.standard_normal(compiled.n_agents) if turn else np.zeros(compiled.n_agents)
    weights = 2.0 * compiled.budget * np.exp(spread)
    near = solve_nash(compiled, weights=weights, mu_end=1e-4, deadline=deadline)
    end = solve_joint(compiled, start=near, deadline=deadline)
    return replace(end, iterations=near.iterations + end.iterations)


def _utility(found: Equilibrium) -> FloatArray:
    market, shares = found.market, found.shares
    if shares is None:
        return np.full(market.n_agents, np.nan)
    copies = np.asarray(shares.matrix[market.pair_agent, market.pair_good]).ravel()
    return utilities(market, copies)


def _same(one: Equilibrium, other: Equilibrium) -> bool:
    u, v = _utility(one), _utility(other)
    alike = np.abs(u - v) <= _SAME * np.maximum(np.abs(u), np.abs(v)) + 1e-300
    p, q = stretched_prices(one), stretched_prices(other)
    return bool(alike.all() and np.abs(p - q).max(initial=0.0) <= _SAME * one.market.budgets.mean())
