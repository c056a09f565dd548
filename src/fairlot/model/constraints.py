"""Quotas, tapers and limits as a user states them, and the bound sets they amount to.

A *quota* bounds how many copies one agent gets from a set of goods, from below and above; a *taper*
changes her utility with that number by a concave function; a *limit* bounds from above how many
copies all agents together get (Gul, Pesendorfer, Zhang, "Individual and Aggregate Constraints";
there is no lower bound over all agents).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np

from fairlot.errors import Issue
from fairlot.model.hierarchy import UNBOUNDED, FloatArray, IntArray

All = Literal["all"]
Members = All | Sequence[str]


@dataclass(frozen=True, eq=False)
class Quota:
    """Bounds on the copies one agent gets from a set of goods.

    Parameters
    ----------
    name : str
        How messages call it.
    goods : "all" or sequence of str
        The set, by ids.
    min, max : int, mapping or sequence
        Bounds in copies: one number, a mapping from agent id, or one number per agent in market
        order. ``max=None`` means no upper bound.
    agents : "all" or sequence of str
        Whom it binds, by ids.
    group : str
        Where the quota is one of many cut by an attribute, which one ("course = 101").
    """

    name: str
    goods: Members = "all"
    min: int | Mapping[str, int] | Sequence[int] = 0
    max: int | Mapping[str, int] | Sequence[int] | None = None
    agents: Members = "all"
    group: str = ""

    kind = "quota"

    @property
    def label(self) -> str:
        """Name and group, as messages show it."""
        return _label(self)


@dataclass(frozen=True, eq=False)
class Taper:
    """Diminishing returns: the k-th copy taken from the set changes utility by ``marginals[k - 1]``.

    Parameters
    ----------
    name : str
        How messages call it.
    marginals : sequence of float
        Non-increasing; the last one repeats.
    goods, agents, group
        As in :class:`Quota`.
    """

    name: str
    marginals: Sequence[float]
    goods: Members = "all"
    agents: Members = "all"
    group: str = ""

    kind = "taper"

    @property
    def label(self) -> str:
        """Name and group, as messages show it."""
        return _label(self)


@dataclass(frozen=True, eq=False)
class Limit:
    """Upper bound on the copies that all agents together get from a set of goods.

    Parameters
    ----------
    name : str
        How messages call it.
    max : int
        The bound in copies.
    goods, group
        As in :class:`Quota`.
    """

    name: str
    max: int
    goods: Members = "all"
    group: str = ""

    kind = "limit"

    @property
    def label(self) -> str:
        """Name and group, as messages show it."""
        return _label(self)


def _label(constraint: Quota | Taper | Limit) -> str:
    group = f" [{constraint.group}]" if constraint.group else ""
    return f"{constraint.kind} '{constraint.name}'{group}"


@dataclass(frozen=True, eq=False)
class BoundSet:
    """A quota or a taper in positions: what it binds, for whom, and how.

    Parameters
    ----------
    label : str
        For messages.
    goods : IntArray
        Members, ascending.
    agents : IntArray or None
        Agents bound, ascending; None for all.
    lower, upper : IntArray, shape (n_agents,)
        Bounds of every agent (0 and UNBOUNDED for those not bound, and for tapers).
    marginals : FloatArray
        The taper's marginals; empty for a quota.
    """

    label: str
    goods: IntArray
    agents: IntArray | None
    lower: IntArray
    upper: IntArray
    marginals: FloatArray


C = TypeVar("C", Quota, Taper, Limit)


def by_group(prototype: C, groups: Mapping[str, str | None], attribute: str = "group") -> list[C]:
    """Cut a constraint into one per distinct value of an attribute of goods.

    Parameters
    ----------
    prototype : Quota, Taper or Limit
        Name and bounds; its ``goods`` narrow the cut ("all" leaves it whole).
    groups : mapping
        Value of the attribute by good; None or blank puts the good in no set.
    attribute : str
        Name of the attribute, for messages.

    Examples
    --------
    >>> cut = by_group(Quota("one section per course", max=1), {"a1": "A", "a2": "A", "b": "B"}, "course")
    >>> [(quota.label, quota.goods) for quota in cut]  # doctest: +NORMALIZE_WHITESPACE
    [("quota 'one section per course' [course = A]", ('a1', 'a2')),
     ("quota 'one section per course' [course = B]", ('b',))]
    """
    from dataclasses import replace

    chosen = None if isinstance(prototype.goods, str) else set(prototype.goods)
    members: dict[str, list[str]] = {}
    for good, value in groups.items():
        if value is not None and value.strip() and (chosen is None or good in chosen):
            members.setdefault(value, []).append(good)
    return [
        replace(prototype, goods=tuple(goods), group=f"{attribute} = {value}")
        for value, goods in members.items()
    ]


class Resolver:
    """Turns ids into positions, collecting every fault as an :class:`~fairlot.errors.Issue`."""

    def __init__(self, agents: Sequence[str], goods: Sequence[str]) -> None:
        self.issues: list[Issue] = []
        self._agents = agents
        self._agent_at = {agent: i for i, agent in enumerate(agents)}
        self._good_at = {good: j for j, good in enumerate(goods)}

    def quota(self, quota: Quota) -> BoundSet:
        """Resolve a quota."""
        lower = self._bound(quota, "min", quota.min, 0)
        upper = self._bound(quota, "max", quota.max, UNBOUNDED)
        agents = self._members(quota, "agent", quota.agents, self._agent_at)
        if agents is not None:
            outside = np.ones(len(self._agents), dtype=bool)
            outside[agents] = False
            lower = np.where(outside, 0, lower)
            upper = np.where(outside, UNBOUNDED, upper)
        contradictions = np.flatnonzero(lower > upper)
        if len(contradictions):
            i = int(contradictions[0])
            self._fault(
                quota,
                f"min is above max for {len(contradictions)} agents, first for '{self._agents[i]}'",
                f"min {lower[i]}, max {upper[i]}",
                "min at most max",
            )
        return BoundSet(quota.label, self._goods(quota), agents, lower, upper, np.empty(0))

    def taper(self, taper: Taper) -> BoundSet:
        """Resolve a taper."""
        marginals = np.asarray(taper.marginals, dtype=np.float64)
        n = len(self._agents)
        if marginals.ndim != 1 or len(marginals) == 0 or not np.isfinite(marginals).all():
            self._fault(taper, "marginals", str(taper.marginals), "a list of finite numbers")
        elif (np.diff(marginals) > 0).any():
            self._fault(taper, "marginals rise", str(taper.marginals), "non-increasing numbers")
        agents = self._members(taper, "agent", taper.agents, self._agent_at)
        lower, upper = np.zeros(n, dtype=np.int64), np.full(n, UNBOUNDED, dtype=np.int64)
        return BoundSet(taper.label, self._goods(taper), agents, lower, upper, marginals)

    def limit(self, limit: Limit) -> tuple[IntArray, int]:
        """Resolve a limit: members and bound."""
        if not _is_count(limit.max):
            self._fault(limit, "max", str(limit.max), "an integer of at least 0")
            return self._goods(limit), 0
        return self._goods(limit), int(limit.max)

    def _goods(self, constraint: Quota | Taper | Limit) -> IntArray:
        members = self._members(constraint, "good", constraint.goods, self._good_at)
        return np.arange(len(self._good_at), dtype=np.int64) if members is None else members

    def _members(
        self, constraint: Quota | Taper | Limit, noun: str, members: Members, positions: Mapping[str, int]
    ) -> IntArray | None:
        if isinstance(members, str):
            if members != "all":
                self._fault(constraint, f"{noun}s", members, f'"all" or a list of {noun} ids')
            return None
        unknown = sorted({m for m in members if m not in positions})
        if unknown:
            self._fault(constraint, f"unknown {noun}", ", ".join(unknown), f"ids of {noun}s in the market")
        return np.array(sorted({positions[m] for m in members if m in positions}), dtype=np.int64)

    def _bound(self, quota: Quota, side: str, bound: Any, default: int) -> IntArray:
        n = len(self._agents)
        if bound is None:
            return np.full(n, default, dtype=np.int64)
        if isinstance(bound, Mapping):
            self._members(quota, "agent", tuple(bound), self._agent_at)
            values: Iterable[Any] = [bound.get(agent, default) for agent in self._agents]
        elif np.ndim(bound) == 0:
            values = [bound]
        else:
            values = bound
        array = np.asarray(list(values), dtype=object)
        wrong = [k for k, value in enumerate(array) if not _is_count(value)]
        if wrong or len(array) not in (1, n):
            found = str(array[wrong[0]]) if wrong else f"{len(array)} numbers"
            self._fault(quota, side, found, f"integers of at least 0, one or {n} of them")
            return np.full(n, default, dtype=np.int64)
        return np.broadcast_to(array.astype(np.float64).astype(np.int64), (n,)).copy()

    def _fault(self, constraint: Quota | Taper | Limit, message: str, found: str, expected: str) -> None:
        self.issues.append(Issue(f"{constraint.label}: {message}", found=found, expected=expected))


def _is_count(value: Any) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return 0 <= number <= UNBOUNDED and number == int(number)
