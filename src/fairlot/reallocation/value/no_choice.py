r"""What can be had without asking anybody, and what could be had if everybody's mind were known.

*Without choice* an allocation m must be acceptable to every type in the box,
:math:`c \cdot m_j \le \beta_j c \cdot \sigma_j` for all :math:`c \in C_j`. With
:math:`x = m_j - \beta_j \sigma_j` the worst type makes this
:math:`\bar c \cdot x^+ - \underline c \cdot x^- \le 0`: a linear program. Lemma 1 bounds it by one row,

.. math::
   \sum_{i,j} (\bar c^i_j - \hat c^i)\,(m_j(i) - \beta_j \sigma_j(i))^+
   \le \sum_{i,j} \hat c^i (\beta_j - 1)\, \sigma_j(i), \qquad \hat c^i = \max_j \underline c^i_j,

where the boxes have a point in common (Valenzuela-Stookey, section 2.1). The *first best* knows every type
and keeps participation: no mechanism that keeps it for every profile of types, as obviously
strategy-proof ones do, saves more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.programs import LinearProgram, solve_program


@dataclass(frozen=True, eq=False)
class NoChoice:
    """The best allocation that every type accepts.

    Parameters
    ----------
    allocation : FloatArray, shape (n_agents, n_tasks)
        Amounts per member.
    cost : float
        Social cost.
    saving : float
        Against the status quo.
    """

    allocation: FloatArray
    cost: float
    saving: float


@dataclass(frozen=True)
class Lemma1:
    """Both sides of Lemma 1's inequality at an allocation.

    Parameters
    ----------
    applies : bool
        Whether the agents' boxes have a point in common.
    left, right : float
        The weighted growth, and the slack that bounds it.
    """

    applies: bool
    left: float
    right: float


def best_without_choice(problem: ReallocationProblem) -> NoChoice:
    r"""Solve for the best mechanism that asks nobody, under the caps.

    Parameters
    ----------
    problem : ReallocationProblem
        Members of a group are treated alike, which loses nothing.

    Returns
    -------
    NoChoice
        With :math:`\beta = 1` and boxes that share a full-dimensional set, the status quo (Corollary 1).
    """
    problem.require_fixed_burdens()
    high = problem.beliefs.high
    n, n_tasks = problem.status_quo.shape
    grows = np.where(np.isinf(high), 0.0, high)
    row = np.repeat(np.arange(n), n_tasks)
    participation = sp.csc_array(
        (
            np.concatenate([grows.ravel(), -problem.beliefs.low.ravel()]),
            (np.tile(row, 2), np.arange(2 * n * n_tasks)),
        ),
        shape=(n, 2 * n * n_tasks),
    )
    return _without_choice(problem, participation, np.zeros(n))


def lemma1_saving(problem: ReallocationProblem) -> float | None:
    """Bound from above what any mechanism without choice saves, by Lemma 1.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents.

    Returns
    -------
    float or None
        None where the boxes have no point in common.
    """
    problem.require_fixed_burdens()
    weights, slack = _lemma1_terms(problem)
    if weights is None:
        return None
    finite = np.where(np.isinf(weights), 0.0, weights) * problem.sizes[:, None]
    row = np.concatenate([finite.ravel(), np.zeros(finite.size)])
    return _without_choice(problem, sp.csc_array(row[None]), np.array([slack])).saving


def lemma1(problem: ReallocationProblem, allocation: FloatArray) -> Lemma1:
    """Evaluate both sides of Lemma 1.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents.
    allocation : FloatArray, shape (n_agents, n_tasks)
        Amounts per member.
    """
    weights, slack = _lemma1_terms(problem)
    if weights is None:
        return Lemma1(False, np.nan, np.nan)
    growth = np.maximum(0.0, allocation - problem.beta[:, None] * problem.status_quo)
    terms = np.where(growth > 0, weights, 0.0) * growth
    return Lemma1(True, float(problem.sizes @ terms.sum(axis=1)), slack)


def _lemma1_terms(problem: ReallocationProblem) -> tuple[FloatArray | None, float]:
    common = problem.beliefs.low.max(axis=0)
    if (problem.beliefs.high < common).any():
        return None, np.nan
    excess = (problem.beta - 1)[:, None] * problem.status_quo * common
    return problem.beliefs.high - common, float(problem.sizes @ excess.sum(axis=1))


def _without_choice(problem: ReallocationProblem, limits: sp.csc_array, bounds: FloatArray) -> NoChoice:
    """Minimise cost over x⁺ and x⁻ with extra rows on both."""
    n, n_tasks = problem.status_quo.shape
    start = problem.beta[:, None] * problem.status_quo
    ceiling = np.where(np.isinf(problem.beliefs.high), start, np.inf)
    ceiling = np.minimum(problem.amount_ceilings, ceiling)
    size = np.repeat(problem.sizes, n_tasks).astype(np.float64)
    by_task = sp.csc_array(
        (size, (np.tile(np.arange(n_tasks), n), np.arange(n * n_tasks))), shape=(n_tasks, n * n_tasks)
    )
    missing = problem.counts - problem.sizes @ start
    capped = np.isfinite(problem.load_ceilings)
    loads = sp.csc_array(sp.kron(sp.eye_array(n), problem.loads(np.eye(n_tasks))[None]))[capped]
    cost = size * problem.costs.ravel()
    program = LinearProgram(
        cost=np.concatenate([cost, -cost]),
        lower=np.concatenate([np.zeros(n * n_tasks), np.maximum(0.0, start - ceiling).ravel()]),
        upper=np.concatenate([np.maximum(0.0, ceiling - start).ravel(), start.ravel()]),
        matrix=sp.csc_array(
            sp.vstack([limits, sp.hstack([by_task, -by_task]), sp.hstack([loads, -loads])], format="csc")
        ),
        row_lower=np.concatenate([np.full(len(bounds), -np.inf), missing, np.full(capped.sum(), -np.inf)]),
        row_upper=np.concatenate([bounds, missing, (problem.load_ceilings - problem.loads(start))[capped]]),
    )
    solution = solve_program(program)
    if not solution.optimal:
        msg = "the program without choice was not solved"  # the status quo is feasible, and costs are bounded
        raise ArithmeticError(msg)
    grow, shrink = solution.x.reshape(2, n, n_tasks)
    allocation = start + grow - shrink
    total = float(problem.sizes @ (problem.costs * allocation).sum(axis=1))
    return NoChoice(allocation, total, problem.status_quo_cost - total)


@dataclass(frozen=True)
class FirstBest:
    """The saving if types were known.

    Parameters
    ----------
    saving : float
        Mean over draws of the types.
    standard_error : float
        Of the mean.
    draws : int
        Number of draws.
    """

    saving: float
    standard_error: float
    draws: int


def first_best(problem: ReallocationProblem, *, draws: int = 20, seed: int = 0) -> FirstBest:
    """Estimate the saving of the best allocation that no agent minds, types being known.

    Parameters
    ----------
    problem : ReallocationProblem
        Every member of a group draws a type of her own.
    draws : int
        Profiles of types, at least 2.
    seed : int
        Of the draws.
    """
    problem.require_fixed_burdens()
    member: IntArray = np.repeat(np.arange(problem.n_agents, dtype=np.int64), problem.sizes)
    belief = problem.beliefs.of(member)
    generator = np.random.default_rng(seed)
    savings = []
    for _ in range(draws):
        types = belief.types(generator.random((len(member), problem.n_tasks)))
        savings.append(_known_types_saving(problem, member, types))
    mean = float(np.mean(savings))
    return FirstBest(mean, float(np.std(savings, ddof=1) / np.sqrt(draws)), draws)


def _known_types_saving(problem: ReallocationProblem, member: IntArray, types: FloatArray) -> float:
    n, n_tasks = types.shape
    sigma, cost = problem.status_quo[member], problem.costs[member]
    types = types / np.maximum(types.max(axis=1, keepdims=True), 1e-300)
    row = np.repeat(np.arange(n), n_tasks)
    cell = np.arange(n * n_tasks)
    capped = np.isfinite(problem.load_ceilings[member])
    by_agent = sp.csc_array((types.ravel(), (row, cell)), shape=(n, n * n_tasks))
    by_task = sp.csc_array(
        (np.ones(n * n_tasks), (np.tile(np.arange(n_tasks), n), cell)), shape=(n_tasks, n * n_tasks)
    )
    work = np.tile(problem.loads(np.eye(n_tasks)), n)
    loads = sp.csc_array((work, (row, cell)), shape=(n, n * n_tasks))[capped]
    program = LinearProgram(
        cost=cost.ravel(),
        lower=np.zeros(n * n_tasks),
        upper=problem.amount_ceilings[member].ravel(),
        matrix=sp.csc_array(sp.vstack([by_agent, by_task, loads], format="csc")),
        row_lower=np.concatenate([np.full(n, -np.inf), problem.counts, np.full(capped.sum(), -np.inf)]),
        row_upper=np.concatenate(
            [(types * sigma).sum(axis=1), problem.counts, problem.load_ceilings[member][capped]]
        ),
    )
    solution = solve_program(program)
    if not solution.optimal:
        msg = "the program with known types was not solved"  # the status quo is feasible
        raise ArithmeticError(msg)
    return problem.status_quo_cost - float(solution.value)
