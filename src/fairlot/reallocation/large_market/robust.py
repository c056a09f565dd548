r"""Menus for a designer who believes nothing but the box that the types are in.

The worst case itself says little: if the box holds a type who would refuse every exchange that pays, no menu
guarantees anything (Corollary 1 for boxes that agents have in common). What a menu can be held to is its
*regret*: what the best menu for that type alone would have been worth more, at given values of the tasks,

.. math:: R_j(m) = \max_{c \in C_j} \Big( \max_{m'} g_j(m', c) - g_j(m, c) \Big), \qquad
   g_j(m, c) = \sum_k 1[c \cdot \kappa_m^k < 0]\, (w \cdot \kappa_m^k)^+ .

Each agent gets the menu of least regret among all that were found for her. The values are the prices of the
large-market program for costs that are uniform on a logarithmic scale over the box, the least informative
belief that treats all units alike.

Limits: regret is held against menus found for that reference belief, at its prices, agent by agent, over
a sample of the box and its corners; nothing is promised about the saving of the market but that it is never
negative.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
from scipy.stats import qmc

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.beliefs import Beliefs
from fairlot.model.hierarchy import FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.large_market.columns import Column
from fairlot.reallocation.large_market.generation import LargeMarket

_TYPES = 1024
_MOST_CORNERS = 10
_WIDE = 10.0
"""A lognormal marginal this wide is uniform on a logarithmic scale over its support, to a few percent."""
_SMALL = 1e-9


def reference_problem(problem: ReallocationProblem) -> ReallocationProblem:
    """Replace what is believed by the reference belief on the same boxes.

    Parameters
    ----------
    problem : ReallocationProblem
        Only the boxes of its beliefs are used.

    Raises
    ------
    InvalidProblemError
        Listing boxes that are unbounded or reach 0.
    """
    low, high = problem.beliefs.low, problem.beliefs.high
    issues = [
        Issue(
            f"box of agent '{problem.agents[j]}', task '{problem.tasks[i]}'",
            found=f"{low[j, i]:g} to {high[j, i]:g}",
            expected="a low above 0 and a finite high: robust menus know nothing else",
        )
        for j, i in np.argwhere(~((low > 0) & np.isfinite(high))).tolist()
    ]
    if issues:
        raise InvalidProblemError(issues)
    return replace(problem, beliefs=Beliefs.lognormal(np.sqrt(low * high), _WIDE, low, high))


def least_regret(market: LargeMarket) -> tuple[list[Column], FloatArray]:
    """Choose for each agent the menu of least regret.

    Parameters
    ----------
    market : LargeMarket
        Solved for the reference problem.

    Returns
    -------
    columns : list of Column
        At most one per agent; none where keeping has the least regret.
    regrets : FloatArray, shape (n_agents,)
        As shares of the most that could be regretted without a menu; 0 where nothing could be.
    """
    problem = market.problem
    values = market.solution.prices - problem.costs
    pools: list[list[Column]] = [[] for _ in problem.agents]
    for column in market.columns:
        pools[column.agent].append(column)
    points = qmc.Sobol(problem.n_tasks, seed=0).random(_TYPES)
    chosen, regrets = [], np.zeros(problem.n_agents)
    for j, pool in enumerate(pools):
        if not pool:
            continue
        types = _box(problem.beliefs.of(j), points)
        worth = np.array([_worth(column, types, values[j]) for column in pool])
        best = worth.max(axis=0)
        missed = np.append((best - worth).max(axis=1), best.max())
        least = int(missed.argmin())
        regrets[j] = missed[least] / best.max() if best.max() > 0 else 0.0
        if least < len(pool):
            chosen.append(pool[least])
    return chosen, regrets


def _box(belief: Beliefs, points: FloatArray) -> FloatArray:
    """Spread types over a box on a logarithmic scale, and add its corners."""
    low, high = belief.low[0], belief.high[0]
    spread = low * (high / low) ** points
    if len(low) > _MOST_CORNERS:
        return np.asarray(spread)
    corners = np.array(list(itertools.product(*zip(low, high, strict=True))))
    return np.vstack([spread, corners])


def _worth(column: Column, types: FloatArray, values: FloatArray) -> FloatArray:
    """Evaluate a menu for every type at values of the tasks."""
    gains = np.maximum(column.changes @ values, 0.0)
    if column.remedial:
        return np.full(len(types), float(gains.sum()))
    loads = types @ column.changes.T
    return np.asarray((loads < -_SMALL * (types @ np.abs(column.changes).T)) @ gains)
