r"""What changes if one agent leaves, or one good is withdrawn: who gains, who loses, which prices move.

An agent who leaves wants nothing any more and is bound by nothing; a good that is withdrawn has no copies.
The solver starts from the equilibrium with everybody and everything in it, so that of several new equilibria
it tends to find the nearest. Changes of utility are relative to what each agent would get with everything at
hand, in the market as it was. Prices are compared in the form in which those of the same equilibrium agree
(:mod:`fairlot.pseudomarket.equilibrium`).

Somebody's leaving need not help everybody: those who take her place stop buying elsewhere, which helps
some, and have money left for what others want, which hurts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.constraints import Quota, Taper
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.parallel import Engine, pmap
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.equilibrium import stretched_prices
from fairlot.simulation.playing import Equilibrating, Played, entitlements, play_truth

CHANGES = 1e-6
"""Relative change of utility, or change of a price in mean budgets, that is no rounding."""

Kind = Literal["agent", "good"]


@dataclass(frozen=True, eq=False)
class Withdrawal:
    """What one withdrawal changes.

    Parameters
    ----------
    kind : "agent" or "good"
        What is withdrawn.
    id : str
        Which.
    utility_change : FloatArray, shape (n_agents,)
        Relative; NaN for who wants nothing and for the leaver herself.
    price_change : FloatArray, shape (n_goods,)
        Money; NaN for the good withdrawn.
    status : str
        How the run ended.
    counts : bool
        Whether this run and the one with everything are certified.
    """

    kind: Kind
    id: str
    utility_change: FloatArray
    price_change: FloatArray
    status: str
    counts: bool

    @property
    def winners(self) -> int:
        """How many gain more than rounding."""
        return int((self.utility_change > CHANGES).sum())

    @property
    def losers(self) -> int:
        """How many lose more than rounding."""
        return int((self.utility_change < -CHANGES).sum())

    @property
    def mean(self) -> float:
        """Mean relative change over the others who want anything."""
        some = ~np.isnan(self.utility_change)
        return float(self.utility_change[some].mean()) if some.any() else np.nan


@dataclass(frozen=True, eq=False)
class WithdrawalStudy:
    """All withdrawals of a study.

    Parameters
    ----------
    market : PseudoMarket
        The market with everybody and everything.
    truth : str
        How the run with all of it ended.
    utility : FloatArray, shape (n_agents,)
        Relative utility in that run.
    prices : FloatArray, shape (n_goods,)
        Its prices.
    withdrawals : tuple of Withdrawal
        One at a time.
    seed : int
        Of the sample, and of the solver.
    """

    market: PseudoMarket
    truth: str
    utility: FloatArray
    prices: FloatArray
    withdrawals: tuple[Withdrawal, ...]
    seed: int

    def records(self) -> list[dict[str, Any]]:
        """Return a tidy table: a row per withdrawal and agent or good, None where nothing is told."""
        rows = []
        for gone in self.withdrawals:
            run = {"withdrawn_kind": gone.kind, "withdrawn": gone.id}
            how = {"status": gone.status, "counts": gone.counts, "seed": self.seed}
            tables: tuple[tuple[str, tuple[str, ...], FloatArray, FloatArray], ...] = (
                ("agent", self.market.agents, self.utility, gone.utility_change),
                ("good", self.market.goods, self.prices, gone.price_change),
            )
            for kind, ids, before, change in tables:
                measure = "relative utility" if kind == "agent" else "price"
                for name, old, new in zip(ids, before.tolist(), change.tolist(), strict=True):
                    figures = {
                        "before": None if np.isnan(old) else old,
                        "change": None if np.isnan(new) else new,
                    }
                    rows.append({**run, "kind": kind, "id": name, "measure": measure, **figures, **how})
        return rows


def simulate_withdrawals(
    market: PseudoMarket,
    *,
    agents: Sequence[str] | int = 10,
    goods: Sequence[str] | int = 10,
    seed: int = 0,
    time_limit: float | None = None,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    reporter: Reporter | None = None,
) -> WithdrawalStudy:
    """Withdraw agents and goods, one at a time, and tell who gains and who loses.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    agents, goods : sequence of str, or int
        What to withdraw in turn: by id, or so many at random.
    seed : int
        Of the sample, and of the solver.
    time_limit : float, optional
        Seconds for each equilibrium.
    engine, n_jobs, reporter
        As in :func:`~fairlot.simulation.misreports.simulate_misreports`.

    Raises
    ------
    InvalidProblemError
        For unknown ids, quotas that cross, and markets without an outcome.

    Examples
    --------
    >>> from fairlot.model.constraints import Quota
    >>> market = PseudoMarket.from_arrays([[1, 0], [1, 0]], capacities=1, quotas=[Quota("one", max=1)])
    >>> study = simulate_withdrawals(market, agents=["agent1"], goods=[])
    >>> study.withdrawals[0].utility_change.round(6).tolist()
    [nan, 0.5]
    """
    _ = market.families  # quotas that cross are a fault
    rng = np.random.default_rng(seed)
    issues: list[Issue] = []
    jobs: list[tuple[Kind, int]] = [
        ("agent", i) for i in _chosen("agent", agents, market.agents, rng, issues)
    ]
    jobs += [("good", j) for j in _chosen("good", goods, market.goods, rng, issues)]
    if issues:
        raise InvalidProblemError(issues)
    reporter = NullReporter() if reporter is None else reporter
    solver = Equilibrating(seed, time_limit)
    reporter.stage("everybody and everything")
    truth = play_truth(solver, market)
    reporter.stage("withdrawals")
    work = partial(_run, truth, solver)
    found = pmap(work, jobs, engine=engine, n_jobs=n_jobs, reporter=reporter)
    relative = truth.utilities(market)[0] / entitlements(market)
    return WithdrawalStudy(market, truth.status, relative, _prices(truth), tuple(found), seed)


def without_agent(market: PseudoMarket, agent: int) -> PseudoMarket:
    """Make the market in which one agent wants nothing and is bound by nothing; positions stay."""
    name = market.agents[agent]

    def others(agents: str | Sequence[str]) -> tuple[str, ...]:
        bound = market.agents if isinstance(agents, str) else agents
        return tuple(other for other in bound if other != name)

    def quota(quota: Quota) -> Quota:
        return replace(quota, agents=others(quota.agents))

    def taper(taper: Taper) -> Taper:
        return replace(taper, agents=others(taper.agents))

    kept = np.flatnonzero(market.pair_agent != agent)
    place = (market.pair_agent[kept], market.pair_good[kept])
    return replace(
        market,
        values=sp.csr_array((market.values.data[kept], place), shape=market.values.shape),
        quotas=tuple(map(quota, market.quotas)),
        tapers=tuple(map(taper, market.tapers)),
    )


def without_good(market: PseudoMarket, good: int) -> PseudoMarket:
    """Make the market in which one good has no copies; positions stay."""
    capacities = market.capacities.copy()
    capacities[good] = 0
    return replace(market, capacities=capacities)


def _chosen(
    noun: str, wanted: Sequence[str] | int, ids: Sequence[str], rng: np.random.Generator, issues: list[Issue]
) -> list[int]:
    if isinstance(wanted, int):
        if wanted < 0:
            issues.append(Issue(f"{noun}s", found=str(wanted), expected="at least 0"))
            return []
        return sorted(rng.choice(len(ids), min(wanted, len(ids)), replace=False).tolist())
    position = {name: k for k, name in enumerate(ids)}
    issues += [
        Issue(f"unknown {noun}", found=name, expected=f"ids of {noun}s in the market")
        for name in wanted
        if name not in position
    ]
    return [position[name] for name in wanted if name in position]


def _run(truth: Played, solver: Equilibrating, job: tuple[Kind, int]) -> Withdrawal:
    kind, k = job
    market = truth.report
    rest = without_agent(market, k) if kind == "agent" else without_good(market, k)
    played = solver(rest, truth.equilibrium)
    change = (played.utilities(market)[0] - truth.utilities(market)[0]) / entitlements(market)
    prices = _prices(played) - _prices(truth)
    if kind == "agent":
        change[k] = np.nan
    else:
        prices[k] = np.nan
    for part in (change, prices):
        part.flags.writeable = False
    return Withdrawal(
        kind=kind,
        id=(market.agents if kind == "agent" else market.goods)[k],
        utility_change=change,
        price_change=prices,
        status=played.status,
        counts=played.counts and truth.counts,
    )


def _prices(played: Played) -> FloatArray:
    if played.equilibrium is None:
        return np.full(played.report.n_goods, np.nan)
    return stretched_prices(played.equilibrium)
