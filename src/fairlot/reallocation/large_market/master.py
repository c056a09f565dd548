r"""The restricted master program: the best mixture of the menus at hand.

With :math:`s_j` members in group j and columns m of agent j,

.. math:: \min \sum_{j,m} s_j\, (\pi_j \cdot x_{jm})\, q_{jm} \quad\text{s.t.}\quad
   \sum_{j,m} s_j\, x_{jm}\, q_{jm} = 0, \quad \sum_m q_{jm} \le 1, \quad q \ge 0 ,

what is left of an agent's weight keeping her where she is. Its value is that of a feasible randomised
mechanism, whatever columns there are. The prices :math:`\lambda` of the first rows are the values of
tasks at which new columns are looked for: one improves if
:math:`s_j (\lambda - \pi_j) \cdot x > \mu_j`, the price of the agent's weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import highspy
import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.large_market.columns import Column

_SAME = 1e-9
"""Relative difference between displacements of an agent's columns that makes them the same."""


@dataclass(frozen=True, eq=False)
class MasterSolution:
    """The best mixture.

    Parameters
    ----------
    saving : float
        Against the endowment, over all members.
    weights : FloatArray, shape (n_columns,)
        q.
    prices : FloatArray, shape (n_tasks,)
        Value of one more instance of each task.
    rents : FloatArray, shape (n_agents,)
        What an agent's weight is worth, at least 0.
    """

    saving: float
    weights: FloatArray
    prices: FloatArray
    rents: FloatArray


class Master:
    """The program, to which columns are added; every solution starts from the last.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    """

    def __init__(self, problem: ReallocationProblem) -> None:
        self.columns: list[Column] = []
        self._problem = problem
        self._known: list[set[bytes]] = [set() for _ in problem.agents]
        moved = np.maximum(problem.counts, 1e-300)
        self._amount = np.where(problem.counts > 0, moved, 1.0)
        size = problem.sizes @ (np.abs(problem.costs) * problem.endowment).sum(axis=1)
        self._money = float(size) or 1.0
        self._highs = highspy.Highs()  # type: ignore[no-untyped-call]  # as highspy ships it
        self._highs.setOptionValue("output_flag", False)
        self._highs.setOptionValue("threads", 1)
        self._highs.setOptionValue("presolve", "off")  # it would drop the basis to start from
        empty_index, empty_value = np.empty(0, dtype=np.int32), np.empty(0)
        for _ in problem.tasks:
            self._highs.addRow(0.0, 0.0, 0, empty_index, empty_value)
        for _ in problem.agents:
            self._highs.addRow(-highspy.kHighsInf, 1.0, 0, empty_index, empty_value)

    def add(self, column: Column) -> bool:
        """Add a column and its parts; False where it was there already or moves nothing."""
        if not self._add(column):
            return False
        for part in column.parts():
            self._add(part)
        return True

    def _add(self, column: Column) -> bool:
        moved = column.displacement
        size = float(np.abs(moved).max(initial=0.0))
        if size <= 1e-12 * float(self._problem.endowment[column.agent].sum()):
            return False
        key = np.round(moved / size / _SAME).tobytes() + np.float64(f"{size:.9g}").tobytes()
        if key in self._known[column.agent]:
            return False
        self._known[column.agent].add(key)
        j, members = column.agent, float(self._problem.sizes[column.agent])
        cost = members * float(self._problem.costs[j] @ moved) / self._money
        tasks = np.flatnonzero(moved)
        rows = np.append(tasks, self._problem.n_tasks + j).astype(np.int32)
        entries = np.append(members * moved[tasks] / self._amount[tasks], 1.0)
        self._highs.addCol(cost, 0.0, highspy.kHighsInf, len(rows), rows, entries)
        self.columns.append(column)
        return True

    def extend(self, columns: Sequence[Column | None]) -> int:
        """Add columns, and tell how many were new."""
        return sum(self.add(column) for column in columns if column is not None)

    def solve(self) -> MasterSolution:
        """Solve from the last basis."""
        problem = self._problem
        if not self.columns:
            return MasterSolution(0.0, np.zeros(0), np.zeros(problem.n_tasks), np.zeros(problem.n_agents))
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            msg = "the master program was not solved"  # q = 0 is feasible, and q is bounded
            raise ArithmeticError(msg)
        solution = self._highs.getSolution()
        duals = np.array(solution.row_dual, dtype=np.float64)
        n = problem.n_tasks
        return MasterSolution(
            saving=-float(self._highs.getInfo().objective_function_value) * self._money,
            weights=np.maximum(np.array(solution.col_value, dtype=np.float64), 0.0),
            prices=duals[:n] * self._money / self._amount,
            rents=np.maximum(-duals[n:], 0.0) * self._money,
        )
