r"""What agents gain by misreporting, alone or together, as the market grows.

The gain of liar i is the true worth of what the mechanism gives her for the lie, beyond that of what it gives
her for the truth, everybody else's report the same:

.. math:: g_i = \frac{U_i(f(\hat v_i, v_{-i})) - U_i(f(v))}{w_i},

with :math:`w_i` her utility if everything were at hand (in the market as it is, for every N). In the
N-replica market (:mod:`fairlot.simulation.replicas`) one of her N copies lies. A mechanism is
*strategy-proof in the large* if the gain vanishes with N; the strong equilibrium is, since a single report
moves prices ever less.

Equilibria need not be unique, and a report may move the solver to another one: that is part of the gain,
since the solver that ran is the mechanism. Where prices of the market at hand are not unique, one report
may tip the choice however many copies there are, and the gain need not vanish: the theorem is of markets
whose agents are drawn at random.

References
----------
E. Azevedo and E. Budish (2019), "Strategy-proofness in the Large", Review of Economic Studies 86(1).
D. J. Roberts and A. Postlewaite (1976), "The incentives for price-taking behavior in large exchange
economies", Econometrica 44(1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.parallel import Engine, pmap
from fairlot.progress import NullReporter, Reporter
from fairlot.simulation.playing import (
    Equilibrating,
    Mechanism,
    Played,
    entitlements,
    play_truth,
    record,
    standard_error,
)
from fairlot.simulation.replicas import replicate
from fairlot.simulation.reports import LIES, misreport, popularity

GAINS = 1e-6
"""Gain, as a part of :math:`w_i`, above which it is no rounding."""
BEST = "best of these"
"""In summaries: of all lies studied and the truth, what is best for the agent."""


@dataclass(frozen=True)
class Misreport:
    """One run: some agents tell one lie, all others the truth.

    Parameters
    ----------
    replicas : int
        N.
    lie : str
        One of :data:`~fairlot.simulation.reports.LIES`.
    agent : str
        Who lies; blank where several do.
    liars : int
        How many lie.
    share : float
        The share of all agents who lie; 0 where one does.
    draw : int
        Which draw of the liars; 0 where one lies.
    truth, told : float
        True expected utility by the truth and by the lie, relative to :math:`w_i`; means over liars.
    gain : float
        ``told - truth``.
    sampling_error : float
        Standard error of the gain for the chance that the mechanism leaves; 0 where it states shares.
    others_gain : float
        Mean relative change for all who tell the truth.
    unit : float
        :math:`w_i`, to turn figures back into her own unit; NaN where several lie.
    status : str
        How the run ended.
    counts : bool
        Whether this run and the truthful one are certified, or need no certificate.
    seed : int
        Of the study.
    """

    replicas: int
    lie: str
    agent: str
    liars: int
    share: float
    draw: int
    truth: float
    told: float
    gain: float
    sampling_error: float
    others_gain: float
    unit: float
    status: str
    counts: bool
    seed: int


@dataclass(frozen=True)
class Gain:
    """Gains of one lie, over those who tried it.

    Parameters
    ----------
    replicas, lie, share
        As in :class:`Misreport`; ``lie`` may be :data:`BEST`.
    runs : int
        How many count.
    left_out : int
        How many do not, for want of a certificate.
    mean, standard_error, largest : float
        Of the relative gains that count; NaN where there are too few. The error is that over runs.
    gaining : float
        Part of the runs with a gain above rounding.
    others : float
        Mean of ``others_gain``.
    """

    replicas: int
    lie: str
    share: float
    runs: int
    left_out: int
    mean: float
    standard_error: float
    largest: float
    gaining: float
    others: float


@dataclass(frozen=True, eq=False)
class MisreportStudy:
    """All runs of a study.

    Parameters
    ----------
    market : PseudoMarket
        The market, with values taken as true.
    mechanism : str
        What was played.
    runs : tuple of Misreport
        One lie each.
    truths : tuple of str
        How the truthful run ended, for each number of replicas.
    seed : int
        Of who lies, and of random lies.
    """

    market: PseudoMarket
    mechanism: str
    runs: tuple[Misreport, ...]
    truths: tuple[str, ...]
    seed: int

    def records(self) -> list[dict[str, Any]]:
        """Return the runs as rows of a tidy table."""
        return [{"mechanism": self.mechanism, **record(run)} for run in self.runs]

    def gains(self) -> list[Gain]:
        """Sum the runs up, by replicas, share and lie; the best of all lies of each agent comes last."""
        rows = []
        for key in dict.fromkeys((run.replicas, run.share) for run in self.runs):
            chosen = [run for run in self.runs if (run.replicas, run.share) == key]
            lies = list(dict.fromkeys(run.lie for run in chosen))
            rows += [_gain([run for run in chosen if run.lie == lie], lie) for lie in lies]
            if key[1] == 0 and len(lies) > 1:
                rows.append(_gain(_best(chosen), BEST))
        return rows


def _gain(runs: Sequence[Misreport], lie: str) -> Gain:
    counted = [run for run in runs if run.counts]
    gains = np.array([run.gain for run in counted])
    if lie == BEST:
        gains = np.maximum(gains, 0.0)
    some = len(gains) > 0
    return Gain(
        replicas=runs[0].replicas,
        lie=lie,
        share=runs[0].share,
        runs=len(counted),
        left_out=len(runs) - len(counted),
        mean=float(gains.mean()) if some else np.nan,
        standard_error=standard_error(gains),
        largest=float(gains.max()) if some else np.nan,
        gaining=float((gains > GAINS).mean()) if some else np.nan,
        others=float(np.mean([run.others_gain for run in counted])) if some else np.nan,
    )


def _best(runs: Sequence[Misreport]) -> list[Misreport]:
    """Pick every agent's best run; one of hers that does not count counts against her."""
    best: dict[str, Misreport] = {}
    for run in runs:
        rival = best.get(run.agent)
        if rival is None or (rival.counts and (not run.counts or run.gain > rival.gain)):
            best[run.agent] = run
    return list(best.values())


