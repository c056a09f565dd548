r"""Expected copies as a lottery over integer points of a polytope, where one exists; the reason where not.

Given expected copies x and the integer points Z of :math:`\{l \le A z \le u,\ 0 \le z \le c\}`, Wolfe's
method finds the point of their convex hull nearest to x. It keeps a *corral* of affinely independent
points with positive weights, whose mean is nearest to x among their affine combinations; it asks for the
point furthest in the direction c = x − mean, and, where the new nearest combination needs negative
weights, drops points on the way to it. It ends with the mean at x, a lottery with exactly these
expectations, or with a direction in which x lies beyond every point,

.. math:: \max_Z c \cdot Z < c \cdot x,

which proves that there is none. Points are asked for by a linear program, warm-started since only its
objective changes, and by an integer program where that comes out fractional. Every term is integral,
whatever rounding does to the weights.

References
----------
P. Wolfe, "Finding the nearest point in a polytope", Mathematical Programming 11 (1976).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import highspy
import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.progress import NullReporter, Reporter

_WHOLE = 1e-6
"""Distance from an integer at which a linear program's answer counts as one."""
_STALLS = 3
_ROUNDING = 1e-8
"""Distance that may be rounding: of the copies themselves, and of programs' answers."""
_POSITIVE = 1e-12
"""Weights below this are dropped."""
_ALIKE = 1e-13
"""Squared distance of a point from the corral's affine hull, relative to its square, that counts as none."""


@dataclass(frozen=True, eq=False)
class Polytope:
    r"""The points that a term may be: :math:`l \le A z \le u, f \le z \le c`, z integer.

    Parameters
    ----------
    matrix : scipy.sparse.csr_array, shape (n_rows, n_cells)
        A.
    lower, upper : FloatArray, shape (n_rows,)
        l and u; infinite where there is none.
    floor, cap : FloatArray, shape (n_cells,)
        Least and most copies of each cell.
    """

    matrix: sp.csr_array
    lower: FloatArray
    upper: FloatArray
    floor: FloatArray
    cap: FloatArray


@dataclass(frozen=True, eq=False)
class Hull:
    """How far expected copies are from a lottery over integer points.

    Parameters
    ----------
    weights : FloatArray, shape (n_terms,)
        Positive, adding up to 1.
    terms : IntArray, shape (n_terms, n_cells)
        Integer points.
    deviation : float
        Largest difference between their mean and x.
    direction : FloatArray or None, shape (n_cells,)
        Where x is proved to be outside: c, |c| = 1; 0 where there is no point at all.
    beyond : float
        c · x less the greatest c · Z over all points, by the integer program's bound; infinite if there is
        none.
    programs, integer_programs : int
        Linear and integer programs solved.
    finished : bool
        False if the time was up.
    """

    weights: FloatArray
    terms: IntArray
    deviation: float
    direction: FloatArray | None
    beyond: float
    programs: int
    integer_programs: int
    finished: bool


class Pricing:
    """The integer point of a polytope furthest in a direction.

    Parameters
    ----------
    polytope : Polytope
        The points.
    deadline : float
        Reading of ``time.monotonic`` until when an integer program may run.
    """

    def __init__(self, polytope: Polytope, deadline: float = np.inf) -> None:
        self.polytope, self.deadline = polytope, deadline
        self.programs = self.integer_programs = 0
        self._linear = self._model(whole=False)
        self._whole: highspy.Highs | None = None

    def furthest(self, direction: FloatArray) -> tuple[IntArray | None, float]:
        """Return the point, and a bound on how far any point can be; None if there is no point at all."""
        self.programs += 1
        point, bound = self._run(self._linear, direction)
        if point is None:
            return None, bound
        near = np.rint(point)
        if np.abs(point - near).max(initial=0.0) <= _WHOLE and self._fits(near):
            return near.astype(np.int64), bound
        if self._whole is None:
            self._whole = self._model(whole=True)
        self.integer_programs += 1
        if np.isfinite(self.deadline):
            self._whole.setOptionValue("time_limit", max(0.1, self.deadline - time.monotonic()))
        point, bound = self._run(self._whole, direction)
        if point is None:
            return None, bound
        near = np.rint(point)
        return (near.astype(np.int64) if self._fits(near) else None), bound

    def _fits(self, point: FloatArray) -> bool:
        p = self.polytope
        total = p.matrix @ point
        inside = (total >= p.lower).all() and (total <= p.upper).all()
        return bool(inside and (point >= p.floor).all() and (point <= p.cap).all())

    def _model(self, *, whole: bool) -> highspy.Highs:
        p = self.polytope
        model = highspy.HighsLp()
        matrix = sp.csc_array(p.matrix)
        n_rows, n_cells = matrix.shape
        model.num_col_, model.num_row_ = n_cells, n_rows
        model.sense_ = highspy.ObjSense.kMaximize
        model.col_cost_ = np.zeros(n_cells)
        model.col_lower_, model.col_upper_ = p.floor, p.cap
        model.row_lower_, model.row_upper_ = p.lower, p.upper
        model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
        model.a_matrix_.start_ = matrix.indptr.astype(np.int32)
        model.a_matrix_.index_ = matrix.indices.astype(np.int32)
        model.a_matrix_.value_ = matrix.data.astype(np.float64)
        if whole:
            model.integrality_ = [highspy.HighsVarType.kInteger] * n_cells
        highs = highspy.Highs()  # type: ignore[no-untyped-call]  # as highspy ships it
        highs.setOptionValue("output_flag", False)
        highs.setOptionValue("threads", 1)
        if whole:
            highs.setOptionValue("mip_rel_gap", 0.0)
            highs.setOptionValue("mip_abs_gap", 1e-9)
        highs.passModel(model)
        return highs

    def _run(self, highs: highspy.Highs, direction: FloatArray) -> tuple[FloatArray | None, float]:
        columns = np.arange(len(direction), dtype=np.int32)
        highs.changeColsCost(len(columns), columns, direction)
        highs.run()
        status, info = highs.getModelStatus(), highs.getInfo()
        solution = highs.getSolution()
        if status == highspy.HighsModelStatus.kInfeasible or not solution.value_valid:
            return None, -np.inf if status == highspy.HighsModelStatus.kInfeasible else np.inf
        optimal = status == highspy.HighsModelStatus.kOptimal
        bound = info.objective_function_value if highs is self._linear and optimal else np.inf
        if highs is self._whole:
            bound = info.mip_dual_bound
        return np.array(solution.col_value), float(bound)


