"""Solve a pseudo-market whose agents are too many for one place: by shards, one driver factoring."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fairlot.certificate import Certificate, Stats, Status
from fairlot.crew import Crew, PartsRebuilt
from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.parallel import Engine
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.joint.smoothing import Centre, centre, descend
from fairlot.pseudomarket.joint.solve import DEEPER, DEEPEST, FIRST_MU, MONEY_ROUNDS, STILL_DEEPER
from fairlot.pseudomarket.sharded.part import Keep, Load, PartSpecification, Setting, Survey, build_part
from fairlot.pseudomarket.sharded.path import Held, SavingEffort, ShardedSystem, total
from fairlot.pseudomarket.sharded.polishing import polish_parts
from fairlot.verify.parts import combine_parts

_PATH_TOL = 1e-9
"""Complementary products at which polishing begins, before they are made finer."""
_KEPT = 2
"""Points of the path that the parts keep."""


@dataclass(frozen=True, eq=False)
class ShardedEquilibrium:
    """An equilibrium whose shares are with the parts.

    Parameters
    ----------
    supply : PseudoMarket
        Goods, capacities and limits; of agents, nobody.
    n_agents, n_pairs : int
        Of all parts.
    prices, row_prices : FloatArray
        As in :class:`~fairlot.pseudomarket.equilibrium.Equilibrium`.
    status : Status
        ``CERTIFIED`` only if every check passes.
    certificate : Certificate
        From :func:`~fairlot.verify.parts.combine_parts`.
    stats : Stats
        ``parameters`` also count workers lost, and seconds in the driver alone.
    satiated : int
        Agents who can afford their greatest utility.
    kept : tuple
        What ``keep`` returned for every part; by default its shares, a
        :class:`~fairlot.model.shares.RandomAllocation`.
    """

    supply: PseudoMarket
    n_agents: int
    n_pairs: int
    prices: FloatArray
    row_prices: FloatArray
    status: Status
    certificate: Certificate
    stats: Stats
    satiated: int
    kept: tuple[Any, ...]


def keep_shares(
    number: int, market: PseudoMarket, prices: FloatArray, shares: RandomAllocation
) -> RandomAllocation:
    """Bring the shares of a part back."""
    return shares


def solve_shards(
    parts: Sequence[PseudoMarket | Load],
    *,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    tol: float = 1e-9,
    max_iter: int | None = None,
    time_limit: float | None = None,
    keep: Keep = keep_shares,
    scratch: str | Path | None = None,
    reporter: Reporter | None = None,
) -> ShardedEquilibrium:
    r"""Find a strong equilibrium of a market whose agents are in parts.

    The joint road of :func:`~fairlot.pseudomarket.solve.solve_equilibrium`, on the same path: every worker
    owns the data and the state of its parts, an iteration sends L prices out and adds up excess demand and
    an L × L matrix, which the driver factors. Polishing and the certificate are done in parts too. Prices do
    not depend on engine and workers at all, and to rounding not on the parts. Up to 5,000 agents they are
    those of the joint road; from there on agents whom a step throws far off are brought back one by one, and
    where there are several equilibria it may be another.

    Parameters
    ----------
    parts : sequence of PseudoMarket or callable
        Markets of some of the agents each, all with the goods, capacities and limits of the whole; or what
        loads them, on the worker: importable, and picklable.
    engine, n_jobs
        Who owns the parts, see :class:`~fairlot.crew.Crew`.
    tol : float
        Tolerance of the certificate.
    max_iter : int, optional
        Factorisations after which to stop.
    time_limit : float, optional
        Seconds after which to stop.
    keep : callable
        Called on the worker with the part's number, market, prices and shares at the end; what it returns
        is in ``kept``. It may be called again for a part whose worker is lost.
    scratch : str or Path, optional
        Folder that all workers see, for states that outlive a lost worker; by default a temporary one of
        this machine, which does for workers of this machine. With ``serial`` nothing is saved.
    reporter : Reporter, optional
        Told the stages and the barrier weight.

    Returns
    -------
    ShardedEquilibrium
        ``CERTIFIED``, or where it ended: the road does not go around folds, which small markets have.

    Raises
    ------
    InvalidProblemError
        If parts do not fit together or hold an agent twice, or an agent's bounds cannot be met or cross.
    WorkerLostError
        If workers are lost again and again.

    Examples
    --------
    >>> from fairlot.pseudomarket.sharded import split_market
    >>> from fairlot.testing import course_market
    >>> market = course_market(60, 12, seed=1, departments=3)
    >>> found = solve_shards(split_market(market, 3))
    >>> found.status.value, found.n_agents, len(found.kept)
    ('certified', 60, 3)
    """
    began = time.monotonic()
    reporter = NullReporter() if reporter is None else reporter
    if not parts:
        raise InvalidProblemError([Issue("no parts", expected="at least one")])
    with ExitStack() as stack:
        if engine == "serial" or (engine == "joblib" and n_jobs == 1):
            folder = None
        elif scratch is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fairlot-")))
        else:
            folder = Path(scratch)
        reporter.stage("reading the parts")
        specifications = [PartSpecification(k, source, folder) for k, source in enumerate(parts)]
        crew = stack.enter_context(Crew(build_part, specifications, engine=engine, n_jobs=n_jobs))
        deadline = None if time_limit is None else began + time_limit
        run = _Run(crew, SavingEffort(deadline, reporter, max_iter, folder is not None), tol, keep)
        while True:
            try:
                return run.attempt(
                    began, {"engine": engine, "n_jobs": n_jobs, "parts": len(parts), "tol": tol}
                )
            except PartsRebuilt:
                reporter.stage("a worker was lost: from its last state")


class _Run:
    """One computation, which begins again where it was whenever a worker is lost."""

    def __init__(self, crew: Crew, effort: SavingEffort, tol: float, keep: Keep) -> None:
        self._crew, self._effort, self._tol, self._keep = crew, effort, tol, keep

    def attempt(self, began: float, parameters: dict[str, Any]) -> ShardedEquilibrium:
        """Go on from the last state saved, if there is one, to the end."""
        crew = self._crew
        surveys: list[Survey] = crew.ask("survey")
        supply = _agree(surveys)
        _, bounds = supply.supply_sets
        n_agents = sum(survey.n_agents for survey in surveys)
        n_pairs = sum(survey.n_pairs for survey in surveys)
        money = sum(survey.money for survey in surveys)
        setting = Setting(
            budget_scale=money / n_agents,
            supply=bounds - total([survey.taken for survey in surveys]),
            wanted=np.sum([survey.wanted for survey in surveys], axis=0),
        )
        even = sum(crew.ask("settle", setting))
        lending = 2.0 * max(float(setting.supply.sum()), 1.0) / n_agents
        # A diverging iteration ends by its size; it is no error.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if n_pairs:
                self._follow(ShardedSystem(crew, setting.supply, lending, n_agents), even / n_pairs)
            else:
                crew.ask("hold_nothing")
        self._effort.reporter.stage("certificate")
        claims = crew.ask("certify")
        prices, row_prices = claims[0][:2]
        certificate = combine_parts(
            supply,
            prices,
            [findings for _, _, findings, _ in claims],
            money=setting.budget_scale,
            row_prices=row_prices,
            tol=self._tol,
        )
        return ShardedEquilibrium(
            supply=supply,
            n_agents=n_agents,
            n_pairs=n_pairs,
            prices=prices,
            row_prices=row_prices,
            status=self._status(certificate),
            certificate=certificate,
            stats=Stats(
                "shards",
                self._effort.factorisations,
                time.monotonic() - began,
                {**parameters, "workers_lost": crew.losses},
            ),
            satiated=sum(satiated for *_, satiated in claims),
            kept=tuple(crew.ask("keep", self._keep)),
        )

    def _status(self, certificate: Certificate) -> Status:
        if certificate.passed:
            return Status.CERTIFIED
        if self._effort.spent:
            late = time.monotonic() >= self._effort.deadline
            return Status.TIME_LIMIT if late else Status.ITERATION_LIMIT
        return Status.UNCERTIFIED

    def _follow(self, system: ShardedSystem, even: float) -> None:
        """Go down the path and polish, at an ε that lets the satiated attain their greatest utility."""
        effort = self._effort
        effort.reporter.stage("joint path over shards")
        for _ in range(MONEY_ROUNDS):
            here = self._begin(system, even)
            if here is None:
                state = system.rough(even)
                system.crew.ask("point_of", state.slot)
                return
            finished = self._down(system, here)
            if not finished or not sum(system.crew.ask("lower_money")):
                return
            effort.saved = None

    def _begin(self, system: ShardedSystem, even: float) -> Centre[Held] | None:
        """Reach the path: where it was left, or from a rough state."""
        effort = self._effort
        if effort.saved is not None:
            mu, primal, dual = effort.saved
            return centre(system, system.recall(mu, primal, dual), mu, effort)
        for factor in FIRST_MU:
            mu = factor * even
            here = centre(system, system.rough(mu), mu, effort, patient=True)
            if here is not None:
                return here
        return None

    def _down(self, system: ShardedSystem, here: Centre[Held]) -> bool:
        """Follow the path until the active set at its end is that of an equilibrium; whether it is."""
        effort, mu_stop = self._effort, DEEPER * _PATH_TOL
        while True:
            trail = descend(system, here, mu_stop, effort, _KEPT)
            state, mu = trail[-1]
            system.crew.ask("point_of", state.slot)
            effort.reporter.stage("polishing")
            finished = polish_parts(system.crew, system.supply)
            mu_stop *= STILL_DEEPER
            if finished or mu > mu_stop / STILL_DEEPER or mu_stop < DEEPEST or effort.spent:
                return finished
            again = centre(system, state, mu, effort)
            if again is None:
                return False
            here = again


def _agree(surveys: Sequence[Survey]) -> PseudoMarket:
    """Return what the parts have in common, or say what they have not."""
    issues = []
    first = surveys[0]
    for k, survey in enumerate(surveys):
        for name in ("goods", "capacities", "per_agent", "limits"):
            mine, theirs = getattr(survey, name), getattr(first, name)
            if name == "limits":
                mine, theirs = (
                    [(one.label, one.max, one.goods) for one in limits] for limits in (mine, theirs)
                )
            if not np.array_equal(mine, theirs) if name in ("capacities", "per_agent") else mine != theirs:
                issues.append(Issue(f"part {k}: {name} differ from those of part 0", expected="the same"))
    ids = np.concatenate([survey.ids for survey in surveys])
    twice = len(ids) - len(np.unique(ids))
    if twice:
        issues.append(Issue("agents in several parts", found=str(twice), expected="every agent in one part"))
    if issues:
        raise InvalidProblemError(issues)
    return first.supply_side()
