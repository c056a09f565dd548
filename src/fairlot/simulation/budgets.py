r"""Seniority as money: what unequal budgets do for those who have more.

Seniority :math:`s_i` becomes a budget between 1 and ``ratio``,

.. math:: b_i = 1 + (\text{ratio} - 1) \frac{s_i - \min s}{\max s - \min s},

so that with ratio :math:`\max s / \min s` budgets are proportional to seniority. Without a seniority to go
by, agents are dealt at random into classes of equal size, and the study repeats the deal. Told for each
class: its mean utility, relative to what each of its agents would get with everything at hand; its part of
all such utility beside its part of the people and of the money; and what it gains over equal budgets.

Agents of equal budgets do not envy each other at any ratio; one with more money may be envied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.parallel import Engine, pmap
from fairlot.progress import NullReporter, Reporter
from fairlot.simulation.playing import Equilibrating, entitlements, play_truth, record, standard_error

_CLASSES = 4
_DISTINCT = 6
"""Up to so many distinct values of seniority each is a class; beyond, quarters are."""


@dataclass(frozen=True)
class BudgetClass:
    """What one class gets in one run.

    Parameters
    ----------
    ratio : float
        Largest over smallest budget.
    draw : int
        Which deal into classes; 0 where seniority is given.
    tier : str
        The class.
    agents : int
        How many of it want anything.
    seniority, budget : float
        Means over the class; the smallest budget is 1.
    utility : float
        Mean relative utility.
    gain : float
        Beyond that at equal budgets.
    people_share, money_share, utility_share : float
        Parts of all agents, of all money and of all relative utility.
    status : str
        How the run ended.
    counts : bool
        Whether this run and that at equal budgets are certified.
    seed : int
        Of the study.
    """

    ratio: float
    draw: int
    tier: str
    agents: int
    seniority: float
    budget: float
    utility: float
    gain: float
    people_share: float
    money_share: float
    utility_share: float
    status: str
    counts: bool
    seed: int


@dataclass(frozen=True)
class ClassMean:
    """Means of a class over the runs that count.

    Parameters
    ----------
    ratio, tier, budget, utility, gain, people_share, money_share, utility_share
        As in :class:`BudgetClass`; NaN where no run counts.
    gain_error : float
        Standard error over deals; NaN where there is one.
    runs, left_out : int
        How many count, and how many do not.
    """

    ratio: float
    tier: str
    budget: float
    utility: float
    gain: float
    gain_error: float
    people_share: float
    money_share: float
    utility_share: float
    runs: int
    left_out: int


@dataclass(frozen=True, eq=False)
class BudgetStudy:
    """All runs of a study.

    Parameters
    ----------
    market : PseudoMarket
        The market; its own budgets are set aside.
    truth : str
        How the run at equal budgets ended.
    rows : tuple of BudgetClass
        Every class in every run.
    seed : int
        Of the deals.
    """

    market: PseudoMarket
    truth: str
    rows: tuple[BudgetClass, ...]
    seed: int

    def records(self) -> list[dict[str, Any]]:
        """Return a tidy table, a row for a class in a run."""
        return [record(row) for row in self.rows]

    def classes(self) -> list[ClassMean]:
        """Average over deals, by ratio and class."""
        keys = dict.fromkeys((row.ratio, row.tier) for row in self.rows)
        return [_mean([row for row in self.rows if (row.ratio, row.tier) == key]) for key in keys]


def _mean(rows: Sequence[BudgetClass]) -> ClassMean:
    counted = [row for row in rows if row.counts]
    names = ("budget", "utility", "gain", "people_share", "money_share", "utility_share")
    mean = {
        name: float(np.mean([getattr(row, name) for row in counted])) if counted else np.nan for name in names
    }
    return ClassMean(
        rows[0].ratio,
        rows[0].tier,
        gain_error=standard_error(np.array([row.gain for row in counted])),
        runs=len(counted),
        left_out=len(rows) - len(counted),
        **mean,
    )


def simulate_budgets(
    market: PseudoMarket,
    *,
    ratios: Sequence[float] = (1.0, 1.5, 2.0, 4.0),
    seniority: Sequence[float] | Mapping[str, float] | None = None,
    draws: int = 5,
    seed: int = 0,
    time_limit: float | None = None,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    reporter: Reporter | None = None,
) -> BudgetStudy:
    """Give the senior more money, and tell what each class gets.

    Parameters
    ----------
    market : PseudoMarket
        The market; its own budgets play no role.
    ratios : sequence of float
        Largest over smallest budget, at least 1.
    seniority : sequence of float or mapping, optional
        A number per agent, in market order or by id. Default: classes dealt at random.
    draws : int
        Deals into classes, where there is no seniority.
    seed : int
        Of the deals and of the solver.
    time_limit : float, optional
        Seconds for each equilibrium.
    engine, n_jobs, reporter
        As in :func:`~fairlot.simulation.misreports.simulate_misreports`.

    Raises
    ------
    InvalidProblemError
        For options out of range, seniority that is no finite number or the same for all, quotas that cross,
        and markets without an outcome.

    Examples
    --------
    >>> from fairlot.model.constraints import Quota
    >>> market = PseudoMarket.from_arrays([[1, 0], [1, 0]], capacities=1, quotas=[Quota("one", max=1)])
    >>> study = simulate_budgets(market, ratios=[1, 3], seniority=[10, 20])
    >>> [(row.tier, row.budget, round(row.utility, 3)) for row in study.classes()[2:]]
    [('10', 1.0, 0.25), ('20', 3.0, 0.75)]
    """
    _ = market.families  # quotas that cross are a fault
    given = None if seniority is None else _seniority(market, seniority)
    issues = [
        Issue("ratio of budgets", found=f"{ratio:g}", expected="a number from 1 to 1000000")
        for ratio in ratios
        if not 1 <= ratio <= 1e6
    ]
    if draws < 1:
        issues.append(Issue("draws", found=str(draws), expected="at least 1"))
    if issues:
        raise InvalidProblemError(issues)
    reporter = NullReporter() if reporter is None else reporter
    solver = Equilibrating(seed, time_limit)
    reporter.stage("equal budgets")
    equal = replace(market, budgets=np.ones(market.n_agents))
    truth = play_truth(solver, equal)
    base = truth.utilities(market)[0] / entitlements(market)
    jobs = [
        (float(ratio), draw)
        for ratio in ratios
        for draw in range(draws if given is None and ratio > 1 else 1)
    ]
    reporter.stage("unequal budgets")
    work = partial(_run, equal, solver, base, truth.counts, given)
    found = pmap(work, jobs, engine=engine, n_jobs=n_jobs, reporter=reporter)
    return BudgetStudy(market, truth.status, tuple(row for rows in found for row in rows), seed)


def _seniority(market: PseudoMarket, seniority: Sequence[float] | Mapping[str, float]) -> FloatArray:
    if isinstance(seniority, Mapping):
        missing = [agent for agent in market.agents if agent not in seniority]
        if missing:
            raise InvalidProblemError(
                [Issue("agent without seniority", found=agent, expected="a number") for agent in missing]
            )
        seniority = [seniority[agent] for agent in market.agents]
    numbers = np.asarray(seniority, dtype=np.float64)
    if numbers.shape != (market.n_agents,):
        expected = f"one number per agent ({market.n_agents})"
        raise InvalidProblemError([Issue("seniority", found=f"shape {numbers.shape}", expected=expected)])
    issues = [
        Issue(f"seniority of agent '{market.agents[i]}'", found=f"{numbers[i]:g}", expected="a finite number")
        for i in np.flatnonzero(~np.isfinite(numbers)).tolist()
    ]
    if not issues and np.ptp(numbers) == 0:
        issues.append(Issue("seniority", found="the same for all", expected="at least two different numbers"))
    if issues:
        raise InvalidProblemError(issues)
    return numbers


def _run(
    equal: PseudoMarket,
    solver: Equilibrating,
    base: FloatArray,
    base_counts: bool,
    given: FloatArray | None,
    job: tuple[float, int],
) -> list[BudgetClass]:
    ratio, draw = job
    n = equal.n_agents
    if given is None:
        order = np.random.default_rng([solver.seed, draw]).permutation(n)
        seniority: FloatArray = (order * _CLASSES // n + 1).astype(np.float64)
    else:
        seniority = given
    tier, names = _tiers(seniority)
    spread = float(np.ptp(seniority))
    rank = (seniority - seniority.min()) / spread if spread else np.zeros(n)
    budgets = 1.0 + (ratio - 1.0) * rank
    played = solver(replace(equal, budgets=budgets))
    relative = played.utilities(equal)[0] / entitlements(equal)
    wanting = ~np.isnan(base)
    total = float(relative[wanting].sum())
    rows = []
    for k, name in enumerate(names):
        mine = (tier == k) & wanting
        if not mine.any():
            continue
        utility = float(relative[mine].mean())
        rows.append(
            BudgetClass(
                ratio=ratio,
                draw=draw,
                tier=name,
                agents=int(mine.sum()),
                seniority=float(seniority[mine].mean()),
                budget=float(budgets[mine].mean()),
                utility=utility,
                gain=utility - float(base[mine].mean()),
                people_share=float(mine.sum() / wanting.sum()),
                money_share=float(budgets[mine].sum() / budgets[wanting].sum()),
                utility_share=float(relative[mine].sum() / total) if total else np.nan,
                status=played.status,
                counts=played.counts and base_counts,
                seed=solver.seed,
            )
        )
    return rows


def _tiers(seniority: FloatArray) -> tuple[IntArray, list[str]]:
    """Cut agents into classes: distinct values, or quarters with their ranges."""
    levels, level = np.unique(seniority, return_inverse=True)
    if len(levels) <= _DISTINCT:
        return level.astype(np.int64), [f"{value:g}" for value in levels]
    cuts = np.unique(np.quantile(seniority, [0.25, 0.5, 0.75]))
    tier = np.searchsorted(cuts, seniority, side="left")
    parts = [seniority[tier == k] for k in range(len(cuts) + 1)]
    _, tier = np.unique(tier, return_inverse=True)
    spans = [(float(part.min()), float(part.max())) for part in parts if len(part)]
    names = [f"{least:g}" if least == most else f"{least:g} to {most:g}" for least, most in spans]
    return tier.astype(np.int64), names