def nearest_lottery(
    target: FloatArray,
    polytope: Polytope,
    *,
    map_points: sp.csr_array | None = None,
    tol: float = 1e-9,
    deadline: float | None = None,
    reporter: Reporter | None = None,
) -> Hull:
    """Find the lottery over integer points whose mean is nearest to a target.

    Parameters
    ----------
    target : FloatArray, shape (n,)
        x; expected copies of the cells, or what ``map_points`` makes of them.
    polytope : Polytope
        The points.
    map_points : scipy.sparse.csr_array, shape (n, n_cells), optional
        What is to be met in expectation, where that is less than all cells.
    tol : float
        Distance from x that counts as none.
    deadline : float, optional
        Reading of ``time.monotonic`` at which to stop.
    reporter : Reporter, optional
        Told the distance.

    Examples
    --------
    >>> one = sp.csr_array([[1.0, 1.0]])
    >>> corner = Polytope(one, np.array([-np.inf]), np.ones(1), np.zeros(2), np.ones(2))
    >>> found = nearest_lottery(np.array([0.25, 0.5]), corner)
    >>> found.direction is None, (found.weights @ found.terms).round(12).tolist()
    (True, [0.25, 0.5])
    """
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("lottery")
    end = np.inf if deadline is None else deadline
    if polytope.matrix.shape[1] == 0:  # nothing is left to chance
        return Hull(np.ones(1), np.zeros((1, 0), dtype=np.int64), 0.0, None, 0.0, 0, 0, True)
    pricing = Pricing(polytope, end)
    first, most = pricing.furthest(np.zeros(polytope.matrix.shape[1]))
    if first is None:
        # Where there is no integer point at all, any direction separates.
        none = np.zeros(len(target)) if most == -np.inf else None
        empty = np.zeros((0, polytope.matrix.shape[1]), dtype=np.int64)
        solved = pricing.programs, pricing.integer_programs
        return Hull(np.zeros(0), empty, np.inf, none, np.inf, *solved, none is not None)
    corral = _Corral(target, polytope.matrix.shape[1], map_points)
    corral.start(first)
    direction, beyond, finished = None, 0.0, False
    least, stalls = np.inf, 0
    while True:
        away = -corral.nearest()
        distance = float(np.sqrt(away @ away))
        reporter.update(residual=distance)
        # Every step comes closer but for rounding, which is all that is left when none does.
        stalls = stalls + 1 if distance > (1.0 - 1e-6) * least else 0
        least = min(least, distance)
        if distance <= tol or (stalls > _STALLS and distance <= _ROUNDING):
            finished = True
            break
        if time.monotonic() >= end or stalls > 10 * _STALLS:
            break
        unit = away / distance
        wanted = unit if map_points is None else np.asarray(map_points.T @ unit)
        point, bound = pricing.furthest(wanted)
        if point is None:
            break
        gain = float(wanted @ point) - float(unit @ target) + distance
        if gain <= max(1e-9 * distance, 1e-14):
            beyond = float(unit @ target) - bound
            finished = beyond > 0.0
            direction = unit if finished else None
            break
        if not corral.add(point):
            break
    weights, terms = corral.lottery()
    mean = weights @ (terms if map_points is None else terms @ map_points.T)
    deviation = float(np.abs(mean - target).max(initial=0.0))
    return Hull(
        weights, terms, deviation, direction, beyond, pricing.programs, pricing.integer_programs, finished
    )


