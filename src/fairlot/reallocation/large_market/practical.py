r"""Menus that people will read, and the price of each simplification.

Simplifications are applied one after the other to the menus of the large-market solution; after each the
best mixture of what is left, and one menu for each agent, are found afresh, and what the saving has lost
since the step before is its price:

- *at most k lines*: only k of a menu's rays;
- *round exchange rates*: every ray in proportion to whole numbers of at most D ("3 for 5"). Rounding every
  coordinate up leaves :math:`\kappa' + r \kappa'' \ge 0` true, so that a polarized menu stays polarized;
  rounding to the nearest is tried too where it does;
- *only exchanges above a size*: no ray that gives away fewer instances than that at full extent;
- *shared menus*: all agents of a group are offered the same exchange rates, each as far as she can go.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import qmc

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.large_market.columns import Column
from fairlot.reallocation.large_market.generation import LargeMarket
from fairlot.reallocation.large_market.master import Master
from fairlot.reallocation.large_market.mechanism import (
    AssignedMenus,
    Choice,
    RandomisedMechanism,
    assign_menus,
    menu_options,
)
from fairlot.reallocation.obvious.rays import full_extent, in_conflict, ray_extents
from fairlot.reallocation.value.acceptance import acceptance

_OPTIONS = 3
"""Menus of each agent that simplified ones are made from, besides those in use."""
_VARIANTS = 6
"""Rounded menus of each agent that are looked at closely."""
_SHARED = 12
"""Menus that a group chooses from."""
_TYPES = 512
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Rules:
    """What menus should look like; None asks nothing.

    Parameters
    ----------
    max_lines : int, optional
        Most rays in a menu.
    round_rates : int, optional
        Largest number in an exchange rate.
    min_exchange : float, optional
        Fewest instances that a ray gives away at full extent.
    groups : sequence, optional
        A label for each agent; those with the same one share a menu.
    """

    max_lines: int | None = None
    round_rates: int | None = None
    min_exchange: float | None = None
    groups: Sequence[Hashable] | None = None

    def check(self, problem: ReallocationProblem) -> None:
        """Raise ``InvalidProblemError`` listing rules that make no sense."""
        issues = []
        for name, number in (("max_lines", self.max_lines), ("round_rates", self.round_rates)):
            if number is not None and number < 1:
                issues.append(Issue(name, found=str(number), expected="at least 1"))
        if self.min_exchange is not None and not self.min_exchange >= 0:
            issues.append(Issue("min_exchange", found=str(self.min_exchange), expected="at least 0"))
        if self.groups is not None and len(self.groups) != problem.n_agents:
            expected = f"one per agent ({problem.n_agents})"
            issues.append(Issue("groups", found=f"{len(self.groups)} labels", expected=expected))
        if issues:
            raise InvalidProblemError(issues)


@dataclass(frozen=True)
class Simplification:
    """One step from the best mixture to the menus that are published.

    Parameters
    ----------
    name : str
        What was asked.
    saving : float
        Large-market saving after it.
    price : float
        What it has lost.
    """

    name: str
    saving: float
    price: float

    def to_dict(self) -> dict[str, Any]:
        """Return the step for ``summary.json``."""
        return {"name": self.name, "large_market_saving": self.saving, "price": self.price}


def _step(name: str, before: float, after: float) -> Simplification:
    """Price a step; what is rounding beside the saving is nothing."""
    lost = before - after
    return Simplification(name, after, lost if abs(lost) > _ROUNDING * abs(before) else 0.0)


def practical_menus(
    market: LargeMarket, rules: Rules
) -> tuple[AssignedMenus, tuple[Simplification, ...], list[Column]]:
    """Simplify the menus, and choose one for each agent.

    Parameters
    ----------
    market : LargeMarket
        What column generation ended with.
    rules : Rules
        What is asked of the menus.

    Returns
    -------
    assigned : AssignedMenus
        The menus.
    steps : tuple of Simplification
        The price of one menu per agent, and then of each rule, in the order in which they were applied.
    options : list of Column
        Other menus that keep the rules; only the assigned ones where menus are shared.
    """
    problem = market.problem
    rules.check(problem)
    mechanism = RandomisedMechanism.of(market)
    assigned = assign_menus(problem, menu_options(mechanism))
    steps = [_step("one menu for each agent", market.saving, assigned.saving)]
    options = _options(market, mechanism)
    transforms: list[tuple[str, Callable[[Column], Iterator[Column]]]] = []
    if rules.max_lines is not None:
        lines = rules.max_lines
        transforms.append((f"at most {lines} lines", lambda column: _fewer_lines(column, lines)))
    if rules.round_rates is not None:
        rounder = _Rounder(market, rules.round_rates)
        transforms.append((f"exchange rates of numbers up to {rules.round_rates}", rounder.variants))
    if rules.min_exchange is not None:
        least = rules.min_exchange
        transforms.append(
            (f"exchanges of at least {least:g}", lambda column: _large_enough(problem, column, least))
        )
    for name, transform in transforms:
        options = [[variant for column in of_agent for variant in transform(column)] for of_agent in options]
        mixture = _best_mixture(problem, options)
        assigned = assign_menus(problem, menu_options(mixture))
        steps.append(_step(name, steps[-1].saving, assigned.saving))
    if rules.groups is not None:
        assigned = assign_menus(problem, _shared(market, options, rules.groups))
        steps.append(_step("shared menus", steps[-1].saving, assigned.saving))
        return assigned, tuple(steps), list(assigned.columns)
    others = [column for of_agent in options for column in of_agent] if transforms else list(market.columns)
    return assigned, tuple(steps), others


def _options(market: LargeMarket, mechanism: RandomisedMechanism) -> list[list[Column]]:
    """List each agent's menus in use, and her best others at the prices."""
    problem = market.problem
    options: list[list[Column]] = [[choice[0] for choice in of_agent] for of_agent in menu_options(mechanism)]
    values = market.solution.prices - problem.costs
    ranked: list[list[tuple[float, int]]] = [[] for _ in problem.agents]
    for k, column in enumerate(market.columns):
        ranked[column.agent].append((-float(values[column.agent] @ column.displacement), k))
    for j, of_agent in enumerate(ranked):
        used = {id(column) for column in options[j]}
        best = [market.columns[k] for _, k in sorted(of_agent)[: _OPTIONS + len(used)]]
        options[j] += [column for column in best if id(column) not in used][:_OPTIONS]
    return options


