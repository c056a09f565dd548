r"""A benchmark, not a certificate: the best that any Bayesian incentive compatible mechanism gains.

The reduced form: an expected assignment :math:`x_t \ge 0` for each of M equally likely types, with

.. math:: \max \frac1M \sum_t w \cdot x_t \quad \text{s.t.} \quad
          c_t \cdot x_t \le c_t \cdot \eta, \qquad c_t \cdot x_t \le c_t \cdot x_s \ \text{ for all } s .

Every menu of rays is such a mechanism; what the best menu gains less is the *price of obviousness*. With two
tasks there is none (Baron et al. 2025; Valenzuela-Stookey, Remark 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.reallocation.programs import LinearProgram, solve_program
from fairlot.reallocation.support.terms import Terms

_NEIGHBOURS = 8
_MOST_PER_TYPE = 4
_TOLERANCE = 1e-7


@dataclass(frozen=True, eq=False)
class BicBenchmark:
    """The best reduced form on a sample.

    Parameters
    ----------
    gain : float
        Over the endowment; with constraints left out it is more than the best gains.
    violation : float
        Largest gain from a misreport, relative to the load of the endowment: 0 up to rounding if the program
        was solved with all constraints that matter.
    assignments : FloatArray, shape (n_types, n_tasks)
        Expected assignment of each type.
    """

    gain: float
    violation: float
    assignments: FloatArray


def bic_benchmark(terms: Terms, types: FloatArray, w: FloatArray, *, max_rounds: int = 60) -> BicBenchmark:
    """Solve the reduced-form program on a sample, adding incentive constraints as they are violated.

    Parameters
    ----------
    terms : Terms
        The agent, with her caps.
    types : FloatArray, shape (n_types, n_tasks)
        Scaled types.
    w : FloatArray, shape (n_tasks,)
        Values.
    max_rounds : int
        Of constraints added.
    """
    n_types = len(types)
    reports = _near_reports(types)
    bound = terms.endowment + terms.room
    for _ in range(max_rounds):
        assignments = _solved(terms, types, w, reports, bound)
        loads = types @ assignments.T
        regret = np.diagonal(loads)[:, None] - loads
        violation = float(regret.max())
        if violation <= _TOLERANCE:
            break
        worst = np.argsort(-regret, axis=1, kind="stable")[:, :_MOST_PER_TYPE]
        truth = np.repeat(np.arange(n_types), worst.shape[1])
        lies = worst.ravel()
        wrong = regret[truth, lies] > _TOLERANCE
        reports = np.unique(np.vstack([reports, np.column_stack([truth[wrong], lies[wrong]])]), axis=0)
    gain = float((assignments @ w).mean() - w @ terms.endowment)
    return BicBenchmark(gain, max(violation, 0.0), assignments)


def _near_reports(types: FloatArray) -> IntArray:
    """List the misreports to begin with: the types that are most alike, shape (n_pairs, 2)."""
    shares = np.log(np.maximum(types, 1e-12))
    gram = shares @ shares.T
    square = np.diagonal(gram)
    distance = square[:, None] + square[None, :] - 2 * gram
    np.fill_diagonal(distance, np.inf)
    count = min(_NEIGHBOURS, len(types) - 1)
    near = np.argsort(distance, axis=1, kind="stable")[:, :count]
    return np.column_stack([np.repeat(np.arange(len(types)), count), near.ravel()]).astype(np.int64)


def _solved(
    terms: Terms, types: FloatArray, w: FloatArray, reports: IntArray, bound: FloatArray
) -> FloatArray:
    n_types, n_tasks = types.shape
    n_pairs = len(reports)
    truth, lie = reports.T
    row = np.repeat(np.arange(n_pairs), n_tasks)
    task = np.tile(np.arange(n_tasks), n_pairs)
    costs = types[truth].ravel()
    honest = sp.coo_array(
        (costs, (row, np.repeat(truth, n_tasks) * n_tasks + task)), shape=(n_pairs, n_types * n_tasks)
    )
    other = sp.coo_array((costs, (row, np.repeat(lie, n_tasks) * n_tasks + task)), shape=honest.shape)
    keep = sp.block_diag([types[t][None] for t in range(n_types)])
    rows, limits = [honest - other, keep], [np.zeros(n_pairs), types @ terms.endowment]
    if np.isfinite(terms.load_room):
        rows.append(sp.kron(sp.eye_array(n_types), np.ones((1, n_tasks))))
        limits.append(np.full(n_types, terms.load_room + terms.endowment.sum()))
    upper = np.concatenate(limits)
    program = LinearProgram(
        cost=-np.tile(w, n_types),
        lower=np.zeros(n_types * n_tasks),
        upper=np.tile(bound, n_types),
        matrix=sp.csc_array(sp.vstack(rows)),
        row_lower=np.full(len(upper), -np.inf),
        row_upper=upper,
    )
    solution = solve_program(program)
    if not solution.optimal:
        msg = "the reduced-form program was not solved"  # the endowment is feasible
        raise ArithmeticError(msg)
    return np.asarray(solution.x.reshape(n_types, n_tasks))
