r"""Two-price menus designed for a large market (Baron et al. 2025, in the terms of this paper).

Agent j's class costs are those of her own mixtures, :math:`c_A = \sum_{i \in A} c(i) \sigma_j(i) / a` with
:math:`a = \sum_{i \in A} \sigma_j(i)`, and likewise for B. With prices :math:`\lambda` on tasks let
:math:`w_A, w_B` be the values :math:`\lambda - \pi_j` of an instance of either class, and
:math:`\theta = c_B / c_A`. Offering one A for 1/t fewer B is accepted where :math:`\theta > t`, offering one
A fewer for 1/s more B where :math:`\theta < s`; at full extent they are worth

.. math:: b\,(w_A t - w_B)\,P(\theta > t) \quad\text{and}\quad a\,(w_B / s - w_A)\,P(\theta < s) .

They are polarized if and only if :math:`t \ge s`; :math:`S_j` is the largest sum of the two under that
condition. The sum of :math:`S_j` over agents is minimised over :math:`\lambda`: with t and s on a grid, a
linear program, whose value is that of the best randomised two-price mechanism when every task need only be
assigned in expectation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.stats import qmc

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.obvious.mechanisms import two_price_menus, two_price_rays
from fairlot.reallocation.obvious.rays import full_extent
from fairlot.reallocation.programs import LinearProgram, solve_program
from fairlot.reallocation.simulation import simulate

_GRID = 32
_TYPES = 2048
_TIE = 1e-12
_TRIALS = 20
_ALL_SPLITS = 5
"""Up to so many tasks every way of making two classes is tried."""


@dataclass(frozen=True, eq=False)
class TwoPriceDesign:
    r"""Classes, prices and what they are worth in a large market.

    Parameters
    ----------
    in_a : BoolArray, shape (n_tasks,)
        Class A.
    take, shed : FloatArray, shape (n_agents,)
        :math:`p^1_j, p^2_j`; NaN where the offer is worth nothing.
    saving : float
        In the large market, over all members.
    """

    in_a: BoolArray
    take: FloatArray
    shed: FloatArray
    saving: float

    def menus(self, problem: ReallocationProblem) -> Menus:
        """Make the menus."""
        return two_price_menus(problem, self.in_a, self.take, self.shed)


def best_two_price(problem: ReallocationProblem, *, seed: int = 0) -> TwoPriceDesign | None:
    """Find two classes, with the best prices for a large market, that save the most in simulated draws.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem. With more than five tasks only splits along the main direction in which the agents'
        costs differ are tried.
    seed : int
        Of the types that probabilities are counted on.

    Returns
    -------
    TwoPriceDesign or None
        None where no split saves anything.
    """
    best, saving = None, 0.0
    for in_a in _splits(problem):
        design = two_price_design(problem, in_a, seed=seed)
        simulated = simulate(problem, design.menus(problem), draws=_TRIALS, seed=seed).mean
        if simulated > saving:
            best, saving = design, simulated
    return best


def two_price_design(problem: ReallocationProblem, in_a: BoolArray, *, seed: int = 0) -> TwoPriceDesign:
    """Find the best prices for two classes.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    in_a : BoolArray, shape (n_tasks,)
        Class A.
    seed : int
        Of the types.
    """
    problem.require_fixed_burdens()
    take, shed = np.full(problem.n_agents, np.nan), np.full(problem.n_agents, np.nan)
    offers = _offers(problem, in_a, seed)
    if not len(offers.agents):
        return TwoPriceDesign(in_a, take, shed, 0.0)
    prices, saving = _large_market(problem, offers)
    values = (prices - problem.costs[offers.agents])[:, None, None]
    gains = np.maximum(0.0, (values * offers.moves).sum(axis=3) * offers.chances)
    # the best offer to take at a rate of at least the k-th, and the best to shed at one of at most that
    above = np.maximum.accumulate(gains[:, 0, ::-1], axis=1)[:, ::-1]
    below = np.maximum.accumulate(gains[:, 1], axis=1)
    middle = (above + below).argmax(axis=1)
    for row, agent in enumerate(offers.agents.tolist()):
        k = middle[row]
        best_take = k + int(gains[row, 0, k:].argmax())
        best_shed = int(gains[row, 1, : k + 1].argmax())
        if gains[row, 0, best_take] > 0:
            take[agent] = 1 / offers.rates[row, best_take]
        if gains[row, 1, best_shed] > 0:
            shed[agent] = 1 / offers.rates[row, best_shed]
    return TwoPriceDesign(in_a, take, shed, saving)


@dataclass(frozen=True, eq=False)
class _Offers:
    """Every agent's offers on a grid of rates: to take (0) and to shed (1)."""

    agents: IntArray  # (n,)
    rates: FloatArray  # (n, _GRID), increasing
    chances: FloatArray  # (n, 2, _GRID)
    moves: FloatArray  # (n, 2, _GRID, n_tasks), at full extent