def _best_mixture(problem: ReallocationProblem, options: Sequence[Sequence[Column]]) -> RandomisedMechanism:
    master = Master(problem)
    for of_agent in options:
        master.extend(of_agent)
    return RandomisedMechanism.of_solution(problem, master.columns, master.solve())


def _fewer_lines(column: Column, lines: int) -> Iterator[Column]:
    n = len(column.changes)
    if n <= lines:
        yield column
        return
    for rays in itertools.combinations(range(n), lines):
        yield column.part(rays)


def _large_enough(problem: ReallocationProblem, column: Column, least: float) -> Iterator[Column]:
    given = (
        problem.endowment[column.agent].sum()
        if column.remedial
        else np.maximum(-column.changes, 0).sum(axis=1)
    )
    large = np.flatnonzero(np.atleast_1d(given) >= least)
    if len(large):
        yield column.part(tuple(large.tolist()))


class _Rounder:
    """Makes rounded variants of menus, and keeps the best few at the prices."""

    def __init__(self, market: LargeMarket, largest: int) -> None:
        self._problem, self._largest = market.problem, largest
        self._values = market.solution.prices - market.problem.costs
        self._points = qmc.Sobol(market.problem.n_tasks, seed=0).random(_TYPES)

    def variants(self, column: Column) -> Iterator[Column]:
        """List the menus with rounded rates that are worth most."""
        if column.remedial:
            yield column
            return
        j, problem = column.agent, self._problem
        belief = problem.beliefs.of(j)
        types = belief.types(self._points[:, None])[:, 0]
        rounded = [self._rounded(ray) for ray in column.changes]
        menus: list[tuple[float, int, FloatArray]] = []
        for rays in itertools.product(*rounded):
            menu = np.array(rays)
            first, second = np.triu_indices(len(menu), 1)
            if not in_conflict(menu[first], menu[second]).any():
                full = full_extent(problem, np.full(len(menu), j), menu)
                chance = (types @ full.T < 0).mean(axis=0)
                menus.append((float(chance @ np.maximum(full @ self._values[j], 0.0)), len(menus), full))
        for _, _, full in sorted(menus, key=lambda item: (-item[0], item[1]))[:_VARIANTS]:
            owner = np.zeros(len(full), dtype=np.int64)
            yield Column(j, full, acceptance(belief, owner, full))

    def _rounded(self, ray: FloatArray) -> list[FloatArray]:
        """List a ray in whole numbers, by finer and finer scales."""
        found: dict[bytes, FloatArray] = {}
        for largest in range(1, self._largest + 1):
            scaled = ray * (largest / np.abs(ray).max())
            for whole in (np.ceil(scaled - 1e-9), np.rint(scaled)):
                if (whole < 0).any() and (whole > 0).any():
                    direction = whole / np.gcd.reduce(whole.astype(np.int64))
                    found.setdefault(np.round(direction).tobytes(), direction)
        return list(found.values())


def _shared(
    market: LargeMarket, options: Sequence[Sequence[Column]], groups: Sequence[Hashable]
) -> list[list[Choice]]:
    """List what each group may share: the directions of its members' menus, each as far as she can go."""
    problem = market.problem
    values = market.solution.prices - problem.costs
    members: dict[Hashable, list[int]] = {}
    for j, label in enumerate(groups):
        members.setdefault(label, []).append(j)
    units = []
    for group in members.values():
        pool = [column for j in group for column in options[j]]
        worth = [
            -problem.sizes[column.agent] * float(values[column.agent] @ column.displacement)
            for column in pool
        ]
        kept = [pool[k] for k in np.argsort(worth, kind="stable")[:_SHARED]]
        choices = [_for_all(problem, column, group) for column in kept]
        units.append([choice for choice in choices if choice])
    return [unit for unit in units if unit]


def _for_all(problem: ReallocationProblem, column: Column, group: Sequence[int]) -> Choice:
    """Offer a menu's exchange rates to everybody in the group."""
    offered = []
    for j in group:
        if column.remedial:
            offered.append(Column(j, -problem.endowment[j][None], np.ones(1), remedial=True))
            continue
        owner = np.full(len(column.changes), j)
        able = np.flatnonzero(ray_extents(problem, owner, column.changes) > 0)
        if len(able):
            full = full_extent(problem, owner[able], column.changes[able])
            offered.append(Column(j, full, acceptance(problem.beliefs, owner[able], full)))
    return tuple(offered)
