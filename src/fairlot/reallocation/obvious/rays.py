r"""Rays and polarization.

Two rays :math:`\kappa', \kappa''`, neither :math:`\ge 0`, are *polarized* if some
:math:`y', y'' \ge 0`, not both 0, make :math:`y' \kappa' + y'' \kappa'' \ge 0`
(Valenzuela-Stookey, section 3): no type :math:`c \ge 0` is better off with both. In closed form,
:math:`\kappa''_i > 0` wherever :math:`\kappa'_i < 0` and the reverse, and

.. math::
   r_{lo} = \max_{\kappa'_i < 0} \frac{-\kappa'_i}{\kappa''_i} \;\le\;
   r_{hi} = \min_{\kappa''_i < 0} \frac{\kappa'_i}{-\kappa''_i},

the interval of all r with :math:`\kappa' + r \kappa'' \ge 0`. The opposite, a type
:math:`c > 0` with :math:`c \cdot \kappa' < 0` and :math:`c \cdot \kappa'' < 0`, is a *conflict*.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.programs import LinearProgram, solve_program

_ZERO = 1e-12
"""A coordinate this small beside the largest of its ray is 0."""
_TIE = 1e-9
"""Relative difference between exchange rates that is a tie, not a conflict."""


def rate_interval(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    r"""Find all rates r at which a second ray makes up for a first, :math:`\kappa' + r \kappa'' \ge 0`.

    Parameters
    ----------
    first, second : array_like, shape (..., n_tasks)
        Rays :math:`\kappa', \kappa''`.

    Returns
    -------
    r_lo, r_hi : FloatArray, shape (...)
        The interval; empty, as (inf, 0), where one ray takes from a task that the other does not give.

    Examples
    --------
    >>> rate_interval([1, -1], [-1, 2])
    (array(0.5), array(1.))
    """
    a, b = _clean(first), _clean(second)
    with np.errstate(divide="ignore", invalid="ignore"):
        lowest = np.where(a < 0, -a / b, 0.0).max(axis=-1)
        highest = np.where(b < 0, a / -b, np.inf).min(axis=-1)
    apart = (((a < 0) & (b <= 0)) | ((b < 0) & (a <= 0))).any(axis=-1)
    return np.where(apart, np.inf, lowest), np.where(apart, 0.0, highest)


def in_conflict(first: npt.ArrayLike, second: npt.ArrayLike) -> BoolArray:
    r"""Tell whether some type :math:`c > 0` strictly gains from both displacements.

    Parameters
    ----------
    first, second : array_like, shape (..., n_tasks)
        Displacements from the endowment; one that is :math:`\ge 0` conflicts with nothing.

    Returns
    -------
    BoolArray, shape (...)

    Examples
    --------
    >>> bool(in_conflict([1, -1.5], [-1, 1]))
    True
    """
    a, b = _clean(first), _clean(second)
    lowest, highest = rate_interval(a, b)
    both = (a < 0).any(axis=-1) & (b < 0).any(axis=-1)
    return np.asarray(both & (lowest > highest * (1 + _TIE)))


def shared_type(first: npt.ArrayLike, second: npt.ArrayLike) -> FloatArray | None:
    r"""Find a type that strictly gains from both displacements.

    Parameters
    ----------
    first, second : array_like, shape (n_tasks,)
        Displacements.

    Returns
    -------
    FloatArray, shape (n_tasks,), or None
        :math:`c > 0`, adding up to 1, with :math:`c \cdot \kappa' < 0` and
        :math:`c \cdot \kappa'' < 0`; None where there is no conflict.

    Notes
    -----
    The pairs :math:`(\kappa'_i, \kappa''_i)` generate a cone in the plane that meets the open negative
    quadrant, hence two of them do (Carathéodory): a type that cares for one or two tasks is enough,
    and the margin leaves room for a little of everything else.
    """
    if not in_conflict(first, second):
        return None
    a, b = _clean(first), _clean(second)
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    n = len(a)
    candidates = [np.eye(n)]
    for i in np.flatnonzero(a < 0):
        for k in np.flatnonzero(b < 0):
            if k != i:
                most = -a[i] / a[k] if a[k] > 0 else np.inf
                least = b[i] / -b[k] if b[i] > 0 else 0.0
                weight = np.sqrt(least * most) if np.isfinite(most) and least > 0 else 0.0
                if weight == 0.0:
                    weight = 2 * least + 1 if np.isinf(most) else most / 2
                candidates.append((np.eye(n)[i] + weight * np.eye(n)[k])[None] / (1 + weight))
    types = np.concatenate(candidates)
    margins = -np.maximum(types @ a, types @ b)
    best = int(margins.argmax())
    spread = margins[best] / (2 * n)
    witness: FloatArray = types[best] + spread
    return np.asarray(witness / witness.sum())


def conflicting_rays(menus: Menus) -> list[tuple[int, int]]:
    r"""List the pairs of rays, by position, that make some agent's menu not polarized.

    Parameters
    ----------
    menus : Menus
        All menus. A ray :math:`\ge 0` conflicts with nothing; the remedial set is alone in its menu.
    """
    first, second = ray_pairs(menus)
    bad = in_conflict(menus.changes[first], menus.changes[second])
    return list(zip(first[bad].tolist(), second[bad].tolist(), strict=True))


def ray_pairs(menus: Menus) -> tuple[IntArray, IntArray]:
    """List all pairs of rays that share a menu, by position."""
    sizes = np.diff(menus.starts)
    first: list[IntArray] = [np.empty(0, dtype=np.int64)]
    second: list[IntArray] = [np.empty(0, dtype=np.int64)]
    for size in np.unique(sizes[sizes > 1]).tolist():
        start = menus.starts[:-1][sizes == size]
        upper, lower = np.triu_indices(size, 1)
        first.append((start[:, None] + upper).ravel())
        second.append((start[:, None] + lower).ravel())
    return np.concatenate(first), np.concatenate(second)


def lemma5_value(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    r"""Solve Lemma 5's program.

    .. math:: \min \{c \cdot \kappa' : c \cdot \kappa'' \le 0, c \ge 0, \textstyle\sum c = 1\}

    Rays that are not :math:`\ge 0` are polarized if and only if it is at least 0, either way round. For
    a ray :math:`\ge 0`, which the paper's definition of a ray excludes, the lemma is false.

    Parameters
    ----------
    first, second : array_like, shape (n_tasks,)
        :math:`\kappa', \kappa''`.

    Returns
    -------
    float
        The value; infinite where no type accepts the second ray.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    rows = np.array([b, np.ones(len(b))])
    program = LinearProgram.dense(
        cost=a, rows=rows, row_lower=np.array([-np.inf, 1.0]), row_upper=np.array([0.0, 1.0])
    )
    solution = solve_program(program)
    return float(solution.value) if solution.optimal else np.inf


def in_conflict_on_box(
    first: npt.ArrayLike, second: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike
) -> BoolArray:
    r"""Tell whether some type in a known box strictly gains from both displacements.

    Section 3 of the paper lets types be anything. Asking for no conflict on the believed box alone admits
    more menus, but a type outside the box may then face a choice that is not obvious.

    Parameters
    ----------
    first, second : array_like, shape (..., n_tasks)
        Displacements.
    low, high : array_like, shape (..., n_tasks)
        The box, bounded.

    Returns
    -------
    BoolArray, shape (...)

    Notes
    -----
    By the minimax theorem :math:`\min_c \max(c \cdot \kappa', c \cdot \kappa'') =
    \max_{0 \le \lambda \le 1} \min_c c \cdot (\lambda \kappa' + (1 - \lambda) \kappa'')`; the inner minimum
    is a sum over tasks, linear between the :math:`\lambda` at which a coordinate changes its sign.
    """
    a, b, lower, upper = np.broadcast_arrays(*(np.asarray(x, float) for x in (first, second, low, high)))
    a, b = (x / np.maximum(np.abs(x).max(axis=-1, keepdims=True), 1e-300) for x in (a, b))
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = np.where(a * b < 0, b / (b - a), 0.0)
    ends = np.broadcast_to([0.0, 1.0], (*crossing.shape[:-1], 2))
    weights = np.concatenate([crossing, ends], axis=-1)[..., None]
    mixed = weights * a[..., None, :] + (1 - weights) * b[..., None, :]
    least = np.where(mixed > 0, mixed * lower[..., None, :], mixed * upper[..., None, :]).sum(axis=-1)
    size = np.abs(np.maximum(np.abs(a), np.abs(b)) * upper).sum(axis=-1)
    return np.asarray(least.max(axis=-1) < -_TIE * size)


def ray_extents(problem: ReallocationProblem, agents: IntArray, changes: FloatArray) -> FloatArray:
    r"""Find how far each ray goes, :math:`\bar y`, before it leaves the orthant or breaks a cap.

    Parameters
    ----------
    problem : ReallocationProblem
        Endowments and caps.
    agents : IntArray, shape (n_rays,)
        Whose ray it is.
    changes : FloatArray, shape (n_rays, n_tasks)
        Displacements at y = 1.

    Returns
    -------
    FloatArray, shape (n_rays,)
        The largest y with :math:`0 \le \eta + y\kappa` within the caps; infinite if nothing binds.
    """
    endowment = problem.endowment[agents]
    room = np.where(changes < 0, endowment, problem.amount_ceilings[agents] - endowment)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_task = np.where(changes == 0, np.inf, room / np.abs(changes)).min(axis=1)
    growth = problem.loads(changes)
    load_room = problem.load_ceilings[agents] - problem.loads(endowment)
    rising = growth > _ZERO * np.abs(changes).sum(axis=1)
    by_load = np.where(rising, load_room / np.where(rising, growth, 1.0), np.inf)
    return np.asarray(np.minimum(by_task, by_load))


def full_extent(problem: ReallocationProblem, agents: IntArray, changes: FloatArray) -> FloatArray:
    r"""Scale each ray so that :math:`\bar y = 1`.

    Parameters
    ----------
    problem, agents, changes
        As in :func:`ray_extents`.

    Returns
    -------
    FloatArray, shape (n_rays, n_tasks)
        Displacements at full extent; 0 where a ray cannot leave the endowment at all.
    """
    extents = ray_extents(problem, agents, changes)
    if np.isinf(extents).any():
        msg = "a ray that gives no task away has no full extent"
        raise ValueError(msg)
    return np.asarray(changes * extents[:, None])


def _clean(ray: npt.ArrayLike) -> FloatArray:
    """Turn rounding in a coordinate into 0."""
    array = np.asarray(ray, dtype=np.float64)
    floor = _ZERO * np.abs(array).max(axis=-1, keepdims=True)
    return np.where(np.abs(array) <= floor, 0.0, array)