def _offers(problem: ReallocationProblem, in_a: BoolArray, seed: int) -> _Offers:
    points = qmc.Sobol(problem.n_tasks, seed=seed).random(_TYPES)
    has_both = (problem.endowment[:, in_a] > 0).any(axis=1) & (problem.endowment[:, ~in_a] > 0).any(axis=1)
    agents = np.flatnonzero(has_both).astype(np.int64)
    rates = np.empty((len(agents), _GRID))
    chances = np.empty((len(agents), 2, _GRID))
    rays = np.empty((len(agents), 2, _GRID, problem.n_tasks))
    rank = np.linspace(1, _TYPES - 1, _GRID).astype(int)
    for row, j in enumerate(agents.tolist()):
        types = problem.beliefs.of(j).types(points[:, None, :])[:, 0]
        of_a, of_b = np.where(in_a, problem.endowment[j], 0.0), np.where(in_a, 0.0, problem.endowment[j])
        ratio = np.sort((types @ of_b / of_b.sum()) / (types @ of_a / of_a.sum()))
        rates[row] = (ratio[rank - 1] + ratio[rank]) / 2
        chances[row, 0] = (ratio[:, None] > rates[row] * (1 + _TIE)).mean(axis=0)
        chances[row, 1] = (ratio[:, None] < rates[row] * (1 - _TIE)).mean(axis=0)
        for k, rate in enumerate(rates[row].tolist()):
            rays[row, :, k] = two_price_rays(problem.endowment[j], in_a, 1 / rate, 1 / rate)
    owner = np.repeat(agents, 2 * _GRID)
    moves = full_extent(problem, owner, rays.reshape(-1, problem.n_tasks)).reshape(rays.shape)
    return _Offers(agents, rates, chances, moves)


def _large_market(problem: ReallocationProblem, offers: _Offers) -> tuple[FloatArray, float]:
    r"""Minimise the sum of the agents' best gains over prices.

    Per agent, U_k is at least every gain of taking at a rate from the k-th on, V_k at least every gain
    of shedding at one up to the k-th, and S at least every U_k + V_k.
    """
    n, n_tasks = len(offers.agents), problem.n_tasks
    n_gains = 2 * n * _GRID
    gain = np.arange(n_gains).reshape(n, 2, _GRID)
    best = n_gains + np.arange(n)
    price = n_gains + n + np.arange(n_tasks)
    expected = (offers.moves * offers.chances[..., None]).reshape(n_gains, n_tasks)
    costs = np.repeat(problem.costs[offers.agents], 2 * _GRID, axis=0)
    amount, cost = (float(np.abs(part).max()) or 1.0 for part in (expected, costs))
    expected, costs = expected / amount, costs / cost
    chained = [(gain[:, 0, :-1], gain[:, 0, 1:]), (gain[:, 1, 1:], gain[:, 1, :-1])]
    larger = np.concatenate([pair[0].ravel() for pair in chained])
    smaller = np.concatenate([pair[1].ravel() for pair in chained])
    rows = [
        sp.hstack([sp.eye_array(n_gains), sp.csr_array((n_gains, n)), sp.csr_array(-expected)]),
        _difference(larger, [smaller], n_gains + n + n_tasks),
        _difference(np.repeat(best, _GRID), [gain[:, 0].ravel(), gain[:, 1].ravel()], n_gains + n + n_tasks),
    ]
    matrix = sp.csc_array(sp.vstack(rows, format="csc"))
    lower = np.zeros(matrix.shape[0])
    lower[:n_gains] = -(expected * costs).sum(axis=1)
    objective = np.zeros(matrix.shape[1])
    objective[best] = problem.sizes[offers.agents]
    bounds = np.zeros(matrix.shape[1])
    bounds[price] = -np.inf
    unbounded = np.full(matrix.shape[1], np.inf)
    solution = solve_program(
        LinearProgram(objective, bounds, unbounded, matrix, lower, np.full(matrix.shape[0], np.inf)), "ipm"
    )
    if not solution.optimal:
        msg = "the program of two-price menus was not solved"  # any prices are feasible, and 0 is a bound
        raise ArithmeticError(msg)
    return solution.x[price] * cost, float(solution.value) * amount * cost


def _difference(plus: IntArray, minus: list[IntArray], n_columns: int) -> sp.csr_array:
    """Make rows with a 1 at ``plus`` and a -1 at each of ``minus``."""
    n = len(plus)
    columns = np.concatenate([plus, *minus])
    values = np.concatenate([np.ones(n), -np.ones(n * len(minus))])
    return sp.csr_array((values, (np.tile(np.arange(n), 1 + len(minus)), columns)), shape=(n, n_columns))


def _splits(problem: ReallocationProblem) -> Iterator[BoolArray]:
    """List ways of making two classes, task 1 in class A."""
    n = problem.n_tasks
    if n <= _ALL_SPLITS:
        for rest in itertools.product([True, False], repeat=n - 1):
            if not all(rest):
                yield np.array([True, *rest])
        return
    relative = problem.costs / np.maximum(np.abs(problem.costs).mean(axis=0), 1e-300)
    centred = relative - relative.mean(axis=0)
    centred -= centred.mean(axis=1, keepdims=True)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    order = np.argsort(direction, kind="stable")
    for cut in range(1, n):
        in_a = np.zeros(n, dtype=np.bool_)
        in_a[order[:cut]] = True
        yield in_a
