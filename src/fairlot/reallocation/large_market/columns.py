r"""Menus as columns of the outer program.

Offering agent j a polarized menu moves her in expectation by
:math:`x = \sum_k P_j(c \cdot \kappa^k < 0)\, \kappa^k`, every ray selected at full extent by the
types that accept it. A menu with a ray that is only partly used is a mixture of this menu and the one
without the ray, so that with every menu all menus of some of its rays are columns too. The remedial
menu is accepted by everybody, task by task: a column is what it takes away.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import LESS, Menu, Ray
from fairlot.model.tasks import ReallocationProblem

_MOST_SPLIT = 3
"""Menus with more rays than this are split into single rays only."""


@dataclass(frozen=True, eq=False)
class Column:
    r"""A menu that one agent may be offered, with what becomes of it.

    Parameters
    ----------
    agent : int
        Whom it is for.
    changes : FloatArray, shape (n_rays, n_tasks)
        :math:`\kappa^k` at full extent; for the remedial menu one row, of what is taken away.
    acceptance : FloatArray, shape (n_rays,)
        :math:`P_j(c \cdot \kappa^k < 0)`; 1 for the remedial menu.
    remedial : bool
        Whether it is the remedial menu.
    """

    agent: int
    changes: FloatArray
    acceptance: FloatArray
    remedial: bool = False

    @cached_property
    def displacement(self) -> FloatArray:
        """Expected displacement x of a member, shape (n_tasks,)."""
        return np.asarray(self.acceptance @ self.changes)

    def part(self, rays: tuple[int, ...]) -> Column:
        """Return the menu of some of the rays."""
        chosen = list(rays)
        return Column(self.agent, self.changes[chosen], self.acceptance[chosen], self.remedial)

    def parts(self) -> Iterator[Column]:
        """List the menus of some of the rays but not all."""
        n = len(self.changes)
        sizes = range(1, n) if n <= _MOST_SPLIT else range(1, 2)
        for size in sizes:
            for rays in itertools.combinations(range(n), size):
                yield self.part(rays)

    def menu(self, problem: ReallocationProblem) -> Menu:
        """Return the menu as it is published, rays named a, b, ... with the most accepted one first."""
        agent = problem.agents[self.agent]
        if self.remedial:
            return Menu(agent, (Ray(LESS, -problem.endowment[self.agent]),))
        order = np.argsort(-self.acceptance, kind="stable")
        rays = tuple(Ray(_name(k), self.changes[r]) for k, r in enumerate(order.tolist()))
        return Menu(agent, rays)


def remedial_column(problem: ReallocationProblem, agent: int, values: FloatArray) -> Column:
    """Make the column of the remedial menu that takes away every task worth less than nothing.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    agent : int
        Whom it is for.
    values : FloatArray, shape (n_tasks,)
        w, the value of one more instance of each task at her.
    """
    taken = np.where(values < 0, -problem.endowment[agent], 0.0)
    return Column(agent, taken[None], np.ones(1), remedial=True)


def _name(k: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return letters[k] if k < len(letters) else f"ray{k + 1}"
