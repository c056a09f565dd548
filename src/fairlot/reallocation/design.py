"""Menus by method, and what they are expected to save."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from fairlot.certificate import Certificate, Stats, Status
from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.parallel import Engine
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.large_market.bound import OuterBound, outer_bound
from fairlot.reallocation.large_market.fitting import fit_menus
from fairlot.reallocation.large_market.generation import LargeMarket, generate_columns
from fairlot.reallocation.large_market.mechanism import AssignedMenus, RandomisedMechanism
from fairlot.reallocation.large_market.past_picks import Period, beliefs_from_picks
from fairlot.reallocation.large_market.practical import Rules, Simplification, practical_menus
from fairlot.reallocation.large_market.pricing import Pricer, SearchPricer, Workers
from fairlot.reallocation.large_market.robust import least_regret, reference_problem
from fairlot.reallocation.large_market.two_classes import TwoClassPricer
from fairlot.reallocation.simulation import Simulation, simulate
from fairlot.reallocation.support.terms import Terms
from fairlot.reallocation.two_price import best_two_price
from fairlot.reallocation.value.bilateral import best_bilateral_trades, bilateral_menus
from fairlot.reallocation.value.no_choice import FirstBest, NoChoice, best_without_choice, first_best
from fairlot.verify.reallocation import verify_menus

Method = Literal["menus", "two-price", "bilateral", "robust", "past-picks"]


@dataclass(frozen=True, eq=False)
class Design:
    """Menus to publish, and what they are worth.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        One per agent.
    mechanism : RandomisedMechanism, optional
        The best mixture of menus for a large market; the menus are taken from those found for it.
    prices : FloatArray, shape (n_tasks,), optional
        What one more instance of each task is worth in that market.
    simulation : Simulation
        Drawn preferences, picks and selections under these menus: not the draws they were designed on.
    no_choice : NoChoice
        The best allocation that nobody could object to.
    first_best : FirstBest
        What could be saved if everybody's mind were known: no menus save more.
    bilateral_saving : float, optional
        Where the method finds it on its way.
    outer_bound : OuterBound, optional
        What no mixture of menus saves in a large market, if it was asked for.
    simplifications : tuple of Simplification
        What one menu for each agent, and each rule asked of the menus, costs in the large market.
    status : Status
        As the certificate found it.
    certificate : Certificate
        See :func:`fairlot.verify.reallocation.verify_menus`.
    stats : Stats
        Method, rounds, seconds; among the parameters the pseudo-gap of the search, which is not a bound, and
        whether the search ended by itself (``search``).
    """

    problem: ReallocationProblem
    menus: Menus
    mechanism: RandomisedMechanism | None
    prices: FloatArray | None
    simulation: Simulation
    no_choice: NoChoice
    first_best: FirstBest
    bilateral_saving: float | None
    outer_bound: OuterBound | None
    simplifications: tuple[Simplification, ...]
    status: Status
    certificate: Certificate
    stats: Stats

    @property
    def expected_saving(self) -> float:
        """Mean saving over the simulated draws."""
        return self.simulation.mean

    @property
    def interval(self) -> tuple[float, float]:
        """95% confidence interval of the expected saving."""
        margin = 1.96 * self.simulation.standard_error
        return self.expected_saving - margin, self.expected_saving + margin

    @property
    def large_market_saving(self) -> float | None:
        """Saving of the mechanism behind the menus when tasks need only be assigned in expectation."""
        return None if self.mechanism is None else self.mechanism.saving

    def to_dict(self) -> dict[str, Any]:
        """Return the findings for ``summary.json``."""
        return {
            "status_quo_cost": self.problem.status_quo_cost,
            "expected_saving": self.expected_saving,
            "expected_saving_interval": list(self.interval),
            "large_market_saving": self.large_market_saving,
            "no_choice_saving": self.no_choice.saving,
            "bilateral_saving": self.bilateral_saving,
            "first_best_saving": self.first_best.saving,
            "bound": self.first_best.saving if self.outer_bound is None else self.outer_bound.saving,
            "bound_kind": "first best, mean of draws"
            if self.outer_bound is None
            else f"all menus, large market: {self.outer_bound.kind}",
            "simplifications": [step.to_dict() for step in self.simplifications],
            **{
                key: self.stats.parameters[key]
                for key in ("search", "pseudo_gap", "rounds")
                if key in self.stats.parameters
            },
        }


def design_menus(
    problem: ReallocationProblem,
    *,
    method: Method = "menus",
    max_lines: int | None = None,
    round_rates: int | None = None,
    min_exchange: float | None = None,
    group_menus: Sequence[Hashable] | None = None,
    class_a: npt.ArrayLike | None = None,
    past: Sequence[Period] = (),
    draws: int = 200,
    seed: int = 0,
    tol: float = 2e-3,
    bound: bool = False,
    time_limit: float | None = None,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    reporter: Reporter | None = None,
) -> Design:
    """Design menus.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    method : str
        ``menus``: any polarized menus, by column generation on the large-market program, then fitted to a
        market of this size. ``two-price``: two
        classes of tasks and two prices for each agent. ``bilateral``: one trade for each of the best disjoint
        pairs. ``robust``: only the boxes of the beliefs are used, and each agent gets a menu of least regret.
        ``past-picks``: beliefs are estimated from ``past`` first. The modules of
        :mod:`fairlot.reallocation.large_market` state what the last two can and cannot do.
    max_lines, round_rates, min_exchange, group_menus
        What is asked of the menus: see :class:`fairlot.reallocation.large_market.practical.Rules`
        (``groups``). Not with ``bilateral`` and ``robust``.
    class_a : array_like of bool, shape (n_tasks,), optional
        One of the two classes, with ``two-price``; by default the best two are searched.
    past : sequence of (Menus, picks)
        With ``past-picks``: what was offered, and the position of the ray each member picked, -1 to keep.
    draws : int
        Simulated draws of the preferences, at least 2.
    seed : int
        Of all draws and searches.
    tol : float
        Pseudo-gap at which the search of menus ends.
    bound : bool
        Whether to bound what any menus could save in a large market, with ``menus``: quick for two tasks,
        seconds an agent up to five, minutes for six.
    time_limit : float, optional
        Seconds after which the search of menus ends with the best it has; scoring them takes some more.
    engine, n_jobs
        Who searches menus: see :func:`fairlot.parallel.pmap`.
    reporter : Reporter, optional
        Told how far the work is.

    Raises
    ------
    InvalidProblemError
        If the arguments make no sense, or (``menus``) a best menu need not exist because costs near 0 are too
        likely.

    References
    ----------
    Valenzuela-Stookey, section 4.

    Examples
    --------
    >>> from fairlot.model.beliefs import Beliefs
    >>> problem = ReallocationProblem.from_arrays(
    ...     [[4, 4], [4, 4]], [[1, 3], [3, 1]], Beliefs.uniform([0.5, 0.5], [1.5, 1.5])
    ... )
    >>> design = design_menus(problem, draws=50)
    >>> design.status.value, round(design.large_market_saving / problem.status_quo_cost, 2)
    ('certified', 0.25)
    """
    began = time.time()
    rules = Rules(max_lines, round_rates, min_exchange, group_menus)
    _check_arguments(problem, method, rules, class_a, past)
    reporter = NullReporter() if reporter is None else reporter
    deadline = None if time_limit is None else began + time_limit
    found = _Found()
    if method == "bilateral":
        trades = best_bilateral_trades(problem, seed=seed, reporter=reporter)
        found.menus, found.bilateral = bilateral_menus(problem, trades.disjoint), trades.saving
    elif method == "two-price":
        market = best_two_price(problem, in_a=class_a, seed=seed, reporter=reporter).market
        found.take(market, rules, seed, deadline, reporter)
    else:
        assumed = problem
        if method == "robust":
            assumed = reference_problem(problem)
        elif method == "past-picks":
            picked = beliefs_from_picks(problem, past)
            assumed = picked.problem(problem)
            found.notes |= {
                "medians": picked.medians.tolist(),
                "sigma": picked.sigma,
                "offers": picked.offers,
            }
        workers = Workers(engine, n_jobs, deadline)
        pricers = search_pricers(assumed)
        market = generate_columns(assumed, pricers, tol=tol, seed=seed, workers=workers, reporter=reporter)
        if method == "robust":
            columns, regrets = least_regret(market)
            found.notes |= {"largest_regret": float(regrets.max(initial=0.0)), "regrets": regrets.tolist()}
            found.menus = AssignedMenus(problem, tuple(columns), 0.0).menus
        else:
            found.take(market, rules, seed, deadline, reporter)
        if bound and method == "menus":
            found.bound = outer_bound(problem, market.prices, workers=workers, seed=seed, reporter=reporter)
    menus = Menus.of(problem.agents, problem.tasks, []) if found.menus is None else found.menus
    simulation = simulate(problem, menus, draws=draws, seed=seed, reporter=reporter)
    certificate = verify_menus(problem, menus)
    rounds = int(found.notes.get("rounds", 0))
    return Design(
        problem=problem,
        menus=menus,
        mechanism=found.mechanism,
        prices=found.prices,
        simulation=simulation,
        no_choice=best_without_choice(problem),
        first_best=first_best(problem, seed=seed),
        bilateral_saving=found.bilateral,
        outer_bound=found.bound,
        simplifications=found.steps,
        status=Status.CERTIFIED if certificate.passed else Status.UNCERTIFIED,
        certificate=certificate,
        stats=Stats(method, rounds, time.time() - began, {"seed": seed, "draws": draws, **found.notes}),
    )


@dataclass
class _Found:
    """What a method comes back with."""

    menus: Menus | None = None
    mechanism: RandomisedMechanism | None = None
    prices: FloatArray | None = None
    bilateral: float | None = None
    bound: OuterBound | None = None
    steps: tuple[Simplification, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)

    def take(
        self, market: LargeMarket, rules: Rules, seed: int, deadline: float | None, reporter: Reporter
    ) -> None:
        """Take one menu for each agent out of a large market, and fit them to this one."""
        assigned, self.steps, options = practical_menus(market, rules)
        fitted = fit_menus(
            market.problem, assigned.columns, options, seed=seed, deadline=deadline, reporter=reporter
        )
        self.mechanism, self.prices = RandomisedMechanism.of(market), market.prices
        self.menus = AssignedMenus(market.problem, fitted.columns, assigned.saving).menus
        self.notes |= {
            "fitted_from": fitted.before,
            "fitted_to": fitted.after,
            "search": "time limit" if market.status is Status.TIME_LIMIT else "ended",
            "pseudo_gap": market.pseudo_gap,
            "rounds": len(market.rounds),
            "columns": len(market.columns),
        }


def search_pricers(problem: ReallocationProblem) -> list[Pricer]:
    """Make a pricer for each agent: in closed form where she has both of two tasks, else by search.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.

    Raises
    ------
    InvalidProblemError
        If some agent's best menu need not exist
        (:meth:`fairlot.reallocation.support.terms.Terms.require_attained`).
    """
    problem.require_fixed_burdens()
    pricers: list[Pricer] = []
    for j in range(problem.n_agents):
        terms = Terms.of(problem, j)
        terms.require_attained(np.ones(problem.n_tasks))
        if problem.n_tasks == 2 and (problem.endowment[j] > 0).all():
            pricers.append(TwoClassPricer(problem, j, np.array([True, False])))
        else:
            pricers.append(SearchPricer(terms))
    return pricers


def _check_arguments(
    problem: ReallocationProblem,
    method: str,
    rules: Rules,
    class_a: npt.ArrayLike | None,
    past: Sequence[Period],
) -> None:
    """Refuse methods that are not there, and arguments that the method does not use."""
    if method not in get_args(Method):
        raise InvalidProblemError([Issue("method", found=method, expected=" or ".join(get_args(Method)))])
    problem.require_fixed_burdens()
    rules.check(problem)
    issues = []
    if rules != Rules() and method in ("bilateral", "robust"):
        expected = "menus, two-price or past-picks: other menus cannot be simplified"
        issues.append(Issue("method with rules for menus", found=method, expected=expected))
    if class_a is not None and method != "two-price":
        issues.append(Issue("method with two classes", found=method, expected="two-price"))
    if bool(past) != (method == "past-picks"):
        expected = "past-picks, with at least one period of menus and picks"
        issues.append(
            Issue("method", found=f"{method}, {len(past)} periods of past picks", expected=expected)
        )
    if issues:
        raise InvalidProblemError(issues)
