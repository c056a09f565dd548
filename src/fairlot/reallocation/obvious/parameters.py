r"""Every polarized menu by free parameters.

.. math:: \kappa^k = -A^k + \sum_{l \ne k} r_{kl} A^l + S^k

with :math:`0 \le A^k \le \eta` on disjoint supports, :math:`S^k \ge 0`, and rates
:math:`r_{kl} = 1 / r_{lk} > 0`. Any such choice is polarized, since
:math:`\kappa^k + r_{kl} \kappa^l \ge 0` term by term; and every polarized menu is of this form, with
:math:`A^k` the negative part of :math:`\kappa^k` and any :math:`r_{kl}` in the interval of rates at which
ray l makes up for ray k.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import FloatArray
from fairlot.reallocation.obvious.rays import in_conflict, rate_interval

_TIE = 1e-9


@dataclass(frozen=True, eq=False)
class RayParameters:
    r"""The parameters of one agent's polarized menu.

    Parameters
    ----------
    gives : FloatArray, shape (n_rays, n_tasks)
        :math:`A^k`, what each ray takes off her.
    rates : FloatArray, shape (n_rays, n_rays)
        :math:`r_{kl}`; the diagonal is not used.
    extras : FloatArray, shape (n_rays, n_tasks)
        :math:`S^k`, what it puts on beside.

    Raises
    ------
    InvalidProblemError
        Listing every condition that does not hold.

    Examples
    --------
    >>> parameters = RayParameters(
    ...     gives=np.diag([1.0, 1.0]), rates=np.array([[1.0, 0.5], [2.0, 1.0]]), extras=np.zeros((2, 2))
    ... )
    >>> parameters.changes
    array([[-1. ,  0.5],
           [ 2. , -1. ]])
    """

    gives: FloatArray
    rates: FloatArray
    extras: FloatArray

    def __post_init__(self) -> None:
        issues = []
        for name in ("gives", "rates", "extras"):
            part = np.array(getattr(self, name), dtype=np.float64)
            part.flags.writeable = False
            object.__setattr__(self, name, part)
        off = ~np.eye(len(self.gives), dtype=np.bool_)
        if (self.gives < 0).any() or ((self.gives > 0).sum(axis=0) > 1).any():
            issues.append(Issue("gives", expected="at least 0, each task in one ray at most"))
        if not (self.gives > 0).any(axis=1).all():
            issues.append(Issue("gives", expected="some task in every ray"))
        if (self.extras < 0).any():
            issues.append(Issue("extras", expected="at least 0"))
        product = self.rates * self.rates.T
        if not ((self.rates > 0) & (np.abs(product - 1) <= _TIE))[off].all():
            issues.append(Issue("rates", expected="above 0, and r_kl r_lk = 1"))
        if issues:
            raise InvalidProblemError(issues)

    @property
    def changes(self) -> FloatArray:
        r"""The rays :math:`\kappa^k`, shape (n_rays, n_tasks)."""
        mixing = np.where(np.eye(len(self.gives), dtype=np.bool_), -1.0, self.rates)
        return np.asarray(mixing @ self.gives + self.extras)


def ray_parameters(changes: npt.ArrayLike) -> RayParameters:
    """Find parameters of a polarized menu.

    Parameters
    ----------
    changes : array_like, shape (n_rays, n_tasks)
        The rays, each taking off some task.

    Raises
    ------
    InvalidProblemError
        Naming the pairs of rays that are not polarized, or a ray that takes nothing off.

    Examples
    --------
    >>> ray_parameters([[-1, 0.5], [2, -1]]).rates
    array([[1. , 0.5],
           [2. , 1. ]])
    """
    rays = np.atleast_2d(np.asarray(changes, dtype=np.float64))
    n = len(rays)
    gives = np.maximum(-rays, 0.0)
    first, second = np.triu_indices(n, 1)
    issues = [
        Issue(f"ray {k} takes nothing off", expected="a negative change of some task")
        for k in np.flatnonzero(~gives.any(axis=1)).tolist()
    ]
    issues += [
        Issue(f"rays {k} and {m} are not polarized")
        for k, m in zip(first.tolist(), second.tolist(), strict=True)
        if in_conflict(rays[k], rays[m])
    ]
    if issues:
        raise InvalidProblemError(issues)
    rates = np.ones((n, n))
    lowest, highest = rate_interval(rays[first], rays[second])
    # κ^k + r κ^l ≥ 0 bounds r, the weight on ray l, hence κ^k holds r_kl = r of what l gives
    rates[first, second] = np.sqrt(lowest * highest)
    rates[second, first] = 1 / rates[first, second]
    mixing = np.where(np.eye(n, dtype=np.bool_), -1.0, rates)
    return RayParameters(gives, rates, np.maximum(rays - mixing @ gives, 0.0))
