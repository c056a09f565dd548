"""Solve a small economy: road C, then exact arithmetic, then a certificate."""

from __future__ import annotations

import time
from typing import Literal, get_args

from fairlot.certificate import Certificate, Stats, Status
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations import MOST_ENUMERATED
from fairlot.model.valuations.expressions import INFINITY, goods_in
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.bundles.cells import Cell, assignments
from fairlot.pseudomarket.bundles.columns import BundlePoint
from fairlot.pseudomarket.bundles.equilibrium import EconomyEquilibrium
from fairlot.pseudomarket.bundles.exact import exact_answer
from fairlot.pseudomarket.bundles.lotteries import float_lottery
from fairlot.pseudomarket.bundles.road import travel
from fairlot.verify.economies import STRONG, verify_walrasian

EconomyMethod = Literal["auto", "bundles", "exact"]

_ATTEMPTS = 6
_MOST_EXACT = 8
"""Most goods, and agents, with which ``auto`` asks for exact answers."""


def solve_economy(
    economy: FiatEconomy,
    *,
    method: EconomyMethod = "auto",
    tol: float = 1e-9,
    time_limit: float | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> EconomyEquilibrium:
    r"""Find a strong equilibrium of an economy of agents with M♮-concave utilities of bundles.

    Parameters
    ----------
    economy : FiatEconomy
        The economy.
    method : "auto", "bundles" or "exact"
        ``exact`` gives prices and weights as fractions, or a box that is proved to hold irrational ones;
        it needs all bundles to be listed. ``bundles`` works in floating point and asks the valuations for
        demand. ``auto`` is exact for small economies, and falls back.
    tol : float
        Tolerance of the certificate of ``bundles``; that of ``exact`` is 0.
    time_limit : float, optional
        Seconds.
    seed : int
        Of the paths' random weights: another seed may lead to another equilibrium.
    reporter : Reporter, optional
        Told the stages.

    Returns
    -------
    EconomyEquilibrium
        ``CERTIFIED`` if every condition holds; ``INFEASIBLE`` if no assignment gives everybody a bundle of
        her consumption set; else ``TIME_LIMIT`` or ``UNCERTIFIED``.

    Raises
    ------
    ValueError
        If an option is out of range.
    NotSupportedError
        If ``exact`` is asked of an economy with too many goods to list bundles.

    References
    ----------
    F. Gul, W. Pesendorfer and M. Zhang, "Efficient Allocation of Indivisible Goods in Pseudomarkets with
    Constraints", Theorems 1 and 2.

    Examples
    --------
    >>> from fairlot.model.valuations import Table
    >>> economy = FiatEconomy([Table([0, 10, 8, 11]), *2 * [Table([0, 10, 2, 11])]], budgets=1)
    >>> found = solve_economy(economy)
    >>> found.status.value, [str(p) for p in found.prices], [str(u) for u in found.utilities]
    ('certified', ['2', '1'], ['8', '5', '5'])
    """
    if method not in get_args(EconomyMethod):
        msg = f"method is {method!r}, expected one of {', '.join(get_args(EconomyMethod))}"
        raise ValueError(msg)
    began = time.monotonic()
    deadline = None if time_limit is None else began + time_limit
    reporter = reporter or NullReporter()
    spent = 0

    def stats(road: str, **more: int) -> Stats:
        parameters = {"method": method, "tol": tol, "time_limit": time_limit, "seed": seed, **more}
        return Stats(road, spent, time.monotonic() - began, parameters)

    if not _feasible(economy):
        return _nothing(economy, Status.INFEASIBLE, stats("feasibility"))
    exact = method == "exact" or (
        method == "auto" and economy.n_goods <= _MOST_EXACT and economy.n_agents <= _MOST_EXACT
    )
    if exact:
        for u in economy.valuations:
            u.table()
    point: BundlePoint | None = None
    for attempt in range(_ATTEMPTS):
        journey = travel(economy, seed=seed + attempt, deadline=deadline, reporter=reporter)
        spent += journey.iterations
        if journey.point is not None and journey.complete:
            if not exact:
                return _in_floats(economy, journey.point, tol, stats("bundles", columns=journey.columns))
            point = point or journey.point
            reporter.stage("exact answer")
            answer = exact_answer(economy, journey.point)
            if answer is not None:
                return EconomyEquilibrium(
                    economy=economy,
                    prices=answer.good_prices,
                    limit_prices=answer.limit_prices,
                    lottery=answer.lottery,
                    status=Status.CERTIFIED,
                    certificate=answer.certificate,
                    stats=stats("exact", columns=journey.columns),
                    enclosure=answer.claim,
                )
        if deadline is not None and time.monotonic() > deadline:
            break
    if point is not None and method == "auto":
        return _in_floats(economy, point, tol, stats("bundles"))
    late = deadline is not None and time.monotonic() > deadline
    return _nothing(economy, Status.TIME_LIMIT if late else Status.UNCERTIFIED, stats("none"))


def _in_floats(
    economy: FiatEconomy,
    point: BundlePoint,
    tol: float,
    stats: Stats,
) -> EconomyEquilibrium:
    """Make the result of a point of road C."""
    lottery = float_lottery(economy, point)
    prices = tuple(float(price) for price in point.prices(economy))
    limits = tuple(float(price) for price in point.limit_prices)
    certificate = Certificate(STRONG, ())
    if lottery is not None:
        certificate = verify_walrasian(economy, prices, lottery, limit_prices=limits, tol=tol)
    status = Status.CERTIFIED if certificate.passed else Status.UNCERTIFIED
    return EconomyEquilibrium(economy, prices, limits, lottery, status, certificate, stats)


def _nothing(economy: FiatEconomy, status: Status, stats: Stats) -> EconomyEquilibrium:
    return EconomyEquilibrium(
        economy, None, (0,) * len(economy.limits), None, status, Certificate(STRONG, ()), stats
    )


def _feasible(economy: FiatEconomy) -> bool:
    """Whether everybody can have a bundle of her consumption set at once; unknown counts as yes."""
    supports: list[tuple[int, ...]] = []
    for u in economy.valuations:
        if u.value(()) != -INFINITY:
            supports.append((0,))
        elif u.n_goods > MOST_ENUMERATED:
            return True
        else:
            table = u.table()
            supports.append(
                tuple(
                    mask
                    for mask, value in enumerate(table)
                    if value != -INFINITY and all(table[mask ^ 1 << j] == -INFINITY for j in goods_in(mask))
                )
            )
    return bool(assignments(economy, Cell(tuple(supports), (True,) * economy.n_agents, ()), most=1))
