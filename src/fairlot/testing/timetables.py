"""Made-up timetables: sections of courses in slots, whose quotas cross; the same for the same seed."""

from __future__ import annotations

import numpy as np

from fairlot.model.conflicts import Conflict, Meeting, meeting_conflict
from fairlot.model.constraints import Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.testing.markets import random_values


def timetable_market(
    n_agents: int,
    n_goods: int,
    seed: int = 0,
    ratio: float = 0.8,
    *,
    kind: str = "grades",
    slots: int = 6,
    load: int = 5,
    sections: int = 2,
    least: int = 0,
    tapers: bool = False,
    meetings: bool = False,
    unequal_budgets: bool = False,
) -> PseudoMarket:
    """Make a market of sections of courses that meet in slots, one of each per student.

    Parameters
    ----------
    n_agents, n_goods : int
        Students and sections.
    seed : int
        Of the generator; the same seed gives the same market.
    ratio : float
        Seats over what students would take at most, unequal between sections.
    kind : str
        One of :data:`~fairlot.testing.markets.VALUE_KINDS`; grades are full of ties.
    slots, load : int
        Number of slots in the week, and most sections a student may take.
    sections : int
        Sections of a course.
    least : int
        Fewest sections that every fourth student must take.
    tapers : bool
        The third and later section before noon (the first half of the slots) is worth less.
    meetings : bool
        Classes of 50 to 150 minutes that begin at any half hour of two days instead of slots.
    unequal_budgets : bool
        Budgets between 0.7 and 1.3 instead of 1.

    Examples
    --------
    >>> market = timetable_market(20, 8, seed=1)
    >>> market.title, len(market.crossings) > 0
    ('timetable 20 × 8, grades, ratio 0.8, seed 1', True)
    """
    rng = np.random.default_rng(seed)
    values = random_values(kind, n_agents, n_goods, rng)
    goods = tuple(f"section{j + 1}" for j in range(n_goods))
    slot = rng.permutation(n_goods) % slots
    course = np.arange(n_goods) // sections
    reach = min(load, slots)
    weight = rng.uniform(0.5, 1.5, n_goods)
    seats = np.maximum(1.0, np.floor(weight / weight.sum() * ratio * reach * n_agents))
    minimum = tuple(least if i % 4 == 0 else 0 for i in range(n_agents))
    quotas = [Quota("load", min=minimum, max=load)]
    quotas += [
        Quota("one section per course", tuple(np.array(goods)[course == k]), max=1, group=f"course = {k}")
        for k in range(int(course.max()) + 1)
    ]
    conflicts: list[Conflict] = []
    if meetings:
        begin, length = 480 + 30 * rng.integers(0, 18, n_goods), 50 + 25 * rng.integers(0, 5, n_goods)
        day = rng.integers(0, 2, n_goods)
        weekly = {
            good: [Meeting(frozenset({int(d)}), int(b), int(b + w))]
            for good, d, b, w in zip(goods, day, begin, length, strict=True)
        }
        conflicts = [meeting_conflict("overlap", weekly, gap=10)]
    else:
        quotas += [
            Quota("one section per slot", tuple(np.array(goods)[slot == k]), max=1, group=f"slot = {k}")
            for k in range(slots)
        ]
    early = tuple(np.array(goods)[slot < slots // 2])
    return PseudoMarket.from_arrays(
        values,
        capacities=seats,
        budgets=rng.uniform(0.7, 1.3, n_agents) if unequal_budgets else 1.0,
        goods=goods,
        quotas=quotas,
        tapers=[Taper("before noon", (0.0, 0.0, -0.1 * float(values.mean())), early)] if tapers else [],
        conflicts=conflicts,
        title=f"timetable {n_agents} × {n_goods}, {kind}, ratio {ratio:g}, seed {seed}",
    )