@dataclass(frozen=True)
class _Job:
    replica: int
    lie: str
    liars: tuple[int, ...]
    share: float
    draw: int


@dataclass(frozen=True, eq=False)
class _Replica:
    n: int
    market: PseudoMarket
    truth: Played
    worth: FloatArray  # (n_draws, n_agents): of the truth
    unit: FloatArray
    popular: FloatArray


def simulate_misreports(
    market: PseudoMarket,
    *,
    lies: Sequence[str] | None = None,
    agents: Sequence[str] | int | None = None,
    shares: Sequence[float] = (),
    share_draws: int = 5,
    replicas: Sequence[int] = (1,),
    mechanism: Mechanism | None = None,
    seed: int = 0,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    reporter: Reporter | None = None,
) -> MisreportStudy:
    """Let agents lie, one at a time and in shares, and tell what they gain in true utility.

    Parameters
    ----------
    market : PseudoMarket
        The market; its values are taken as true.
    lies : sequence of str, optional
        Names out of :data:`~fairlot.simulation.reports.LIES`; default all.
    agents : sequence of str, or int, optional
        Who lies alone, in turn: by id, or so many at random. Default everybody.
    shares : sequence of float
        Shares of all agents, above 0 and at most 1, who tell the same lie at once, drawn at random.
    share_draws : int
        Draws of the liars for each share.
    replicas : sequence of int
        Numbers N of copies of every agent and seat; in each market one copy of the agent lies.
    mechanism : Mechanism, optional
        Default :class:`~fairlot.simulation.playing.Equilibrating`.
    seed : int
        Of who lies, and of random lies. The same agents lie in the same way for every N.
    engine, n_jobs
        As in :func:`fairlot.parallel.pmap`.
    reporter : Reporter, optional
        Told what part is done.

    Raises
    ------
    InvalidProblemError
        For options out of range, quotas that cross, and markets in which the truth has no outcome.

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[5, 9, 1], [7, 6, 4], [5, 9, 6]], capacities=1)
    >>> study = simulate_misreports(market, lies=["exaggerate"], agents=["agent1"], replicas=(1, 8))
    >>> [(run.replicas, run.counts, round(run.gain, 3)) for run in study.runs]
    [(1, True, 0.019), (8, True, 0.002)]
    """
    _ = market.families  # quotas that cross are a fault
    lies = list(LIES) if lies is None else list(lies)
    _refuse(market, lies, agents, shares, share_draws, replicas)
    mechanism = Equilibrating(seed) if mechanism is None else mechanism
    reporter = NullReporter() if reporter is None else reporter
    rng = np.random.default_rng(seed)
    if agents is None:
        alone = list(range(market.n_agents))
    elif isinstance(agents, int):
        alone = sorted(rng.choice(market.n_agents, min(agents, market.n_agents), replace=False).tolist())
    else:
        alone = [market.agents.index(agent) for agent in agents]
    reporter.stage("the truth")
    truths = pmap(
        partial(_truth, market, mechanism), replicas, engine=engine, n_jobs=n_jobs, reporter=reporter
    )
    jobs = []
    for r, replica in enumerate(truths):
        jobs += [_Job(r, lie, (i,), 0.0, 0) for lie in lies for i in alone]
        n = replica.market.n_agents
        for s, share in enumerate(shares):
            for draw in range(share_draws):
                crowd = np.random.default_rng([seed, s, draw]).permutation(n)[: max(1, round(share * n))]
                jobs += [_Job(r, lie, tuple(crowd.tolist()), float(share), draw) for lie in lies]
    reporter.stage("lies")
    work = partial(_run, truths, mechanism, seed)
    runs = pmap(work, jobs, engine=engine, n_jobs=n_jobs, reporter=reporter)
    return MisreportStudy(
        market, mechanism.name, tuple(runs), tuple(replica.truth.status for replica in truths), seed
    )


