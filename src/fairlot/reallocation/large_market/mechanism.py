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
        """Take the mixture out of a solution."""
        kept = np.flatnonzero(market.solution.weights > _NONE)
        kept = kept[np.argsort([market.columns[k].agent for k in kept], kind="stable")]
        weights = np.minimum(market.solution.weights[kept], 1.0)
        weights.flags.writeable = False
        return cls(market.problem, tuple(market.columns[k] for k in kept), weights, market.saving)

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


def assign_menus(problem: ReallocationProblem, options: Sequence[Sequence[Column]]) -> AssignedMenus:
    r"""Choose one menu for each agent, all tasks still being assigned in expectation.

    .. math:: \min \sum_{j,m,k} s_j\, P_{jm}^k\, (\pi_j \cdot \kappa_{jm}^k)\, y_{jm}^k \quad\text{s.t.}\quad
       \sum s_j\, P_{jm}^k\, \kappa_{jm}^k\, y_{jm}^k = 0, \quad 0 \le y_{jm}^k \le z_{jm}, \quad
       \sum_m z_{jm} \le 1, \quad z \in \{0, 1\}

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    options : sequence of sequence of Column
        Menus to choose from, agent by agent.
    """
    columns = [column for of_agent in options for column in of_agent]
    if not columns:
        return AssignedMenus(problem, (), 0.0)
    moves = [_moves(column) for column in columns]
    owner = np.array([column.agent for column in columns], dtype=np.int64)
    ray_column = np.repeat(np.arange(len(columns)), [len(m) for m in moves])
    moved = np.vstack(moves) * problem.sizes[owner[ray_column], None]
    cost = (problem.costs[owner[ray_column]] * moved).sum(axis=1)
    n_rays, n_columns = len(moved), len(columns)
    scale = float(np.abs(cost).max()) or 1.0
    choice = np.array([len(options[j]) > 1 for j in owner.tolist()])
    amount = np.maximum(np.abs(moved).max(axis=0), 1e-300)
    clearing = sp.hstack([sp.csc_array((moved / amount).T), sp.csc_array((problem.n_tasks, n_columns))])
    within = sp.hstack(
        [
            sp.eye_array(n_rays),
            sp.csc_array((-np.ones(n_rays), (np.arange(n_rays), ray_column)), shape=(n_rays, n_columns)),
        ]
    )
    one = sp.hstack(
        [
            sp.csc_array((problem.n_agents, n_rays)),
            sp.csc_array(
                (np.ones(n_columns), (owner, np.arange(n_columns))), shape=(problem.n_agents, n_columns)
            ),
        ]
    )
    none = np.zeros(problem.n_tasks)
    program = LinearProgram(
        cost=np.concatenate([cost / scale, np.zeros(n_columns)]),
        lower=np.concatenate([np.zeros(n_rays), np.where(choice, 0.0, 1.0)]),
        upper=np.ones(n_rays + n_columns),
        matrix=sp.csc_array(sp.vstack([clearing, within, one], format="csc")),
        row_lower=np.concatenate([none, np.full(n_rays + problem.n_agents, -np.inf)]),
        row_upper=np.concatenate([none, np.zeros(n_rays), np.ones(problem.n_agents)]),
        whole=np.concatenate([np.zeros(n_rays, dtype=np.bool_), choice]),
    )
    solution = solve_program(program)
    if not solution.optimal:
        msg = "the choice of menus was not solved"  # y = 0 is feasible
        raise ArithmeticError(msg)
    chosen = np.flatnonzero(solution.x[n_rays:] > 0.5).tolist()
    return AssignedMenus(problem, tuple(columns[k] for k in chosen), -float(solution.value) * scale)


def menu_options(mechanism: RandomisedMechanism) -> list[list[Column]]:
    """List the menus that each agent may get, those first that she gets most often."""
    options: list[list[Column]] = [[] for _ in mechanism.problem.agents]
    for k in np.argsort(-mechanism.weights, kind="stable").tolist():
        options[mechanism.columns[k].agent].append(mechanism.columns[k])
    return options


def _moves(column: Column) -> FloatArray:
    """List what may be selected apart: expected moves by ray, or by task if the menu is remedial."""
    if column.remedial:
        taken = column.changes[0]
        return np.asarray(np.diag(taken)[taken != 0])
    return np.asarray(column.acceptance[:, None] * column.changes)
