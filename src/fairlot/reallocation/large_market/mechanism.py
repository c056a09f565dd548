r"""From the best mixture to one menu per agent, and to the menus of a replica economy.

A solution of the large-market program offers agent j the menu m with probability :math:`q_{jm}`. It needs few
mixtures: a vertex has no more positive weights than rows, one per agent and task. In the N-replica
economy of section 4.3 :math:`\lfloor N q_{jm} \rfloor` of the N copies of agent j are offered menu m, those
left over by the largest remainder. For one copy of each agent an integer program chooses one menu for each of
the few agents whose menu is mixed, so that as much as possible is still saved with every task assigned in
expectation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.large_market.columns import Column
from fairlot.reallocation.large_market.generation import LargeMarket
from fairlot.reallocation.large_market.master import MasterSolution
from fairlot.reallocation.programs import LinearProgram, solve_program

_NONE = 1e-7
"""Weights not above this are rounding."""


@dataclass(frozen=True, eq=False)
class RandomisedMechanism:
    """A menu for each agent, at random, independently of everything else.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    columns : tuple of Column
        Menus offered, by agent.
    weights : FloatArray, shape (n_columns,)
        Probabilities; what an agent's lack to 1 is that of no choice at all.
    saving : float
        In the large market, over all members, against the endowment.
    """

    problem: ReallocationProblem
    columns: tuple[Column, ...]
    weights: FloatArray
    saving: float

    @classmethod
    def of(cls, market: LargeMarket) -> RandomisedMechanism:
        """Take the mixture out of what column generation ended with."""
        return cls.of_solution(market.problem, market.columns, market.solution)

    @classmethod
    def of_solution(
        cls, problem: ReallocationProblem, columns: Sequence[Column], solution: MasterSolution
    ) -> RandomisedMechanism:
        """Take the mixture out of a solution of the master program."""
        kept = np.flatnonzero(solution.weights > _NONE)
        kept = kept[np.argsort([columns[k].agent for k in kept.tolist()], kind="stable")]
        weights = np.minimum(solution.weights[kept], 1.0)
        weights.flags.writeable = False
        return cls(problem, tuple(columns[k] for k in kept.tolist()), weights, solution.saving)

    @property
    def mixed(self) -> tuple[int, ...]:
        """Agents for whom it is left to chance what they are offered."""
        chance = (self.weights > _NONE) & (self.weights < 1 - _NONE)
        return tuple(dict.fromkeys(c.agent for c, mixed in zip(self.columns, chance, strict=True) if mixed))

    def copies(self, replicas: int) -> IntArray:
        """Count how many of each agent's copies get each menu.

        Parameters
        ----------
        replicas : int
            N; a group has N times its size.

        Returns
        -------
        IntArray, shape (n_columns,)
            The rest of an agent's copies get no choice.
        """
        owner = np.array([column.agent for column in self.columns], dtype=np.int64)
        members = self.problem.sizes * replicas
        exact = self.weights * members[owner] + _NONE
        counts: IntArray = np.floor(exact).astype(np.int64)
        for j in np.unique(owner).tolist():
            mine = np.flatnonzero(owner == j)
            keeping = members[j] * (1 - self.weights[mine].sum())
            left = int(members[j] - counts[mine].sum() - np.floor(keeping + _NONE))
            remainder = exact[mine] - counts[mine]
            counts[mine[np.argsort(-remainder, kind="stable")[: max(left, 0)]]] += 1
        return counts


@dataclass(frozen=True, eq=False)
class AssignedMenus:
    """One menu for each agent.

    Parameters
    ----------
    columns : tuple of Column
        The menus, at most one per agent.
    saving : float
        In the large market, against the endowment, if every copy of an agent gets the same menu.
    """

    problem: ReallocationProblem
    columns: tuple[Column, ...]
    saving: float

    @property
    def menus(self) -> Menus:
        """The menus as they are published."""
        problem = self.problem
        return Menus.of(problem.agents, problem.tasks, [column.menu(problem) for column in self.columns])


Choice = tuple[Column, ...]
"""Menus that are handed out together, at most one per agent: one agent's, or all of those who share one."""


