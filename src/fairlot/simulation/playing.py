r"""Play a mechanism on one report, and tell what the outcome is worth by the true values.

A mechanism f maps the market as *reported* to expected copies :math:`x = f(\hat v)`, stated or as the mean
of draws :math:`x^1, \dots, x^K`. What counts is their worth by the *true* values:
:math:`U_i = \bar u_i(x_i)`, or :math:`\frac1K \sum_k u_i(x^k_i)`. A report may leave out pairs that are
acceptable in truth; it never adds one.

Only certified equilibria count. Any other end of the solver is played too, and flagged, for an
approximate equilibrium may favour or punish somebody by accident.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from fairlot.certificate import Status
from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket, utilities
from fairlot.pseudomarket.equilibrium import Equilibrium
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.verify.demand import best_affordable


@dataclass(frozen=True, eq=False)
class Played:
    """What a mechanism did with a report.

    Parameters
    ----------
    report : PseudoMarket
        The market as reported.
    copies : FloatArray, shape (n_draws, n_pairs)
        Copies of each reported pair in each draw; one row of expected copies where they are stated; no row
        where nothing came of it.
    status : str
        How the solver ended (:class:`~fairlot.certificate.Status`); ``stated`` or ``drawn`` for mechanisms
        that need no certificate; ``failed: ...``.
    counts : bool
        Whether it may enter a mean: certified, or in no need of a certificate.
    equilibrium : Equilibrium or None
        Where there is one.
    """

    report: PseudoMarket
    copies: FloatArray
    status: str
    counts: bool
    equilibrium: Equilibrium | None = None

    def utilities(self, truth: PseudoMarket) -> FloatArray:
        """Evaluate each draw by the true values.

        Parameters
        ----------
        truth : PseudoMarket
            The same agents, goods and rules, with true values for every reported pair and maybe more.

        Returns
        -------
        FloatArray, shape (n_draws, n_agents)
            A row of NaN where nothing came of it.
        """
        if not len(self.copies):
            return np.full((1, truth.n_agents), np.nan)
        key = truth.pair_agent * truth.n_goods + truth.pair_good
        place = np.searchsorted(key, self.report.pair_agent * truth.n_goods + self.report.pair_good)
        worth = np.empty((len(self.copies), truth.n_agents))
        for k, drawn in enumerate(self.copies):
            lifted = np.zeros(len(key))
            lifted[place] = drawn
            worth[k] = utilities(truth, lifted)
        return worth


class Mechanism(Protocol):
    """What the studies play."""

    @property
    def name(self) -> str:
        """How tables call it."""

    def __call__(self, report: PseudoMarket, start: Equilibrium | None = None) -> Played:
        """Play a report, from a nearby equilibrium where that helps."""


@dataclass(frozen=True)
class Equilibrating:
    """The strong equilibrium that the solver finds.

    Parameters
    ----------
    seed : int
        Of the solver.
    time_limit : float, optional
        Seconds for each equilibrium.
    """

    seed: int = 0
    time_limit: float | None = None
    name: str = "equilibrium"

    def __call__(self, report: PseudoMarket, start: Equilibrium | None = None) -> Played:
        """Solve a report."""
        found = solve_equilibrium(report, start=start, seed=self.seed, time_limit=self.time_limit)
        copies = np.empty((0, report.values.nnz))
        if found.shares is not None and report.values.nnz:
            copies = np.asarray(found.shares.matrix[report.pair_agent, report.pair_good]).reshape(1, -1)
        elif found.shares is not None:  # of no entries SciPy makes a sparse array
            copies = np.empty((1, 0))
        certified = found.status is Status.CERTIFIED
        return Played(report, copies, found.status.value, certified, found)


@dataclass(frozen=True)
class Drawing:
    """Any other mechanism, such as the ``run`` of those of :mod:`fairlot.baselines.mechanisms`.

    Parameters
    ----------
    name : str
        How tables call it.
    run : callable
        (market, n_draws, seed, time_limit) -> an outcome with ``draws``, shape (n_draws, n_pairs), and
        ``shares``, shape (n_pairs,), or None.
    n_draws : int
        Draws for each report.
    seed : int
        The same for every report: common random numbers, so that only the report makes a difference.
    time_limit : float, optional
        Seconds, for mechanisms that keep to a limit.
    """

    name: str
    run: Callable[[PseudoMarket, int, int, float | None], Any]
    n_draws: int = 200
    seed: int = 0
    time_limit: float | None = None

    def __call__(self, report: PseudoMarket, start: Equilibrium | None = None) -> Played:
        """Draw from a report; an error of the mechanism is a failure that does not count."""
        copies, counts = np.empty((0, report.values.nnz)), True
        try:
            outcome = self.run(report, self.n_draws, self.seed, self.time_limit)
        except Exception as error:  # of other people's software, which must not end a study
            status, counts = f"failed: {(str(error) or type(error).__name__).splitlines()[0]}", False
        else:
            status = "drawn" if outcome.shares is None else "stated"
            copies = outcome.draws if outcome.shares is None else outcome.shares[None]
        return Played(report, np.asarray(copies, dtype=float), status, counts)


def play_truth(mechanism: Mechanism, market: PseudoMarket, start: Equilibrium | None = None) -> Played:
    """Play the true values, on which all of a study rests.

    Raises
    ------
    InvalidProblemError
        If nothing comes of it: no assignment respects all bounds, or the mechanism fails.
    """
    played = mechanism(market, start)
    if not len(played.copies):
        why = played.status
        if played.equilibrium is not None:
            why = str(played.equilibrium.infeasibility)
        raise InvalidProblemError([Issue(f"{mechanism.name} has no outcome: {why}")])
    return played


def entitlements(market: PseudoMarket) -> FloatArray:
    """Compute each agent's utility if everything were at hand, the unit of a study; NaN where it is 0."""
    peak = best_affordable(market, np.zeros(market.n_goods)).peak
    return np.where(peak > 0, peak, np.nan)


def standard_error(sample: FloatArray) -> float:
    """Compute the standard error of a mean; NaN of fewer than two."""
    return float(sample.std(ddof=1) / np.sqrt(len(sample))) if len(sample) > 1 else float("nan")


def record(observation: Any) -> dict[str, Any]:
    """Return the fields of an observation as a row of a table, None for what is not a number."""
    return {
        name: None if isinstance(cell, float) and np.isnan(cell) else cell
        for name, cell in vars(observation).items()
    }
