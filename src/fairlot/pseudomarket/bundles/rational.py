r"""Linear systems and linear programs in fractions.

A program :math:`\min \{c x : A x = b, x \ge 0\}` is solved by HiGHS in floating point; only the basis it
ends with is believed, and that after it was solved again in fractions: :math:`x_B = A_B^{-1} b \ge 0` and
:math:`c - A^\top y \ge 0` are checked as they stand. Infeasibility is the same question about the first
phase, whose dual is Farkas' witness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import highspy
import numpy as np

Row = Sequence[Fraction]
_ZERO, _ONE = Fraction(0), Fraction(1)


class UndecidedError(ArithmeticError):
    """Floating point led to a basis that does not stand up in fractions."""


@dataclass(frozen=True)
class AffineSpace:
    """All solutions of a linear system: a particular one, and directions that span the rest.

    Parameters
    ----------
    point : tuple of Fraction
        The solution whose free variables are 0.
    directions : tuple of tuple of Fraction
        One per free variable, which is 1 in it.
    """

    point: tuple[Fraction, ...]
    directions: tuple[tuple[Fraction, ...], ...]


def solve_system(rows: Sequence[Row], right: Row, n_columns: int) -> AffineSpace | None:
    """Solve A x = b; None where nothing solves it.

    Parameters
    ----------
    rows : sequence of rows of Fraction
        A; zeros may be integers.
    right : sequence of Fraction
        b.
    n_columns : int
        Number of variables, needed where there are no rows.

    Examples
    --------
    >>> found = solve_system([[2, 1]], [3], 2)
    >>> [str(x) for x in found.point], [str(x) for x in found.directions[0]]
    (['3/2', '0'], ['-1/2', '1'])
    """
    work, pivots = _eliminate([[*row, b] for row, b in zip(rows, right, strict=True)], n_columns)
    if any(row[-1] for row in work[len(pivots) :]):
        return None
    point = [_ZERO] * n_columns
    for column, row in zip(pivots, work, strict=False):
        point[column] = row[-1]
    directions = []
    for free in sorted(set(range(n_columns)) - set(pivots)):
        direction = [_ZERO] * n_columns
        direction[free] = _ONE
        for column, row in zip(pivots, work, strict=False):
            direction[column] = -row[free]
        directions.append(tuple(direction))
    return AffineSpace(tuple(point), tuple(directions))


def echelon(rows: Sequence[Row], n_columns: int) -> tuple[list[list[Fraction]], list[int]]:
    """Return a basis of the row space in reduced echelon form, and its pivot columns."""
    work, pivots = _eliminate([list(row) for row in rows], n_columns)
    return work[: len(pivots)], pivots


def _eliminate(work: list[list[Fraction]], n_columns: int) -> tuple[list[list[Fraction]], list[int]]:
    """Eliminate the first columns by Gauss and Jordan; rows that do not lead come last."""
    pivots: list[int] = []
    for column in range(n_columns):
        rank = len(pivots)
        found = next((k for k in range(rank, len(work)) if work[k][column]), None)
        if found is None:
            continue
        work[rank], work[found] = work[found], work[rank]
        scale = _ONE / work[rank][column]
        pivot = work[rank] = [entry * scale if entry else entry for entry in work[rank]]
        for k, row in enumerate(work):
            if k != rank and row[column]:
                factor = row[column]
                work[k] = [a - factor * b if b else a for a, b in zip(row, pivot, strict=True)]
        pivots.append(column)
    return work, pivots


@dataclass(frozen=True)
class Optimum:
    """An optimal basic solution.

    Parameters
    ----------
    x : tuple of Fraction
        The columns.
    value : Fraction
        The objective.
    duals : tuple of Fraction
        One per row; they prove the optimum.
    """

    x: tuple[Fraction, ...]
    value: Fraction
    duals: tuple[Fraction, ...]


def minimise(cost: Row, rows: Sequence[Row], right: Row) -> Optimum:
    r"""Solve :math:`\min \{c x : A x = b, x \ge 0\}`, which must have an optimum.

    Raises
    ------
    UndecidedError
        If no basis was found that is optimal in fractions.

    Examples
    --------
    >>> third = Fraction(1, 3)
    >>> [str(x) for x in minimise([1, 2], [[third, third]], [Fraction(1)]).x]
    ['3', '0']
    """
    columns, slack = _basis(cost, rows, right)
    # A basic column with a single entry (a slack) gives its row's dual, and follows from the others.
    single: dict[int, int] = {}
    core = []
    for k in columns:
        held = [r for r, row in enumerate(rows) if row[k]]
        if len(held) == 1 and held[0] not in single:
            single[held[0]] = k
        else:
            core.append(k)
    tight = [r for r in range(len(rows)) if r not in single and r not in slack]
    solved = solve_system([[rows[r][k] for k in core] for r in tight], [right[r] for r in tight], len(core))
    known = {r: cost[k] / rows[r][k] for r, k in single.items()}
    rest = [cost[k] - sum((y * rows[r][k] for r, y in known.items()), _ZERO) for k in core]
    priced = solve_system([[rows[r][k] for r in tight] for k in core], rest, len(tight))
    if solved is None or priced is None:
        msg = "the basis that HiGHS found is singular in fractions"
        raise UndecidedError(msg)
    x = [_ZERO] * len(cost)
    for k, entry in zip(core, solved.point, strict=True):
        x[k] = entry
    for r, row in enumerate(rows):
        missing = right[r] - sum((row[k] * x[k] for k in core if row[k] and x[k]), _ZERO)
        if r in single:
            x[single[r]] = missing / row[single[r]]
        elif missing:
            msg = "the basis that HiGHS found is not feasible in fractions"
            raise UndecidedError(msg)
    if any(entry < 0 for entry in x):
        msg = "the basis that HiGHS found is not feasible in fractions"
        raise UndecidedError(msg)
    duals = [_ZERO] * len(rows)
    for r, y in [*known.items(), *zip(tight, priced.point, strict=True)]:
        duals[r] = y
    for k in range(len(cost)):
        if cost[k] - sum((y * row[k] for y, row in zip(duals, rows, strict=True) if y and row[k]), _ZERO) < 0:
            msg = "the basis that HiGHS found is not optimal in fractions"
            raise UndecidedError(msg)
    value = sum((c * entry for c, entry in zip(cost, x, strict=True) if entry), _ZERO)
    return Optimum(tuple(x), value, tuple(duals))


def nonnegative_solution(rows: Sequence[Row], right: Row, n_columns: int) -> tuple[Fraction, ...] | None:
    r"""Find a vertex of :math:`\{x \ge 0 : A x = b\}`, or prove that there is none.

    Returns
    -------
    tuple of Fraction or None
        None if the first phase has an optimum above 0, with duals that prove it.

    Raises
    ------
    UndecidedError
        If neither could be shown in fractions.
    """
    if not n_columns:
        return None if any(right) else ()
    signed = [
        ([-entry for entry in row], -b) if b < 0 else (list(row), b)
        for row, b in zip(rows, right, strict=True)
    ]
    m = len(signed)
    phase = [row + [_ONE if r == s else _ZERO for s in range(m)] for r, (row, _) in enumerate(signed)]
    cost = [_ZERO] * n_columns + [_ONE] * m
    found = minimise(cost, phase, [b for _, b in signed])
    return found.x[:n_columns] if found.value == 0 else None


def _basis(cost: Row, rows: Sequence[Row], right: Row) -> tuple[list[int], list[int]]:
    """Have HiGHS find an optimal basis: its columns, and the rows whose slack is in it."""
    matrix = np.array([[float(entry) for entry in row] for row in rows]).reshape(len(rows), len(cost))
    bounds = np.array([float(b) for b in right])
    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = len(cost), len(rows)
    model.col_cost_ = np.array([float(c) for c in cost])
    model.col_lower_, model.col_upper_ = np.zeros(len(cost)), np.full(len(cost), np.inf)
    model.row_lower_ = model.row_upper_ = bounds
    row, column = np.nonzero(matrix)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = np.searchsorted(row, np.arange(len(rows) + 1)).astype(np.int32)
    model.a_matrix_.index_ = column.astype(np.int32)
    model.a_matrix_.value_ = matrix[row, column]
    highs = highspy.Highs()  # type: ignore[no-untyped-call]  # as highspy ships it
    for option, value in (
        ("output_flag", False),
        ("threads", 1),
        ("presolve", "off"),
        ("primal_feasibility_tolerance", 1e-10),
        ("dual_feasibility_tolerance", 1e-10),
    ):
        highs.setOptionValue(option, value)
    highs.passModel(model)
    highs.run()
    basis = highs.getBasis()
    basic = highspy.HighsBasisStatus.kBasic
    return (
        [k for k, status in enumerate(basis.col_status) if status == basic],
        [r for r, status in enumerate(basis.row_status) if status == basic],
    )