class _Corral:
    r"""Points, their weights, and the factor of their Gram matrix.

    With columns :math:`p_k = Z_k - x` the nearest affine combination has weights proportional to the
    solution of :math:`(P^\top P + \rho 1 1^\top) u = 1`. Its Cholesky factor grows by a row with each
    point; a point that leaves takes its row out, and rotations restore the triangle.
    """

    def __init__(self, target: FloatArray, n_cells: int, map_points: sp.csr_array | None) -> None:
        self.target, self.map = target, map_points
        self.offset = max(1.0, float(target @ target))
        self.size = 0
        self.terms = np.zeros((64, n_cells), dtype=np.int64)
        self.points = np.zeros((64, len(target)))
        self.factor = np.zeros((64, 64))
        self.weights = np.zeros(0)

    def start(self, term: IntArray) -> None:
        self._append(term)
        self.weights = np.ones(1)

    def nearest(self) -> FloatArray:
        """Mean of the corral less the target."""
        return np.asarray(self.weights @ self.points[: self.size])

    def lottery(self) -> tuple[FloatArray, IntArray]:
        """Return weights, heaviest first, and terms."""
        order = np.argsort(-self.weights, kind="stable")
        return self.weights[order], self.terms[: self.size][order].copy()

    def add(self, term: IntArray) -> bool:
        """Let a point in, and walk to the nearest mean; False if it adds nothing but rounding."""
        if not self._append(term):
            return False
        self.weights = np.append(self.weights, 0.0)
        while True:
            aim = self._affine()
            if (aim > _POSITIVE).all():
                self.weights = aim
                return True
            short = aim <= _POSITIVE
            ratio = self.weights[short] / np.maximum(self.weights[short] - aim[short], 1e-300)
            length = float(np.clip(ratio.min(), 0.0, 1.0))
            self.weights = (1.0 - length) * self.weights + length * aim
            leaving = np.flatnonzero(short)[ratio <= length + 1e-12]
            leaving = np.union1d(leaving, np.flatnonzero(self.weights <= 0.0))
            if not len(leaving) or len(leaving) == self.size:
                return False
            for k in leaving[::-1]:
                self._remove(int(k))
            self.weights = self.weights / self.weights.sum()

    def _affine(self) -> FloatArray:
        low = self.factor[: self.size, : self.size]
        ones = np.ones(self.size)
        u = la.cho_solve((low, True), ones, check_finite=False)
        # One refinement by the points themselves: the factor has been updated many times.
        points = self.points[: self.size]
        rest = ones - (points @ (u @ points) + self.offset * u.sum())
        u = u + la.cho_solve((low, True), rest, check_finite=False)
        return np.asarray(u / u.sum())

    def _append(self, term: IntArray) -> bool:
        k = self.size
        if k == len(self.points):
            self.terms = np.concatenate([self.terms, np.zeros_like(self.terms)])
            self.points = np.concatenate([self.points, np.zeros_like(self.points)])
            factor = np.zeros((2 * k, 2 * k))
            factor[:k, :k] = self.factor
            self.factor = factor
        point = (term if self.map is None else self.map @ term) - self.target
        row = la.solve_triangular(
            self.factor[:k, :k], self.points[:k] @ point + self.offset, lower=True, check_finite=False
        )
        whole = float(point @ point) + self.offset
        rest = whole - float(row @ row)
        if rest <= _ALIKE * whole:
            return False
        self.terms[k], self.points[k] = term, point
        self.factor[k, :k], self.factor[k, k] = row, np.sqrt(rest)
        self.size = k + 1
        return True

    def _remove(self, k: int) -> None:
        n = self.size
        column = self.factor[k + 1 : n, k].copy()
        for part in (self.terms, self.points):
            part[k : n - 1] = part[k + 1 : n]
        low = self.factor[k + 1 : n, k + 1 : n].copy()
        left = self.factor[k + 1 : n, :k].copy()
        # The rows below lose the column k of the factor: what it held goes back in by an update of rank 1.
        for j in range(len(column)):
            r = np.hypot(low[j, j], column[j])
            c, s = r / low[j, j], column[j] / low[j, j]
            low[j, j] = r
            low[j + 1 :, j] = (low[j + 1 :, j] + s * column[j + 1 :]) / c
            column[j + 1 :] = c * column[j + 1 :] - s * low[j + 1 :, j]
        self.factor[k : n - 1, :k], self.factor[k : n - 1, k : n - 1] = left, low
        self.factor[n - 1] = 0.0
        self.size = n - 1
        self.weights = np.delete(self.weights, k)


def whole_weights(weights: FloatArray, denominator: int) -> IntArray:
    """Round weights to whole numbers over a denominator, none of them 0, that add up to it.

    Parameters
    ----------
    weights : FloatArray, shape (n_terms,)
        Positive, adding up to about 1, heaviest first.
    denominator : int
        What they are to add up to.
    """
    whole = np.maximum(np.rint(weights / weights.sum() * denominator).astype(np.int64), 1)
    whole[0] += denominator - int(whole.sum())
    return np.asarray(whole, dtype=np.int64)


def free_cells(copies: FloatArray, tol: float = 1e-9) -> BoolArray:
    """Tell which expected copies are no whole numbers."""
    return np.asarray(np.abs(copies - np.rint(copies)) > tol)
