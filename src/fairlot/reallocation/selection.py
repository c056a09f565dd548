r"""Ex-post optimal selection: the best allocation that respects what everybody picked.

.. math::
   \min_y \sum_r y_r\, \pi \cdot \kappa^r \quad\text{s.t.}\quad \sum_r y_r \kappa^r = 0, \; 0 \le y_r \le u_r,

one column per ray that somebody picked, :math:`u_r` agents having picked it (they share alike), and one
per task for a remedial pick (Valenzuela-Stookey, Corollary 3). With prices :math:`\lambda` on tasks

.. math:: \sum_r u_r \min(0, (\pi - \lambda) \cdot \kappa^r)

bounds the value from below. There are few rows and many columns, so nearly all of them are decided by the
sign of their reduced cost once :math:`\lambda` is nearly right: *sifting*. Prices from a sample decide the
columns far from 0; the rest is a small program, whose prices either confirm every decision, which proves
the optimum, or name the columns to set free for the next round. Samples grow tenfold up to everything.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.reallocation.programs import LinearProgram, solve_program

_SMALL = 2_000
_GROWTH = 10
_DOUBT = 1.0
"""Share of columns left undecided, in standard errors of a quantile in the sample of the prices."""
_AT_BOUND = 1e-9
_TIE = 1e-13
"""A reduced cost this small, with costs and columns of size 1, decides nothing."""


@dataclass(frozen=True, eq=False)
class Selection:
    r"""How far each column goes, and the prices that prove it.

    Parameters
    ----------
    extents : FloatArray, shape (n_columns,)
        :math:`y_r`.
    prices : FloatArray, shape (n_tasks,)
        :math:`\lambda`, social cost per instance.
    value : float
        Change of the social cost; at most 0.
    bound : float
        What the prices prove about the value.
    rounds : int
        Programs solved.
    """

    extents: FloatArray
    prices: FloatArray
    value: float
    bound: float
    rounds: int


def select(columns: FloatArray, costs: FloatArray, most: FloatArray, *, seed: int = 0) -> Selection:
    """Solve the selection program.

    Parameters
    ----------
    columns : FloatArray, shape (n_columns, n_tasks)
        Displacements, none of them 0.
    costs : FloatArray, shape (n_columns,)
        Change of the social cost, per unit of y.
    most : FloatArray, shape (n_columns,)
        Largest y.
    seed : int
        Of the sample that the first prices come from; the value does not depend on it.
    """
    n, n_tasks = columns.shape
    used = np.flatnonzero(most > 0)
    extents, prices, rounds = np.zeros(n), np.zeros(n_tasks), 0
    if len(used):
        program = _Scaled.of(columns[used], costs[used], most[used])
        scaled, scaled_prices, rounds = _sift(program, seed)
        extents[used] = np.where(
            scaled >= program.most, most[used], np.minimum(scaled / program.column_scale, most[used])
        )
        prices = scaled_prices / program.row_scale * program.cost_scale
    value = float(extents @ costs)
    bound = float(most @ np.minimum(0.0, costs - columns @ prices))
    return Selection(extents, prices, value, bound, rounds)


@dataclass(frozen=True, eq=False)
class _Scaled:
    """The program with columns, costs, and what may move in each row, of size 1."""

    columns: FloatArray
    costs: FloatArray
    most: FloatArray
    column_scale: FloatArray
    row_scale: FloatArray
    cost_scale: float

    @classmethod
    def of(cls, columns: FloatArray, costs: FloatArray, most: FloatArray) -> _Scaled:
        row_scale = (np.abs(columns) * most[:, None]).max(axis=0)
        row_scale[row_scale == 0] = 1.0
        by_row = columns / row_scale
        column_scale = np.abs(by_row).max(axis=1)
        unit_costs = costs / column_scale
        cost_scale = float(np.abs(unit_costs).max()) or 1.0
        return cls(
            by_row / column_scale[:, None],
            unit_costs / cost_scale,
            most * column_scale,
            column_scale,
            row_scale,
            cost_scale,
        )

    def part(self, chosen: IntArray) -> _Scaled:
        """Take some columns."""
        return replace(
            self,
            columns=self.columns[chosen],
            costs=self.costs[chosen],
            most=self.most[chosen],
            column_scale=self.column_scale[chosen],
        )


def _sift(program: _Scaled, seed: int) -> tuple[FloatArray, FloatArray, int]:
    """Solve ever larger samples, each from the prices of the one before, and at last everything."""
    n = len(program.costs)
    order = np.random.default_rng(seed).permutation(n)
    sizes = [n]
    while sizes[-1] > _SMALL:
        sizes.append(max(_SMALL, sizes[-1] // _GROWTH))
    extents, prices = _solved(_restricted(program.part(order[: sizes[-1]])))
    rounds = 1
    for size, before in zip(sizes[-2::-1], sizes[::-1], strict=False):
        chosen = order[:size] if size < n else np.arange(n)
        part = program.part(chosen)
        extents, prices, more = _confirm(part, prices, _DOUBT * np.sqrt(len(prices) / before))
        rounds += more
    return (extents if len(sizes) > 1 else extents[np.argsort(order)]), prices, rounds


def _confirm(program: _Scaled, prices: FloatArray, share: float) -> tuple[FloatArray, FloatArray, int]:
    """Decide most columns by the prices, and set free those that better prices decide otherwise."""
    n = len(program.costs)
    reduced = program.costs - program.columns @ prices
    doubtful = min(n, max(_SMALL, int(share * n)))
    free = np.zeros(n, dtype=np.bool_)
    free[np.argpartition(np.abs(reduced), doubtful - 1)[:doubtful]] = True
    decided = np.where(free | (reduced >= 0), 0.0, program.most)
    rounds = 0
    while True:
        rounds += 1
        solved = _restricted(program, free, decided)
        if solved is None and not free.all():
            # what is decided cannot be balanced by what is free: decide less
            order = np.argsort(np.abs(reduced), kind="stable")
            free[order[: min(n, 2 * int(free.sum()))]] = True
        else:
            extents, prices = _solved(solved)
            reduced = program.costs - program.columns @ prices
            wrong = ~free & np.where(decided > 0, reduced > _TIE, reduced < -_TIE)
            if not wrong.any():
                return extents, prices, rounds
            free |= wrong
        decided = np.where(free, 0.0, decided)


def _solved(pair: tuple[FloatArray, FloatArray] | None) -> tuple[FloatArray, FloatArray]:
    if pair is None:
        msg = "the selection program was not solved"  # y = 0 is feasible and the value is bounded
        raise ArithmeticError(msg)
    return pair


def _restricted(
    program: _Scaled, free: BoolArray | None = None, decided: FloatArray | None = None
) -> tuple[FloatArray, FloatArray] | None:
    """Solve for the free columns, by default all; None where the decided ones cannot be balanced."""
    free = np.ones(len(program.costs), dtype=np.bool_) if free is None else free
    decided = np.zeros(len(free)) if decided is None else decided
    rows = -(program.columns.T @ decided)
    columns, costs, most = program.columns[free], program.costs[free], program.most[free]
    found = solve_program(
        LinearProgram(costs, np.zeros(len(costs)), most, sp.csc_array(columns.T), rows, rows)
    )
    if not found.optimal:
        return None
    y = np.clip(found.x, 0.0, most)
    y[~found.basic & (y <= _AT_BOUND * most)] = 0.0
    top = ~found.basic & (y >= (1 - _AT_BOUND) * most)
    y[top] = most[top]
    basis = columns[found.basic]
    # the solver leaves residuals of its own tolerance: one step of refinement takes them to rounding
    correction = np.linalg.lstsq(basis.T, rows - columns.T @ y, rcond=None)[0]
    y[found.basic] = np.clip(y[found.basic] + correction, 0.0, most[found.basic])
    prices = found.prices + np.linalg.lstsq(basis, costs[found.basic] - basis @ found.prices, rcond=None)[0]
    extents = decided.copy()
    extents[free] = y
    return extents, prices
