r"""The value of a menu with acceptance smoothed, over free parameters, with its slopes.

By the complete parametrisation (:mod:`fairlot.reallocation.obvious.parameters`) every choice of

.. math:: \kappa^k = -A^k + \sum_{l \ne k} r_{kl} A^l + S^k, \qquad
          0 \le A^k \le \eta, \quad S^k \ge 0, \quad r_{kl} = e^{\rho_{kl}} = 1 / r_{lk}

is polarized, so that with the *blocks* :math:`\{i : A^k_i > 0\}` given only bounds remain. Types are scaled
to :math:`c \cdot \eta = 1`, and :math:`1[c \cdot \kappa < 0]` becomes :math:`\sigma(-c \cdot \kappa / h)`.
Caps scale a ray by its extent, where :math:`\max(1, u_1, u_2, \dots)` of growth over room becomes a p-norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from scipy.optimize import Bounds, minimize

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.reallocation.support.terms import Terms, accepts

Blocks = tuple[tuple[int, ...], ...]
"""Which tasks each ray takes off her: disjoint, none empty."""

_LARGEST_RATE = 6.0
"""Bound on the logarithm of a rate r_kl."""
_LARGEST_EXTRA = 8.0
"""Bound on what a ray puts on, in units that weigh as much as all of the endowment."""
_SHARPNESS = {0.05: 16.0, 0.02: 32.0, 0.008: 64.0}
"""Exponent of the norm by smoothing width; in between as at the next wider one."""
_STEEPEST = 1e4


@dataclass(frozen=True, eq=False)
class Shape:
    """Where each parameter goes, for given blocks.

    Parameters
    ----------
    blocks : Blocks
        What each ray takes off.
    give_ray, give_task : IntArray
        Entries of A that are free, in units of the endowment.
    extra_ray, extra_task : IntArray
        Entries of S that are free, in units of :attr:`~fairlot.reallocation.support.terms.Terms.unit`.
    """

    blocks: Blocks
    give_ray: IntArray
    give_task: IntArray
    extra_ray: IntArray
    extra_task: IntArray

    @classmethod
    def of(cls, blocks: Blocks, wanted: BoolArray) -> Shape:
        """Lay out the parameters; only wanted tasks, shape (n_tasks,), are put on beside."""
        give = [(k, i) for k, block in enumerate(blocks) for i in block]
        extra = [
            (k, i)
            for k, block in enumerate(blocks)
            for i in np.flatnonzero(wanted).tolist()
            if i not in block
        ]
        columns = [np.array(pairs, dtype=np.int64).reshape(-1, 2).T for pairs in (give, extra)]
        return cls(blocks, *(np.ascontiguousarray(row) for pair in columns for row in pair))

    @property
    def n_rates(self) -> int:
        """Number of exchange rates, one per pair of rays."""
        return len(self.blocks) * (len(self.blocks) - 1) // 2

    @cached_property
    def bounds(self) -> Bounds:
        """Bounds of the parameters."""
        n_give, n_extra, n_rates = len(self.give_ray), len(self.extra_ray), self.n_rates
        low = np.concatenate([np.zeros(n_give + n_extra), np.full(n_rates, -_LARGEST_RATE)])
        high = np.concatenate(
            [np.ones(n_give), np.full(n_extra, _LARGEST_EXTRA), np.full(n_rates, _LARGEST_RATE)]
        )
        return Bounds(low, high)


class Climber:
    """Climbs the smoothed value of one agent's menu on a fixed sample of types.

    Parameters
    ----------
    terms : Terms
        The agent.
    types : FloatArray, shape (n_types, n_tasks)
        Scaled types.
    w : FloatArray, shape (n_tasks,)
        Values.
    """

    def __init__(self, terms: Terms, types: FloatArray, w: FloatArray) -> None:
        self.terms, self.types, self.w = terms, np.ascontiguousarray(types), w
        self.wanted = np.asarray((w > 0) & ~terms.closed)
        total = max(float(terms.endowment.sum()), 1e-300)
        with np.errstate(divide="ignore"):
            self._per_room = np.where(terms.closed | np.isinf(terms.room), 0.0, 1.0 / terms.room)
        bounded = np.isfinite(terms.load_room)
        self._per_load = 1.0 / max(terms.load_room, 1e-3 * total) if bounded else 0.0

    def shape(self, blocks: Blocks) -> Shape:
        """Lay out the parameters for blocks."""
        return Shape.of(blocks, self.wanted)

    def climb(
        self, shape: Shape, start: FloatArray, widths: tuple[float, ...], iterations: int = 25
    ) -> FloatArray:
        """Maximise from a start, width after width.

        Parameters
        ----------
        shape : Shape
            The layout.
        start : FloatArray, shape (n_parameters,)
            Where to begin.
        widths : tuple of float
            Smoothing widths h, wide to narrow.
        iterations : int
            At each width.

        Returns
        -------
        FloatArray, shape (n_parameters,)
        """
        x = np.clip(start, shape.bounds.lb, shape.bounds.ub)
        for width in widths:
            x = minimize(
                self._negative,
                x,
                args=(shape, width),
                jac=True,
                method="L-BFGS-B",
                bounds=shape.bounds,
                options={"maxiter": iterations, "maxcor": 12},
            ).x
        return np.asarray(x)

    def smoothed(self, x: FloatArray, shape: Shape, width: float) -> tuple[float, FloatArray]:
        """Evaluate the smoothed value and its slopes, shape (n_parameters,)."""
        power = next((p for h, p in _SHARPNESS.items() if width >= h), 64.0)
        slopes = np.zeros(len(x))
        value = _smoothed(
            x,
            slopes,
            len(shape.blocks),
            shape.give_ray,
            shape.give_task,
            shape.extra_ray,
            shape.extra_task,
            self.types,
            self.terms.endowment,
            self.terms.unit,
            self.w,
            self._per_room,
            self._per_load,
            width,
            power,
        )
        return value, slopes

    def _negative(self, x: FloatArray, shape: Shape, width: float) -> tuple[float, FloatArray]:
        value, slopes = self.smoothed(x, shape, width)
        return -value, -slopes

    def directions(self, shape: Shape, x: FloatArray) -> FloatArray:
        """Build the rays of the parameters, not scaled, shape (n_rays, n_tasks)."""
        n_rays = len(shape.blocks)
        n_give, n_extra = len(shape.give_ray), len(shape.extra_ray)
        gives = np.zeros((n_rays, self.terms.n_tasks))
        extras = np.zeros_like(gives)
        gives[shape.give_ray, shape.give_task] = x[:n_give] * self.terms.endowment[shape.give_task]
        extras[shape.extra_ray, shape.extra_task] = (
            x[n_give : n_give + n_extra] * self.terms.unit[shape.extra_task]
        )
        rates = np.zeros((n_rays, n_rays))
        rates[np.triu_indices(n_rays, 1)] = x[n_give + n_extra :]
        mixing = np.exp(rates - rates.T)
        np.fill_diagonal(mixing, -1.0)
        return np.asarray(mixing @ gives + extras)

    def rays(self, shape: Shape, x: FloatArray) -> FloatArray:
        """Build the rays worth offering, at full extent, shape (n_rays, n_tasks)."""
        changes = self.directions(shape, x)
        size = np.abs(changes).max(axis=1, keepdims=True)
        falling = (changes < -1e-9 * size).any(axis=1) & (changes > 1e-9 * size).any(axis=1)
        changes = changes[falling & (changes @ self.w > 0)]
        return self.terms.full(changes) if len(changes) else changes

    def value(self, changes: FloatArray) -> float:
        """Evaluate rays at full extent on the sample."""
        return menu_value(self.types, changes, self.w)


def menu_value(types: FloatArray, changes: FloatArray, w: FloatArray) -> float:
    r"""Evaluate :math:`\sum_k P(c \cdot \kappa^k < 0) (w \cdot \kappa^k)^+` on a sample.

    Parameters
    ----------
    types : FloatArray, shape (n_types, n_tasks)
        Equally likely types.
    changes : FloatArray, shape (n_rays, n_tasks)
        Rays at full extent.
    w : FloatArray, shape (n_tasks,)
        Values.
    """
    if not len(changes):
        return 0.0
    return float(accepts(types, changes).mean(axis=0) @ np.maximum(changes @ w, 0.0))


@njit(cache=True, fastmath={"reassoc", "contract", "arcp", "nsz"})
def _smoothed(
    x: FloatArray,
    slopes: FloatArray,
    n_rays: int,
    give_ray: IntArray,
    give_task: IntArray,
    extra_ray: IntArray,
    extra_task: IntArray,
    types: FloatArray,
    endowment: FloatArray,
    unit: FloatArray,
    w: FloatArray,
    per_room: FloatArray,
    per_load: float,
    width: float,
    power: float,
) -> float:
    """Return the smoothed value at x and write its slopes."""
    n_types, n_tasks = types.shape
    n_give, n_extra = len(give_ray), len(extra_ray)
    gives = np.zeros((n_rays, n_tasks))
    rays = np.zeros((n_rays, n_tasks))
    for q in range(n_give):
        gives[give_ray[q], give_task[q]] = x[q] * endowment[give_task[q]]
    for q in range(n_extra):
        rays[extra_ray[q], extra_task[q]] = x[n_give + q] * unit[extra_task[q]]
    mixing = np.full((n_rays, n_rays), -1.0)
    q = n_give + n_extra
    for k in range(n_rays):
        for m in range(k + 1, n_rays):
            mixing[k, m] = np.exp(x[q])
            mixing[m, k] = 1.0 / mixing[k, m]
            q += 1
    for k in range(n_rays):
        for m in range(n_rays):
            for i in range(n_tasks):
                rays[k, i] += mixing[k, m] * gives[m, i]

    chance = np.zeros(n_rays)
    tilt = np.zeros((n_rays, n_tasks))
    for t in range(n_types):
        for k in range(n_rays):
            load = 0.0
            for i in range(n_tasks):
                load += types[t, i] * rays[k, i]
            scaled = load / width
            if scaled < 40.0:
                share = 1.0 / (1.0 + np.exp(scaled)) if scaled > -40.0 else 1.0
                chance[k] += share
                fall = share * (1.0 - share)
                for i in range(n_tasks):
                    tilt[k, i] -= fall * types[t, i]

    total = 0.0
    steps = np.zeros((n_rays, n_tasks))
    for k in range(n_rays):
        worth, growth, crowding = 0.0, 0.0, 1.0
        for i in range(n_tasks):
            worth += w[i] * rays[k, i]
            growth += rays[k, i]
            if per_room[i] > 0 and rays[k, i] > 0:
                crowding += min(rays[k, i] * per_room[i], _STEEPEST) ** power
        load_use = min(max(growth, 0.0) * per_load, _STEEPEST)
        if load_use > 0:
            crowding += load_use**power
        extent = crowding ** (-1.0 / power)
        accepted = chance[k] / n_types
        total += accepted * worth * extent
        for i in range(n_tasks):
            shrinks = 0.0
            if per_room[i] > 0 and rays[k, i] > 0:
                shrinks += min(rays[k, i] * per_room[i], _STEEPEST) ** (power - 1.0) * per_room[i]
            if load_use > 0:
                shrinks += load_use ** (power - 1.0) * per_load
            steps[k, i] = (
                extent * (tilt[k, i] / (n_types * width) * worth + accepted * w[i])
                - accepted * worth * shrinks * extent / crowding
            )

    for q in range(n_give):
        k, i = give_ray[q], give_task[q]
        for m in range(n_rays):
            slopes[q] += mixing[m, k] * steps[m, i]
        slopes[q] *= endowment[i]
    for q in range(n_extra):
        slopes[n_give + q] = steps[extra_ray[q], extra_task[q]] * unit[extra_task[q]]
    q = n_give + n_extra
    for k in range(n_rays):
        for m in range(k + 1, n_rays):
            for i in range(n_tasks):
                slopes[q] += (
                    mixing[k, m] * steps[k, i] * gives[m, i] - mixing[m, k] * steps[m, i] * gives[k, i]
                )
            q += 1
    return total
