r"""What the outcome is worth if tastes are not quite what was reported.

Values are redrawn around the reported ones, pair by pair,

.. math:: \tilde v_{ij} = v_{ij} \exp(\sigma z_{ij} - \sigma^2 / 2), \qquad z_{ij} \sim N(0, 1)

independently, so that the mean is the report; what is worth nothing stays so. Two numbers are compared for
each draw: what the shares found for the reports are worth by :math:`\tilde v` (*kept*), and what the
mechanism would give if :math:`\tilde v` had been reported (*again*). Their difference is what is lost by
noisy reports. Both are relative to :math:`\tilde w_i`, what each agent would get with everything at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
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

LARGEST_SPREAD = 5.0


@dataclass(frozen=True)
class TasteDraw:
    r"""One draw of everybody's values.

    Parameters
    ----------
    spread : float
        :math:`\sigma`.
    draw : int
        Which draw.
    kept, again : float
        Mean relative utility by the drawn values: of the shares found for the reports, and of those found
        for the drawn values.
    worst_kept, worst_again : float
        The same for the agent who is worst off.
    better_again : float
        Part of the agents who would be better off if the drawn values had been reported.
    status : str
        How the run for the drawn values ended.
    counts : bool
        Whether both runs are certified, or need no certificate.
    seed : int
        Of the study.
    """

    spread: float
    draw: int
    kept: float
    again: float
    worst_kept: float
    worst_again: float
    better_again: float
    status: str
    counts: bool
    seed: int


@dataclass(frozen=True)
class Tastes:
    """Means over the draws of one spread that count.

    Parameters
    ----------
    spread, kept, again, worst_kept, worst_again, better_again
        As in :class:`TasteDraw`; NaN where no draw counts.
    kept_error, again_error : float
        Standard errors of the first two means.
    draws, left_out : int
        How many count, and how many do not.
    """

    spread: float
    kept: float
    kept_error: float
    again: float
    again_error: float
    worst_kept: float
    worst_again: float
    better_again: float
    draws: int
    left_out: int


@dataclass(frozen=True, eq=False)
class PreferenceStudy:
    """All draws of a study.

    Parameters
    ----------
    market : PseudoMarket
        The market as reported.
    mechanism : str
        What was played.
    truth : str
        How the run for the reported values ended.
    welfare, worst : float
        Mean and least relative utility of that run, by the reported values.
    draws : tuple of TasteDraw
        All draws.
    seed : int
        Of the draws.
    """

    market: PseudoMarket
    mechanism: str
    truth: str
    welfare: float
    worst: float
    draws: tuple[TasteDraw, ...]
    seed: int

    def records(self) -> list[dict[str, Any]]:
        """Return the draws as rows of a tidy table."""
        return [{"mechanism": self.mechanism, **record(draw)} for draw in self.draws]

    def tastes(self) -> list[Tastes]:
        """Average the draws that count, by spread."""
        return [
            _tastes(spread, [draw for draw in self.draws if draw.spread == spread])
            for spread in dict.fromkeys(draw.spread for draw in self.draws)
        ]


def _tastes(spread: float, draws: Sequence[TasteDraw]) -> Tastes:
    counted = [draw for draw in draws if draw.counts]
    column = {
        name: np.array([getattr(draw, name) for draw in counted])
        for name in ("kept", "again", "worst_kept", "worst_again", "better_again")
    }
    mean = {name: float(cells.mean()) if len(cells) else np.nan for name, cells in column.items()}
    return Tastes(
        spread,
        kept_error=standard_error(column["kept"]),
        again_error=standard_error(column["again"]),
        draws=len(counted),
        left_out=len(draws) - len(counted),
        **mean,
    )


def simulate_preferences(
    market: PseudoMarket,
    *,
    spreads: Sequence[float] = (0.1, 0.3),
    draws: int = 20,
    mechanism: Mechanism | None = None,
    seed: int = 0,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    reporter: Reporter | None = None,
) -> PreferenceStudy:
    r"""Redraw values around the reported ones, and compare keeping the outcome with solving again.

    Parameters
    ----------
    market : PseudoMarket
        The market as reported.
    spreads : sequence of float
        Numbers :math:`\sigma` above 0: about the relative error of a value.
    draws : int
        Draws for each.
    mechanism : Mechanism, optional
        Default :class:`~fairlot.simulation.playing.Equilibrating`.
    seed : int
        Of the draws; the same standard normal numbers serve all spreads.
    engine, n_jobs, reporter
        As in :func:`~fairlot.simulation.misreports.simulate_misreports`.

    Raises
    ------
    InvalidProblemError
        For options out of range, quotas that cross, and markets without an outcome.

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[3, 1], [1, 3]], capacities=1)
    >>> study = simulate_preferences(market, spreads=[0.2], draws=3)
    >>> [draw.counts for draw in study.draws]
    [True, True, True]
    """
    _ = market.families  # quotas that cross are a fault
    expected = f"above 0 and at most {LARGEST_SPREAD:g}"
    issues = [
        Issue("spread", found=f"{spread:g}", expected=expected)
        for spread in spreads
        if not 0 < spread <= LARGEST_SPREAD
    ]
    if draws < 1:
        issues.append(Issue("draws", found=str(draws), expected="at least 1"))
    if issues:
        raise InvalidProblemError(issues)
    mechanism = Equilibrating(seed) if mechanism is None else mechanism
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("as reported")
    truth = play_truth(mechanism, market)
    relative = truth.utilities(market).mean(axis=0) / entitlements(market)
    reporter.stage("drawn values")
    work = partial(_draw, truth, mechanism, seed)
    jobs = [(float(spread), draw) for spread in spreads for draw in range(draws)]
    found = pmap(work, jobs, engine=engine, n_jobs=n_jobs, reporter=reporter)
    welfare, worst = _mean_and_least(relative)
    return PreferenceStudy(market, mechanism.name, truth.status, welfare, worst, tuple(found), seed)


def redraw(market: PseudoMarket, spread: float, draw: int, seed: int) -> PseudoMarket:
    """Redraw everybody's values, see the module."""
    noise = np.random.default_rng([seed, draw]).standard_normal(market.values.nnz)
    data = market.values.data * np.exp(spread * noise - spread**2 / 2)
    entries = (data, market.values.indices, market.values.indptr)
    return replace(market, values=sp.csr_array(entries, shape=market.values.shape))


def _draw(truth: Played, mechanism: Mechanism, seed: int, job: tuple[float, int]) -> TasteDraw:
    spread, draw = job
    drawn = redraw(truth.report, spread, draw, seed)
    again = mechanism(drawn)
    unit = entitlements(drawn)
    old = truth.utilities(drawn).mean(axis=0) / unit
    new = again.utilities(drawn).mean(axis=0) / unit
    kept, worst_kept = _mean_and_least(old)
    fresh, worst_again = _mean_and_least(new)
    wanting = ~np.isnan(unit)
    return TasteDraw(
        spread=spread,
        draw=draw,
        kept=kept,
        again=fresh,
        worst_kept=worst_kept,
        worst_again=worst_again,
        better_again=float((new > old + 1e-6)[wanting].mean()) if wanting.any() else 0.0,
        status=again.status,
        counts=again.counts and truth.counts,
        seed=seed,
    )


def _mean_and_least(relative: Any) -> tuple[float, float]:
    """Average over those who want anything; NaN if nothing came of the run."""
    some = ~np.isnan(relative)
    return (float(relative[some].mean()), float(relative[some].min())) if some.any() else (np.nan, np.nan)