def _truth(market: PseudoMarket, mechanism: Mechanism, n: int) -> _Replica:
    copied = replicate(market, n)
    truth = play_truth(mechanism, copied)
    # The unit is that of the market as it is: where seats are few, everything at hand is more in a replica.
    unit = np.tile(entitlements(market), n)
    return _Replica(n, copied, truth, truth.utilities(copied), unit, popularity(copied))


def _run(replicas: Sequence[_Replica], mechanism: Mechanism, seed: int, job: _Job) -> Misreport:
    replica = replicas[job.replica]
    market, truth, liars = replica.market, replica.truth, list(job.liars)
    report = misreport(market, liars, job.lie, popular=replica.popular, seed=seed)
    played = truth if _same(report, market) else mechanism(report)
    worth = played.utilities(market)
    change = (worth - replica.worth) / replica.unit
    # Who wants nothing has nothing to gain, and no unit.
    lying = np.isin(np.arange(market.n_agents), liars) & ~np.isnan(replica.unit)
    telling = ~np.isin(np.arange(market.n_agents), liars) & ~np.isnan(replica.unit)
    by_draw = change[:, lying].mean(axis=1) if lying.any() else np.zeros(len(change))
    before = (replica.worth / replica.unit)[:, lying].mean() if lying.any() else 0.0
    gain = float(by_draw.mean())
    return Misreport(
        replicas=replica.n,
        lie=job.lie,
        agent=market.agents[liars[0]] if job.share == 0 else "",
        liars=len(liars),
        share=job.share,
        draw=job.draw,
        truth=float(before),
        told=float(before) + gain,
        gain=gain,
        sampling_error=standard_error(by_draw) if len(by_draw) > 1 else 0.0,
        others_gain=float(change[:, telling].mean()) if telling.any() else 0.0,
        unit=float(replica.unit[liars[0]]) if job.share == 0 else np.nan,
        status=played.status,
        counts=played.counts and truth.counts,
        seed=seed,
    )


def _same(report: PseudoMarket, market: PseudoMarket) -> bool:
    return report.values.nnz == market.values.nnz and bool((report.values.data == market.values.data).all())


def _refuse(
    market: PseudoMarket,
    lies: Sequence[str],
    agents: Sequence[str] | int | None,
    shares: Sequence[float],
    share_draws: int,
    replicas: Sequence[int],
) -> None:
    issues = [Issue("lie", found=lie, expected=", ".join(LIES)) for lie in lies if lie not in LIES]
    if isinstance(agents, int):
        if agents < 0:
            issues.append(Issue("agents", found=str(agents), expected="at least 0"))
    elif agents is not None:
        known = set(market.agents)
        issues += [
            Issue("unknown agent", found=agent, expected="ids of agents in the market")
            for agent in agents
            if agent not in known
        ]
    issues += [
        Issue("share of agents", found=f"{share:g}", expected="above 0 and at most 1")
        for share in shares
        if not 0 < share <= 1
    ]
    if share_draws < 1:
        issues.append(Issue("draws of a share", found=str(share_draws), expected="at least 1"))
    issues += [Issue("replicas", found=str(n), expected="at least 1") for n in replicas if n < 1]
    if not replicas:
        issues.append(Issue("replicas", found="none", expected="at least one number"))
    if issues:
        raise InvalidProblemError(issues)
