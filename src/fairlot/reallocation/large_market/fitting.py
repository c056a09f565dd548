r"""From the large market back to this one: menus that save when few people pick.

With one copy of each agent the picks seldom balance as they do in expectation, and menus of the large market
save less. Preferences are drawn, D times for all; in draw d let :math:`\lambda_d` be the prices of the best
selection (:mod:`fairlot.reallocation.selection`). By duality changing agent j's menu from m to m' changes the
saving in draw d by at most

.. math:: r_d(m') - r_d(m), \qquad
   r_d(m) = \sum_{k \text{ picked}} \big((\lambda_d - \pi_j) \cdot \kappa_m^k\big)^+ ,

so that changes are tried in the order of the mean of this bound, and made where the mean saving grows by more
than its standard error. The draws are not those that menus are scored on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import highspy
import numpy as np

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.large_market.columns import Column

_DRAWS = 128
_TRIALS_EACH, _MOST_TRIALS = 6, 240
_TIE = 1e-12
_STREAM = 1
"""Sets the draws apart from those of the same seed that menus are scored on."""


@dataclass(frozen=True, eq=False)
class FittedMenus:
    """Menus for this market.

    Parameters
    ----------
    columns : tuple of Column
        At most one per agent.
    before, after : float
        Mean saving over the draws, of the menus that were begun with and of these.
    trials : int
        Changes tried.
    """

    columns: tuple[Column, ...]
    before: float
    after: float
    trials: int


def fit_menus(
    problem: ReallocationProblem,
    chosen: Sequence[Column],
    options: Sequence[Column],
    *,
    seed: int = 0,
    deadline: float | None = None,
    reporter: Reporter | None = None,
) -> FittedMenus:
    """Exchange menus for others while the mean saving of drawn preferences grows.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    chosen : sequence of Column
        Menus to begin with, at most one per agent.
    options : sequence of Column
        Menus to choose from.
    seed : int
        Of the draws.
    deadline : float, optional
        Time (``time.time()``) to stop at.
    reporter : Reporter, optional
        Told how many trials are done.
    """
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("menus for a market of this size")
    pool = list(dict.fromkeys([*chosen, *options]))
    if not pool:
        return FittedMenus((), 0.0, 0.0, 0)
    rays = _Rays(problem, pool, seed)
    owner = np.array([column.agent for column in pool])
    current: IntArray = np.full(problem.n_agents, -1)
    for k, column in enumerate(pool[: len(chosen)]):
        current[column.agent] = k
    savings, prices = rays.select(current[current >= 0])
    before = float(savings.mean())
    most = min(_TRIALS_EACH * problem.n_agents, _MOST_TRIALS)
    failed: set[int] = set()
    trials = 0
    while trials < most and (deadline is None or time.time() < deadline):
        worth = rays.worth(prices)
        own = np.where(current >= 0, worth[current], 0.0)
        bound = worth - own[owner]
        bound[sorted(failed)] = 0.0
        k = int(bound.argmax())
        if bound[k] <= 1e-9 * max(float(savings.mean()), 1e-300):
            break
        changed = current.copy()
        changed[owner[k]] = k
        trials += 1
        reporter.update(trials / most)
        tried, duals = rays.select(changed[changed >= 0])
        grown = tried - savings
        if grown.mean() > max(float(grown.std(ddof=1)) / np.sqrt(_DRAWS), 1e-9 * float(savings.mean())):
            current, savings, prices = changed, tried, duals
            failed.clear()
        else:
            failed.add(k)
    columns = tuple(pool[k] for k in current.tolist() if k >= 0)
    return FittedMenus(columns, before, float(savings.mean()), trials)


class _Rays:
    """Everything that can be picked from any menu, and how many members pick it in each draw."""

    def __init__(self, problem: ReallocationProblem, pool: Sequence[Column], seed: int) -> None:
        generator = np.random.default_rng([seed, _STREAM])
        n_tasks = problem.n_tasks
        moves, costs, counts, owner = [], [], [], []
        of_agent: list[list[int]] = [[] for _ in problem.agents]
        for k, column in enumerate(pool):
            of_agent[column.agent].append(k)
        for j, mine in enumerate(of_agent):
            size = int(problem.sizes[j])
            types = problem.beliefs.of(j).types(generator.random((_DRAWS * size, 1, n_tasks)))[:, 0]
            tie = -_TIE * (types @ problem.endowment[j])
            for k in mine:
                column = pool[k]
                if column.remedial:
                    taken = column.changes[0]
                    parts = np.diag(taken)[taken != 0]
                    picks = np.full((_DRAWS, len(parts)), float(size))
                else:
                    parts = column.changes
                    accepts = types @ parts.T < tie[:, None]
                    picks = accepts.reshape(_DRAWS, size, -1).sum(axis=1).astype(np.float64)
                moves.append(parts)
                costs.append(parts @ problem.costs[j])
                counts.append(picks)
                owner += [k] * len(parts)
        self._moves, self._costs = np.vstack(moves), np.concatenate(costs)
        self._counts = np.hstack(counts)
        self._owner = np.array(owner)
        self._n_columns = len(pool)
        self._amount = np.maximum(np.abs(self._moves).max(axis=0), 1e-300)
        self._money = float(np.abs(self._costs).max()) or 1.0

    def worth(self, prices: FloatArray) -> FloatArray:
        """Evaluate each menu's mean worth at the prices of every draw, shape (n_columns,)."""
        gains = np.maximum(prices @ self._moves.T - self._costs, 0.0)
        mean = (gains * self._counts).mean(axis=0)
        return np.asarray(np.bincount(self._owner, weights=mean, minlength=self._n_columns), dtype=np.float64)

    def select(self, columns: IntArray) -> tuple[FloatArray, FloatArray]:
        """Select in every draw: savings, shape (n_draws,), and prices, shape (n_draws, n_tasks)."""
        mine = np.flatnonzero(np.isin(self._owner, columns))
        n_tasks = self._moves.shape[1]
        highs = highspy.Highs()  # type: ignore[no-untyped-call]  # as highspy ships it
        for option, value in (("output_flag", False), ("threads", 1), ("presolve", "off")):
            highs.setOptionValue(option, value)
        moves = self._moves[mine] / self._amount
        model = highspy.HighsLp()
        model.num_col_, model.num_row_ = len(mine), n_tasks
        model.col_cost_ = self._costs[mine] / self._money
        model.col_lower_, model.col_upper_ = np.zeros(len(mine)), np.zeros(len(mine))
        model.row_lower_ = model.row_upper_ = np.zeros(n_tasks)
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_ = np.arange(len(mine) + 1, dtype=np.int32) * n_tasks
        model.a_matrix_.index_ = np.tile(np.arange(n_tasks, dtype=np.int32), len(mine))
        model.a_matrix_.value_ = moves.ravel()
        highs.passModel(model)
        every, none = np.arange(len(mine), dtype=np.int32), np.zeros(len(mine))
        savings, prices = np.zeros(len(self._counts)), np.zeros((len(self._counts), n_tasks))
        for d, counts in enumerate(self._counts[:, mine]):
            highs.changeColsBounds(len(mine), every, none, np.ascontiguousarray(counts))
            highs.run()
            savings[d] = -highs.getInfo().objective_function_value * self._money
            prices[d] = np.array(highs.getSolution().row_dual) * self._money / self._amount
        return savings, prices
