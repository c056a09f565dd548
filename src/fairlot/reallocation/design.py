"""Menus by method, and what they are expected to save."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fairlot.certificate import Certificate, Stats, Status
from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.simulation import Simulation, simulate
from fairlot.reallocation.two_price import best_two_price
from fairlot.reallocation.value.bilateral import best_bilateral_trades, bilateral_menus
from fairlot.reallocation.value.no_choice import FirstBest, NoChoice, best_without_choice, first_best
from fairlot.verify.reallocation import verify_menus

Method = Literal["bilateral", "two-price"]


@dataclass(frozen=True, eq=False)
class Design:
    """Menus to publish, and what they are worth.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        One per agent.
    simulation : Simulation
        Drawn preferences, picks and selections under these menus.
    no_choice : NoChoice
        The best allocation that nobody could object to.
    first_best : FirstBest
        What could be saved if everybody's mind were known: no menus save more.
    large_market_saving, bilateral_saving : float, optional
        Where the method finds them on its way.
    status : Status
        As the certificate found it.
    certificate : Certificate
        See :func:`fairlot.verify.reallocation.verify_menus`.
    stats : Stats
        Method, seconds, seed.
    """

    problem: ReallocationProblem
    menus: Menus
    simulation: Simulation
    no_choice: NoChoice
    first_best: FirstBest
    large_market_saving: float | None
    bilateral_saving: float | None
    status: Status
    certificate: Certificate
    stats: Stats

    @property
    def expected_saving(self) -> float:
        """Mean saving over the simulated draws."""
        return self.simulation.mean

    def to_dict(self) -> dict[str, Any]:
        """Return the findings for ``summary.json``."""
        margin = 1.96 * self.simulation.standard_error
        return {
            "status_quo_cost": self.problem.status_quo_cost,
            "expected_saving": self.expected_saving,
            "expected_saving_interval": [self.expected_saving - margin, self.expected_saving + margin],
            "large_market_saving": self.large_market_saving,
            "no_choice_saving": self.no_choice.saving,
            "bilateral_saving": self.bilateral_saving,
            "first_best_saving": self.first_best.saving,
            "bound": self.first_best.saving,
            "bound_kind": "first best, mean of draws",
        }


def design_menus(
    problem: ReallocationProblem,
    *,
    method: Method = "bilateral",
    draws: int = 200,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Design:
    """Design menus.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    method : "bilateral" or "two-price"
        One trade for each of the best disjoint pairs; or two classes of tasks and two prices for each agent.
    draws : int
        Simulated draws of the preferences, at least 2.
    seed : int
        Of all draws.
    reporter : Reporter, optional
        Told how far the work is.
    """
    if method not in get_args(Method):
        raise InvalidProblemError([Issue("method", found=method, expected=" or ".join(get_args(Method)))])
    reporter = NullReporter() if reporter is None else reporter
    began = time.perf_counter()
    large_market, bilateral = None, None
    if method == "bilateral":
        trades = best_bilateral_trades(problem, seed=seed, reporter=reporter)
        menus, bilateral = bilateral_menus(problem, trades.disjoint), trades.saving
    else:
        reporter.stage("two prices")
        found = best_two_price(problem, seed=seed)
        menus = Menus.of(problem.agents, problem.tasks, []) if found is None else found.menus(problem)
        large_market = 0.0 if found is None else found.saving
    simulation = simulate(problem, menus, draws=draws, seed=seed, reporter=reporter)
    certificate = verify_menus(problem, menus)
    return Design(
        problem=problem,
        menus=menus,
        simulation=simulation,
        no_choice=best_without_choice(problem),
        first_best=first_best(problem, seed=seed),
        large_market_saving=large_market,
        bilateral_saving=bilateral,
        status=Status.CERTIFIED if certificate.passed else Status.UNCERTIFIED,
        certificate=certificate,
        stats=Stats(method, draws, time.perf_counter() - began, {"seed": seed}),
    )
