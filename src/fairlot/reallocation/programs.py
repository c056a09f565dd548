"""Linear and integer programs by HiGHS, one thread, deterministic."""

from __future__ import annotations

from dataclasses import dataclass

import highspy
import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import BoolArray, FloatArray


@dataclass(frozen=True, eq=False)
class LinearProgram:
    r"""Minimise :math:`c \cdot x` with :math:`l \le A x \le u` and bounds on x.

    Parameters
    ----------
    cost, lower, upper : FloatArray, shape (n_columns,)
        Objective and bounds.
    matrix : scipy.sparse.csc_array, shape (n_rows, n_columns)
        A.
    row_lower, row_upper : FloatArray, shape (n_rows,)
        l and u.
    whole : bool or BoolArray, shape (n_columns,)
        Whether every x, or which of them, must be an integer.
    """

    cost: FloatArray
    lower: FloatArray
    upper: FloatArray
    matrix: sp.csc_array
    row_lower: FloatArray
    row_upper: FloatArray
    whole: bool | BoolArray = False

    @classmethod
    def dense(
        cls,
        cost: FloatArray,
        rows: FloatArray,
        row_lower: FloatArray,
        row_upper: FloatArray,
        lower: FloatArray | None = None,
        upper: FloatArray | None = None,
    ) -> LinearProgram:
        """Make a small program; by default x is at least 0."""
        lower = np.zeros(len(cost)) if lower is None else lower
        upper = np.full(len(cost), np.inf) if upper is None else upper
        return cls(cost, lower, upper, sp.csc_array(rows), row_lower, row_upper)


@dataclass(frozen=True, eq=False)
class Solution:
    """What HiGHS found.

    Parameters
    ----------
    optimal : bool
        Whether it claims an optimum; nothing else here means anything otherwise.
    value : float
        Objective.
    x : FloatArray, shape (n_columns,)
        Columns.
    prices : FloatArray, shape (n_rows,)
        Row duals; zeros for integer programs.
    basic : BoolArray, shape (n_columns,)
        Which columns are basic; all where there is no basis.
    """

    optimal: bool
    value: float
    x: FloatArray
    prices: FloatArray
    basic: BoolArray


def solve_program(program: LinearProgram, solver: str = "simplex") -> Solution:
    """Solve a program.

    Parameters
    ----------
    program : LinearProgram
        The program.
    solver : str
        ``simplex`` or ``ipm`` (with crossover); integer programs always branch.
    """
    model = highspy.HighsLp()
    matrix = program.matrix
    model.num_col_, model.num_row_ = len(program.cost), len(program.row_lower)
    model.col_cost_, model.col_lower_, model.col_upper_ = program.cost, program.lower, program.upper
    model.row_lower_, model.row_upper_ = program.row_lower, program.row_upper
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = matrix.indptr.astype(np.int32)
    model.a_matrix_.index_ = matrix.indices.astype(np.int32)
    model.a_matrix_.value_ = matrix.data.astype(np.float64)
    whole = np.broadcast_to(program.whole, len(program.cost))
    mixed = bool(whole.any())
    if mixed:
        kinds = (highspy.HighsVarType.kContinuous, highspy.HighsVarType.kInteger)
        model.integrality_ = [kinds[integer] for integer in whole.tolist()]
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # as highspy ships it
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    if mixed:
        highs.setOptionValue("mip_rel_gap", 0.0)
        highs.setOptionValue("mip_abs_gap", 0.0)
    else:
        highs.setOptionValue("solver", solver)
    highs.passModel(model)
    highs.run()
    optimal = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    solution, basis = highs.getSolution(), highs.getBasis()
    if basis.valid and not mixed:
        basic = np.array([status == highspy.HighsBasisStatus.kBasic for status in basis.col_status])
    else:
        basic = np.ones(len(program.cost), dtype=np.bool_)
    return Solution(
        optimal=optimal,
        value=float(highs.getInfo().objective_function_value),
        x=np.array(solution.col_value, dtype=np.float64),
        prices=np.zeros(len(program.row_lower)) if mixed else np.array(solution.row_dual),
        basic=np.asarray(basic, dtype=np.bool_),
    )
