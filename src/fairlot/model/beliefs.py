r"""What the designer believes about private costs: a distribution :math:`F_j` on a box :math:`C_j` per agent.

Each :math:`c_j(i)` is drawn by itself from a marginal with support
:math:`[\underline c^i_j, \bar c^i_j] \subset \mathbb R_+`, or the whole vector :math:`c_j` is a row of a
matrix of samples, whose box is the smallest that holds them (Valenzuela-Stookey, section 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv, ndtr, ndtri

from fairlot.errors import Issue
from fairlot.model.hierarchy import BoolArray, FloatArray

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "degenerate": (),
    "uniform": (),
    "triangular": ("mode",),
    "beta": ("a", "b"),
    "lognormal": ("median", "sigma"),
    "normal": ("mean", "sd"),
}
"""Families of marginals and their parameters; lognormal and normal are truncated to the support."""

_CODE = {name: code for code, name in enumerate(FAMILIES)}


@dataclass(frozen=True, eq=False)
class Beliefs:
    """Independent marginals per agent and task, or samples of whole types.

    Use the class methods; every argument broadcasts to shape (n_agents, n_tasks), so that a row of
    numbers is one belief per task for all agents.

    Parameters
    ----------
    low, high : FloatArray, shape (n_agents, n_tasks)
        The box; ``high`` may be infinite for lognormal and normal marginals.
    family : array of int, shape (n_agents, n_tasks)
        Position in ``FAMILIES``; ignored where there are samples.
    parameters : FloatArray, shape (n_agents, n_tasks, 2)
        In the order of ``FAMILIES``; NaN where unused.
    samples : FloatArray, shape (n_samples, n_agents, n_tasks), optional
        Equally likely types, correlation across tasks kept.

    Examples
    --------
    >>> beliefs = Beliefs.uniform(low=[0.5, 0.5], high=[1.5, 2.5])
    >>> beliefs.types(np.array([[0.0, 0.5]]))
    array([[0.5, 1.5]])
    """

    low: FloatArray
    high: FloatArray
    family: npt.NDArray[np.int8] = field(repr=False)
    parameters: FloatArray = field(repr=False)
    samples: FloatArray | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("low", "high", "family", "parameters", "samples"):
            part = getattr(self, name)
            if part is not None:
                part = np.array(part, dtype=np.int8 if name == "family" else np.float64)
                part.flags.writeable = False
                object.__setattr__(self, name, part)

    @classmethod
    def marginals(cls, family: str, low: Any, high: Any, **parameters: Any) -> Beliefs:
        """Make beliefs of one family.

        Parameters
        ----------
        family : str
            A key of ``FAMILIES``.
        low, high : array_like
            Supports.
        **parameters : array_like
            Those that ``FAMILIES`` lists, in the unit of the costs (``a``, ``b`` and ``sigma`` are pure
            numbers).
        """
        names = FAMILIES[family]
        given = [np.asarray(parameters[name], dtype=np.float64) for name in names]
        parts = np.broadcast_arrays(np.atleast_2d(low), np.atleast_2d(high), *given)
        shape = parts[0].shape
        filled = np.full((*shape, 2), np.nan)
        for k in range(len(names)):
            filled[..., k] = parts[2 + k]
        return cls(parts[0], parts[1], np.full(shape, _CODE[family]), filled)

    @classmethod
    def degenerate(cls, costs: Any) -> Beliefs:
        """Make beliefs that are certain of the costs."""
        return cls.marginals("degenerate", costs, costs)

    @classmethod
    def uniform(cls, low: Any, high: Any) -> Beliefs:
        """Make uniform beliefs."""
        return cls.marginals("uniform", low, high)

    @classmethod
    def triangular(cls, low: Any, high: Any, mode: Any) -> Beliefs:
        """Make triangular beliefs, the density largest at ``mode``."""
        return cls.marginals("triangular", low, high, mode=mode)

    @classmethod
    def beta(cls, low: Any, high: Any, a: Any, b: Any) -> Beliefs:
        """Make beta beliefs on the support, exponents ``a - 1`` at its low end and ``b - 1`` at its high."""
        return cls.marginals("beta", low, high, a=a, b=b)

    @classmethod
    def lognormal(cls, median: Any, sigma: Any, low: Any = 0.0, high: Any = np.inf) -> Beliefs:
        """Make lognormal beliefs with the median and the standard deviation of the logarithm, truncated."""
        return cls.marginals("lognormal", low, high, median=median, sigma=sigma)

    @classmethod
    def normal(cls, mean: Any, sd: Any, low: Any = 0.0, high: Any = np.inf) -> Beliefs:
        """Make normal beliefs truncated to the support."""
        return cls.marginals("normal", low, high, mean=mean, sd=sd)

    @classmethod
    def from_samples(cls, samples: Any) -> Beliefs:
        """Make beliefs from equally likely types.

        Parameters
        ----------
        samples : array_like, shape (n_samples, n_agents, n_tasks)
            Types; the belief about an agent is her own column of them.
        """
        array = np.asarray(samples, dtype=np.float64)
        shape = array.shape[1:]
        unused = np.full((*shape, 2), np.nan)
        return cls(array.min(axis=0), array.max(axis=0), np.full(shape, _CODE["uniform"]), unused, array)

    def broadcast(self, shape: tuple[int, int]) -> Beliefs:
        """Return the same beliefs spread to the shape; ``ValueError`` where that is impossible."""
        if self.low.shape == shape:
            return self
        return Beliefs(
            np.broadcast_to(self.low, shape),
            np.broadcast_to(self.high, shape),
            np.broadcast_to(self.family, shape),
            np.broadcast_to(self.parameters, (*shape, 2)),
            None if self.samples is None else np.broadcast_to(self.samples, (len(self.samples), *shape)),
        )

    def of(self, agents: Any) -> Beliefs:
        """Return the beliefs about some agents, as rows in the order given."""
        rows = np.atleast_1d(agents)
        samples = None if self.samples is None else self.samples[:, rows]
        return Beliefs(self.low[rows], self.high[rows], self.family[rows], self.parameters[rows], samples)

    @property
    def degenerate_pairs(self) -> BoolArray:
        """Where the cost is known for certain, shape (n_agents, n_tasks)."""
        certain: BoolArray = self.low == self.high
        return certain

    @property
    def unbounded_pairs(self) -> BoolArray:
        """Where the support has no upper end, shape (n_agents, n_tasks)."""
        return np.isinf(self.high)

    @property
    def infinite_reciprocal_pairs(self) -> BoolArray:
        r"""Where :math:`E[1/c_j(i)] = \infty`, shape (n_agents, n_tasks).

        So little weight near 0 that the mean exists is asked of the family, not of draws: at a lower
        end of 0 the density of a uniform or normal marginal is positive, of a beta one behaves like
        :math:`c^{a-1}`, of a triangular one like c unless its mode is 0.
        """
        if self.samples is not None:
            return np.asarray((self.samples <= 0).any(axis=0))
        first = self.parameters[..., 0]
        heavy = (
            (self.family == _CODE["uniform"])
            | (self.family == _CODE["normal"])
            | ((self.family == _CODE["beta"]) & (first <= 1))
            | ((self.family == _CODE["triangular"]) & (first <= 0))
        )
        return np.asarray((self.low <= 0) & heavy)

    def types(self, uniforms: FloatArray) -> FloatArray:
        """Turn uniform numbers into types.

        Parameters
        ----------
        uniforms : FloatArray, shape (..., n_agents, n_tasks)
            In [0, 1). With samples only the first number of each agent's row is used.

        Returns
        -------
        FloatArray, same shape
            Private costs.
        """
        uniforms = np.asarray(uniforms, dtype=np.float64)
        if self.samples is not None:
            pick = np.minimum((uniforms[..., 0] * len(self.samples)).astype(int), len(self.samples) - 1)
            return np.asarray(self.samples[pick, np.arange(self.low.shape[0])])
        result = np.empty(np.broadcast_shapes(uniforms.shape, self.low.shape))
        uniforms = np.broadcast_to(uniforms, result.shape)
        for code in np.unique(self.family).tolist():
            agent, task = np.nonzero(self.family == code)
            first, second = self.parameters[agent, task].T
            low, high = self.low[agent, task], self.high[agent, task]
            drawn = _quantile(code, uniforms[..., agent, task], low, high, first, second)
            result[..., agent, task] = np.clip(drawn, low, high)
        return result

    def cumulative(self, costs: FloatArray) -> FloatArray:
        r"""Evaluate each marginal's distribution function :math:`P(c_j(i) \le x)`.

        Parameters
        ----------
        costs : FloatArray, shape (..., n_agents, n_tasks)
            Where to evaluate; the beliefs must be without samples.

        Returns
        -------
        FloatArray, same shape
        """
        costs = np.asarray(costs, dtype=np.float64)
        result = np.empty(np.broadcast_shapes(costs.shape, self.low.shape))
        costs = np.broadcast_to(costs, result.shape)
        for code in np.unique(self.family).tolist():
            agent, task = np.nonzero(self.family == code)
            first, second = self.parameters[agent, task].T
            low, high = self.low[agent, task], self.high[agent, task]
            x = costs[..., agent, task]
            inside = _distribution(code, np.clip(x, low, high), low, high, first, second)
            result[..., agent, task] = np.where(x >= high, 1.0, np.where(x < low, 0.0, inside))
        return result

    def issues(self, agents: tuple[str, ...], tasks: tuple[str, ...]) -> list[Issue]:
        """List what is wrong with the supports and parameters, by agent and task."""
        found = []
        first, second = self.parameters[..., 0], self.parameters[..., 1]

        def report(bad: BoolArray, what: str, shown: FloatArray, expected: str) -> None:
            for j, i in np.argwhere(bad).tolist():
                pair = f"agent '{agents[j]}', task '{tasks[i]}'"
                found.append(Issue(f"{what} of {pair}", found=f"{shown[j, i]:g}", expected=expected))

        finite = np.isfinite(self.low) & (self.low >= 0)
        report(~finite, "low", self.low, "a finite number of at least 0")
        report(
            finite & ~((self.high >= self.low) & (self.high > 0)), "high", self.high, "above 0, at least low"
        )
        if self.samples is not None:
            return found
        tail = np.isin(self.family, [_CODE["lognormal"], _CODE["normal"]])
        report(~tail & np.isinf(self.high), "high", self.high, "a finite number for this family")
        is_ = {name: self.family == code for name, code in _CODE.items()}
        report(is_["degenerate"] & ~(self.high == self.low), "high", self.high, "the same as low")
        inside = (first >= self.low) & (first <= self.high)
        report(is_["triangular"] & ~inside, "mode", first, "between low and high")
        report(is_["beta"] & ~(np.isfinite(first) & (first > 0)), "a", first, "a number above 0")
        report(is_["beta"] & ~(np.isfinite(second) & (second > 0)), "b", second, "a number above 0")
        report(is_["lognormal"] & ~(np.isfinite(first) & (first > 0)), "median", first, "a number above 0")
        report(is_["normal"] & ~np.isfinite(first), "mean", first, "a finite number")
        spread = np.isfinite(second) & (second > 0)
        report(is_["lognormal"] & ~spread, "sigma", second, "a number above 0")
        report(is_["normal"] & ~spread, "sd", second, "a number above 0")
        return found


def _quantile(
    code: int, u: FloatArray, low: FloatArray, high: FloatArray, first: FloatArray, second: FloatArray
) -> FloatArray:
    """Evaluate the quantile function of one family, truncated to the support."""
    if code in (_CODE["degenerate"], _CODE["uniform"]):
        return np.asarray(low + u * (high - low))
    if code == _CODE["triangular"]:
        width = np.where(high > low, high - low, 1.0)
        peak = (first - low) / width
        rising = low + np.sqrt(u * peak) * width
        falling = high - np.sqrt((1 - u) * (1 - peak)) * width
        return np.asarray(np.where(u < peak, rising, falling))
    if code == _CODE["beta"]:
        return np.asarray(low + betaincinv(first, second, u) * (high - low))
    if code == _CODE["lognormal"]:
        with np.errstate(divide="ignore"):
            start, end = np.log(low / first) / second, np.log(high / first) / second
        return np.asarray(first * np.exp(second * _truncated_normal(u, start, end)))
    return np.asarray(first + second * _truncated_normal(u, (low - first) / second, (high - first) / second))


def _truncated_normal(u: FloatArray, start: FloatArray, end: FloatArray) -> FloatArray:
    """Evaluate the quantile of a standard normal on [start, end], in the tail that is better conditioned."""
    mirrored = start > 0
    begin, stop = np.where(mirrored, -end, start), np.where(mirrored, -start, end)
    share = np.where(mirrored, 1 - u, u)
    below, above = ndtr(begin), ndtr(stop)
    quantile = np.clip(ndtri(below + share * (above - below)), begin, stop)
    return np.asarray(np.where(mirrored, -quantile, quantile))


def _distribution(
    code: int, x: FloatArray, low: FloatArray, high: FloatArray, first: FloatArray, second: FloatArray
) -> FloatArray:
    """Evaluate the distribution function of one family inside its support."""
    width = np.where(high > low, high - low, 1.0)
    if code in (_CODE["degenerate"], _CODE["uniform"]):
        return np.asarray((x - low) / width)
    if code == _CODE["triangular"]:
        rising = (x - low) ** 2 / (width * np.where(first > low, first - low, 1.0))
        falling = 1 - (high - x) ** 2 / (width * np.where(high > first, high - first, 1.0))
        return np.asarray(np.where(x < first, rising, falling))
    if code == _CODE["beta"]:
        return np.asarray(betainc(first, second, np.clip((x - low) / width, 0, 1)))
    if code == _CODE["lognormal"]:
        with np.errstate(divide="ignore"):
            z, start, end = (np.log(part / first) / second for part in (x, low, high))
    else:
        z, start, end = ((part - first) / second for part in (x, low, high))
    below, total = _normal_mass(start, z), _normal_mass(start, end)
    return np.asarray(below / np.where(total > 0, total, 1.0))


def _normal_mass(start: FloatArray, end: FloatArray) -> FloatArray:
    """Evaluate the weight of a standard normal on [start, end], in the tail that is better conditioned."""
    return np.asarray(np.where(start > 0, ndtr(-start) - ndtr(-end), ndtr(end) - ndtr(start)))
