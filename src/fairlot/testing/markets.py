"""Made-up pseudo-markets, the same for the same seed.

A market is named by its shape and a kind of values (:data:`VALUE_KINDS`):

===============  ==========================================================================
``uniform``      independent and uniform: nobody's taste tells anything of anybody's
``correlated``   a common worth of each good, plus as much noise, never negative
``popular``      the common worth dominates: everybody wants the same goods
``lognormal``    a few goods are worth many times the others
``ranks``        places from the bottom of correlated rankings
``grades``       integers 0 to 10, correlated: ties
``coarse``       integers 0 to 3: ties everywhere
``binary``       1 for three goods in ten, else 0
``sparse``       uniform for three goods in twenty, else 0
``types``        a tenth as many tastes as agents: many twins
===============  ==========================================================================
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket

VALUE_KINDS = (
    "uniform",
    "correlated",
    "popular",
    "lognormal",
    "ranks",
    "grades",
    "coarse",
    "binary",
    "sparse",
    "types",
)
"""Names of the kinds of values."""


def random_values(kind: str, n_agents: int, n_goods: int, rng: np.random.Generator) -> FloatArray:
    """Draw values of a kind, shape (n_agents, n_goods).

    Parameters
    ----------
    kind : str
        One of :data:`VALUE_KINDS`.
    n_agents, n_goods : int
        Shape.
    rng : numpy.random.Generator
        Source of randomness.
    """
    shape = (n_agents, n_goods)
    worth, taste = rng.random(n_goods), rng.random(shape)
    match kind:
        case "uniform":
            values = taste
        case "correlated":
            values = np.maximum(0.0, 0.3 + worth + 0.25 * rng.standard_normal(shape))
        case "popular":
            values = np.maximum(0.0, 3.0 * worth + 0.2 * rng.standard_normal(shape))
        case "lognormal":
            values = np.exp(0.7 * rng.standard_normal(n_goods) + 0.7 * rng.standard_normal(shape))
        case "ranks":
            values = np.argsort(np.argsort(worth + taste, axis=1), axis=1).astype(np.float64)
        case "grades":
            values = np.rint(5.0 * (worth + taste))
        case "coarse":
            values = np.floor(4.0 * taste)
        case "binary":
            values = (taste < 0.3).astype(np.float64)
        case "sparse":
            values = np.where(taste < 0.15, rng.random(shape), 0.0)
        case "types":
            tastes = taste[: max(2, n_agents // 10)]
            values = tastes[rng.integers(0, len(tastes), n_agents)]
        case _:
            msg = f"unknown kind of values {kind!r}; there are {', '.join(VALUE_KINDS)}"
            raise ValueError(msg)
    return np.asarray(values, dtype=np.float64)


def _seats(n_goods: int, total: int, rng: np.random.Generator, spread: float) -> FloatArray:
    """Share seats out among goods, at least one each, within ``1 ± spread`` of equal shares."""
    weight = rng.uniform(1.0 - spread, 1.0 + spread, n_goods)
    seats: FloatArray = np.maximum(1.0, np.floor(weight / weight.sum() * total))
    return seats


def unit_demand(
    n_agents: int,
    n_goods: int,
    seed: int = 0,
    kind: str = "correlated",
    *,
    ratio: float = 1.0,
    unequal_budgets: bool = False,
) -> PseudoMarket:
    """Make a market in which everybody gets at most one thing (Hylland and Zeckhauser).

    Parameters
    ----------
    n_agents, n_goods : int
        Size.
    seed : int
        Of the generator; the same seed gives the same market.
    kind : str
        One of :data:`VALUE_KINDS`.
    ratio : float
        Seats per agent; every good has the same number, at least one.
    unequal_budgets : bool
        Budgets between 0.5 and 1.5 instead of 1.

    Examples
    --------
    >>> market = unit_demand(4, 2, seed=7)
    >>> market.capacities.tolist(), market.title
    ([2, 2], 'unit demand 4 × 2, correlated, seed 7')
    """
    rng = np.random.default_rng(seed)
    values = random_values(kind, n_agents, n_goods, rng)
    return PseudoMarket.from_arrays(
        values,
        capacities=max(1, round(ratio * n_agents / n_goods)),
        budgets=rng.uniform(0.5, 1.5, n_agents) if unequal_budgets else 1.0,
        quotas=[Quota("one thing", max=1)],
        title=f"unit demand {n_agents} × {n_goods}, {kind}, seed {seed}",
    )


def course_market(
    n_agents: int,
    n_goods: int,
    seed: int = 0,
    ratio: float = 1.0,
    *,
    kind: str = "correlated",
    departments: int | None = None,
    load: int = 5,
    per_department: int = 2,
    majors: bool = True,
    tapers: bool = False,
    limits: bool = False,
    acceptable: float = 1.0,
    unequal_budgets: bool = False,
) -> PseudoMarket:
    """Make a market of courses in departments.

    Parameters
    ----------
    n_agents, n_goods : int
        Students and courses.
    seed : int
        Of the generator; the same seed gives the same market.
    ratio : float
        Seats per course wanted: seats are about ``ratio * load * n_agents``, unequal between courses.
    kind : str
        One of :data:`VALUE_KINDS`.
    departments : int, optional
        Courses are dealt to so many departments; default one per eight courses, but at least three.
    load, per_department : int
        Most courses a student may take, altogether and in one department.
    majors : bool
        Half of the students must take a course in their own department. Where a department has fewer
        seats than there are students, its cheapest course may cost more than a budget in any candidate
        equilibrium, and there may be none.
    tapers : bool
        The second and later course in a department is worth less, by a tenth of the mean value.
    limits : bool
        Every department has seats for nine tenths of what its courses hold together.
    acceptable : float
        Share of the courses that a student accepts, at random; at least ``load`` where there are.
    unequal_budgets : bool
        Budgets between 0.7 and 1.3 instead of 1.

    Examples
    --------
    >>> market = course_market(30, 12, seed=1, departments=3)
    >>> [quota.label for quota in market.quotas][:2]
    ["quota 'load'", "quota 'department' [department = 0]"]
    """
    rng = np.random.default_rng(seed)
    values = random_values(kind, n_agents, n_goods, rng)
    if departments is None:
        departments = max(min(3, n_goods), n_goods // 8)
    departments = min(departments, n_goods)
    department = rng.permutation(n_goods) % departments
    goods = tuple(f"course{j + 1}" for j in range(n_goods))
    members = [tuple(goods[j] for j in np.flatnonzero(department == d)) for d in range(departments)]
    major = np.where(rng.random(n_agents) < 0.5, rng.integers(0, departments, n_agents), -1)
    if not majors:
        major[:] = -1
    accepted = np.ones((n_agents, n_goods), dtype=bool)
    if acceptable < 1.0:
        order = rng.random((n_agents, n_goods))
        accepted = order <= np.maximum(acceptable, np.sort(order, axis=1)[:, [min(load, n_goods) - 1]])
        # A student accepts her own department, or its minimum could be out of reach.
        accepted |= department == major[:, None]
    rows, columns = np.nonzero(accepted)
    seats = _seats(n_goods, round(ratio * load * n_agents), rng, 0.5)
    quotas = [Quota("load", max=load)]
    for d in range(departments):
        least = (major == d).astype(int).tolist()
        quotas.append(Quota("department", members[d], least, per_department, group=f"department = {d}"))
    drop = -0.1 * float(values.mean())
    return PseudoMarket.from_arrays(
        sp.csr_array((values[rows, columns], (rows, columns)), shape=values.shape),
        capacities=seats,
        budgets=rng.uniform(0.7, 1.3, n_agents) if unequal_budgets else 1.0,
        goods=goods,
        quotas=quotas,
        tapers=[
            Taper("variety", (0.0, drop), members[d], group=f"department = {d}")
            for d in range(departments)
            if tapers
        ],
        limits=[
            Limit("department seats", int(0.9 * seats[department == d].sum()), members[d])
            for d in range(departments)
            if limits
        ],
        title=f"courses {n_agents} × {n_goods}, {kind}, ratio {ratio:g}, seed {seed}",
    )