def assign_menus(problem: ReallocationProblem, units: Sequence[Sequence[Choice]]) -> AssignedMenus:
    r"""Choose a menu for each agent, or for all who share one, tasks being assigned in expectation.

    .. math:: \min \sum_{j,m,k} s_j\, P_{jm}^k\, (\pi_j \cdot \kappa_{jm}^k)\, y_{jm}^k \quad\text{s.t.}\quad
       \sum s_j\, P_{jm}^k\, \kappa_{jm}^k\, y_{jm}^k = 0, \quad 0 \le y_{jm}^k \le z_{um}, \quad
       \sum_m z_{um} \le 1, \quad z \in \{0, 1\}

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    units : sequence of sequence of Choice
        What can be chosen from for each unit, an agent or those who share a menu.
    """
    choices = [choice for unit in units for choice in unit]
    if not choices:
        return AssignedMenus(problem, (), 0.0)
    columns = [column for choice in choices for column in choice]
    column_choice = np.repeat(np.arange(len(choices)), [len(choice) for choice in choices])
    unit_of = np.repeat(np.arange(len(units)), [len(unit) for unit in units])
    moves = [_moves(column) for column in columns]
    owner = np.repeat([column.agent for column in columns], [len(m) for m in moves])
    ray_choice = np.repeat(column_choice, [len(m) for m in moves])
    moved = np.vstack(moves) * problem.sizes[owner, None]
    cost = (problem.costs[owner] * moved).sum(axis=1)
    n_rays, n_choices = len(moved), len(choices)
    scale = float(np.abs(cost).max()) or 1.0
    amount = np.maximum(np.abs(moved).max(axis=0), 1e-300)
    free = np.array([len(units[u]) > 1 for u in unit_of.tolist()])
    picked = (np.arange(n_rays), ray_choice)
    in_unit = (unit_of, np.arange(n_choices))
    blocks = [
        [sp.csc_array((moved / amount).T), None],
        [sp.eye_array(n_rays), sp.csc_array((-np.ones(n_rays), picked), shape=(n_rays, n_choices))],
        [None, sp.csc_array((np.ones(n_choices), in_unit), shape=(len(units), n_choices))],
    ]
    none = np.zeros(problem.n_tasks)
    program = LinearProgram(
        cost=np.concatenate([cost / scale, np.zeros(n_choices)]),
        lower=np.concatenate([np.zeros(n_rays), np.where(free, 0.0, 1.0)]),
        upper=np.ones(n_rays + n_choices),
        matrix=sp.csc_array(sp.block_array(blocks, format="csc")),
        row_lower=np.concatenate([none, np.full(n_rays + len(units), -np.inf)]),
        row_upper=np.concatenate([none, np.zeros(n_rays), np.ones(len(units))]),
        whole=np.concatenate([np.zeros(n_rays, dtype=np.bool_), free]),
    )
    solution = solve_program(program)
    if not solution.optimal:
        msg = "the choice of menus was not solved"  # y = 0 is feasible
        raise ArithmeticError(msg)
    chosen = solution.x[n_rays:] > 0.5
    kept = tuple(column for column, c in zip(columns, column_choice, strict=True) if chosen[c])
    return AssignedMenus(problem, kept, -float(solution.value) * scale)


def menu_options(mechanism: RandomisedMechanism) -> list[list[Choice]]:
    """List the menus that each agent may get, those first that she gets most often."""
    options: list[list[Choice]] = [[] for _ in mechanism.problem.agents]
    for k in np.argsort(-mechanism.weights, kind="stable").tolist():
        options[mechanism.columns[k].agent].append((mechanism.columns[k],))
    return options


def _moves(column: Column) -> FloatArray:
    """List what may be selected apart: expected moves by ray, or by task if the menu is remedial."""
    if column.remedial:
        taken = column.changes[0]
        return np.asarray(np.diag(taken)[taken != 0])
    return np.asarray(column.acceptance[:, None] * column.changes)
