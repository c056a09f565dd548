r"""The path that a solver followed, kept for those who want to look at it.

The path roads follow a curve of smoothed equilibria :math:`(p(s), \mu(s))` from a large barrier weight
:math:`\mu` down to nearly 0. It may turn back in :math:`\mu`: such a turn is a *fold*. A
:class:`PathRecorder` is a reporter that also keeps the points which the solver passed; no other reporter
costs a solver anything for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.compiled import CompiledMarket


@dataclass(frozen=True, eq=False)
class Leg:
    r"""One path, from its beginning to its end or to where it was lost.

    Parameters
    ----------
    road : str
        The stage as the solver names it.
    mu : FloatArray, shape (n_points,)
        Barrier weights, in the order in which they were passed.
    prices : FloatArray, shape (n_points, n_goods)
        Money per copy, in the market's own unit.
    """

    road: str
    mu: FloatArray
    prices: FloatArray

    @property
    def folds(self) -> IntArray:
        r"""Points at which the path turns back in :math:`\mu`."""
        ahead = np.sign(np.diff(self.mu))
        return np.flatnonzero(ahead[1:] * ahead[:-1] < 0) + 1


class PathRecorder:
    """A reporter that keeps the path of the solver, and tells another reporter the rest.

    Parameters
    ----------
    reporter : Reporter, optional
        Told stages and residuals.

    Examples
    --------
    >>> import fairlot as fl
    >>> market = fl.PseudoMarket.from_arrays([[10, 8], [10, 2], [10, 2]], capacities=1)
    >>> recorder = PathRecorder()
    >>> found = fl.solve_equilibrium(market, reporter=recorder)
    >>> leg = recorder.legs[-1]
    >>> bool(leg.mu[0] > leg.mu[-1]), leg.prices.shape[1]
    (True, 2)
    """

    def __init__(self, reporter: Reporter | None = None) -> None:
        self._reporter = NullReporter() if reporter is None else reporter
        self._legs: list[tuple[str, CompiledMarket, list[tuple[float, FloatArray]]]] = []

    def stage(self, name: str) -> None:
        """Pass on the stage."""
        self._reporter.stage(name)

    def update(self, fraction: float | None = None, residual: float | None = None) -> None:
        """Pass on the progress."""
        self._reporter.update(fraction, residual)

    def begin(self, road: str, compiled: CompiledMarket) -> None:
        """Begin another leg."""
        self._legs.append((road, compiled, []))

    def waypoint(self, mu: float, row_prices: FloatArray, where: IntArray | slice) -> None:
        r"""Keep a point; at the :math:`\mu` of one passed before, the path goes on from there instead.

        A solver that finds itself lost goes back to a point of which it is sure, and passes it again.
        """
        _, compiled, points = self._legs[-1]
        known = [k for k, (other, _) in enumerate(points) if other == mu]
        if known:
            del points[known[-1] :]
        q = np.zeros(len(compiled.supply))
        q[where] = row_prices
        points.append((mu, np.asarray(compiled.rows.T @ q) * compiled.budget_scale))

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The paths in the order in which they were tried, without those of a single point."""
        return tuple(
            Leg(road, np.array([mu for mu, _ in points]), np.array([prices for _, prices in points]))
            for road, _, points in self._legs
            if len(points) > 1
        )


def begin_path(reporter: Reporter, road: str, compiled: CompiledMarket) -> None:
    """Say that a path begins.

    Parameters
    ----------
    reporter : Reporter
        Who is told.
    road : str
        Name of the stage.
    compiled : CompiledMarket
        What the path's prices are of.
    """
    reporter.stage(road)
    if isinstance(reporter, PathRecorder):
        reporter.begin(road, compiled)


def pass_point(
    reporter: Reporter, mu: float, row_prices: FloatArray, where: IntArray | slice = slice(None)
) -> None:
    r"""Say that a point of the path was reached.

    Parameters
    ----------
    reporter : Reporter
        Told :math:`\mu` as the residual.
    mu : float
        Barrier weight.
    row_prices : FloatArray
        Scaled prices of supply rows.
    where : IntArray or slice
        Which rows, if not all; the price of the others is 0.
    """
    reporter.update(residual=mu)
    if isinstance(reporter, PathRecorder):
        reporter.waypoint(mu, row_prices, where)
