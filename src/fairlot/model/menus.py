r"""Menus of rays, and trading protocols in general.

A *trading protocol* (Valenzuela-Stookey, section 1.1) is an endowment :math:`\eta`, a menu of trading
sets :math:`\{T_j^k\}_{k \in K_j}`, :math:`T_j^k \subset \mathbb R^I_+`, one of them
:math:`\{\eta_j\}`, per agent, and a selection rule with :math:`P_j(k_1, \dots, k_J) \in T_j^{k_j}`.
With a strategy :math:`s_j : C_j \to K_j` per agent it is a *trading mechanism*.

A *ray* is :math:`T = \{\eta_j + y \kappa : 0 \le y \le 1\}`: the paper's half-line cut where it leaves the
orthant, or where a cap binds, and :math:`\kappa` scaled so that the cut is at y = 1. The *remedial* menu
is the one set :math:`\{x : 0 \le x \le \eta_j\}`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fairlot.errors import InvalidProblemError, Issue, NotSupportedError
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray

KEEP = "keep"
"""The pick that leaves an agent where she is."""
LESS = "less"
"""The id of the remedial set, of which any part may be taken, task by task."""

_TOLERANCE = 1e-9
_MOST_PROFILES = 1_000_000


@dataclass(frozen=True, eq=False)
class Ray:
    """One choice: the exchange at full extent.

    Parameters
    ----------
    name : str
        Id, unique within the menu; ``less`` is the remedial set.
    change : FloatArray, shape (n_tasks,)
        Displacement at y = 1, in instances: negative where she gives tasks away.
    """

    name: str
    change: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "change", _frozen(self.change))


@dataclass(frozen=True, eq=False)
class Menu:
    """What one agent may choose from, beside keeping what she has.

    Parameters
    ----------
    agent : str
        Whose menu it is.
    rays : tuple of Ray
        Her choices; none where she only keeps.
    """

    agent: str
    rays: tuple[Ray, ...]

    @property
    def remedial(self) -> bool:
        """Whether the only choice is to have less of anything."""
        return len(self.rays) == 1 and self.rays[0].name == LESS

    @property
    def changes(self) -> FloatArray:
        """Displacements of all rays, shape (n_rays, n_tasks)."""
        return np.array([ray.change for ray in self.rays], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Menus:
    """The menu of every agent, ray by ray.

    Parameters
    ----------
    agents, tasks : tuple of str
        Ids, in the order of the problem.
    ray_agents : IntArray, shape (n_rays,)
        Position of the agent whose ray it is; non-decreasing.
    ray_names : tuple of str
        Ids, unique within an agent.
    changes : FloatArray, shape (n_rays, n_tasks)
        Displacement at full extent.

    Raises
    ------
    InvalidProblemError
        Listing every fault found.

    Examples
    --------
    >>> menus = Menus.of(["ann", "bob"], ["abuse", "neglect"], [Menu("bob", (Ray("a", [-1, 2]),))])
    >>> menus["bob"].changes
    array([[-1.,  2.]])
    >>> menus["ann"].rays
    ()
    """

    agents: tuple[str, ...]
    tasks: tuple[str, ...]
    ray_agents: IntArray
    ray_names: tuple[str, ...]
    changes: FloatArray

    def __post_init__(self) -> None:
        changes = np.array(self.changes, dtype=np.float64).reshape(-1, len(self.tasks))
        owners: IntArray = np.array(self.ray_agents, dtype=np.int64).reshape(-1)
        issues = []
        if not len(owners) == len(changes) == len(self.ray_names):
            found = f"{len(owners)} owners, {len(self.ray_names)} names, {len(changes)} displacements"
            raise InvalidProblemError([Issue("rays", found=found, expected="as many of each")])
        if len(owners) and not (
            owners[0] >= 0 and owners[-1] < len(self.agents) and (np.diff(owners) >= 0).all()
        ):
            raise InvalidProblemError([Issue("ray owners", expected="positions of agents, in their order")])
        seen: set[tuple[int, str]] = set()
        alone = np.bincount(owners, minlength=len(self.agents))[owners] == 1
        moving: BoolArray = np.asarray(np.isfinite(changes).all(axis=1) & changes.any(axis=1))
        rising: BoolArray = np.asarray((changes > 0).any(axis=1))
        for r, key in enumerate(zip(owners.tolist(), self.ray_names, strict=True)):
            name = key[1]
            faults = []
            if name in ("", KEEP):
                faults.append(("", f"an id other than '{KEEP}'"))
            if key in seen:
                faults.append((" appears twice", "unique ray ids"))
            if not moving[r]:
                faults.append((" has no displacement", "finite numbers, not all 0"))
            if name == LESS and (rising[r] or not alone[r]):
                faults.append(("", "the only choice of its agent, and no positive change"))
            seen.add(key)
            for what, expected in faults:
                where = f"ray '{name}' of agent '{self.agents[key[0]]}'"
                issues.append(Issue(f"{where}{what}", expected=expected))
        if issues:
            raise InvalidProblemError(issues)
        object.__setattr__(self, "changes", _frozen(changes))
        owners.flags.writeable = False
        object.__setattr__(self, "ray_agents", owners)

    @classmethod
    def of(cls, agents: Sequence[str], tasks: Sequence[str], menus: Sequence[Menu]) -> Menus:
        """Gather menus; agents without one keep what they have.

        Parameters
        ----------
        agents, tasks : sequence of str
            Ids, in the order of the problem.
        menus : sequence of Menu
            At most one per agent.
        """
        position = {agent: j for j, agent in enumerate(agents)}
        names = [menu.agent for menu in menus]
        issues = [Issue("menu for an unknown agent", found=name) for name in names if name not in position]
        issues += [
            Issue("two menus for one agent", found=n) for n in sorted(set(names)) if names.count(n) > 1
        ]
        if issues:
            raise InvalidProblemError(issues)
        ordered = sorted(menus, key=lambda menu: position[menu.agent])
        rays = [(position[menu.agent], ray) for menu in ordered for ray in menu.rays]
        return cls(
            agents=tuple(agents),
            tasks=tuple(tasks),
            ray_agents=np.array([j for j, _ in rays], dtype=np.int64),
            ray_names=tuple(ray.name for _, ray in rays),
            changes=np.array([ray.change for _, ray in rays], dtype=np.float64),
        )

    @property
    def n_rays(self) -> int:
        """Number of rays over all agents."""
        return len(self.ray_names)

    @cached_property
    def starts(self) -> IntArray:
        """First ray of each agent and the total at the end, shape (n_agents + 1,)."""
        starts: IntArray = np.searchsorted(self.ray_agents, np.arange(len(self.agents) + 1)).astype(np.int64)
        return starts

    @cached_property
    def remedial_rays(self) -> BoolArray:
        """Which rays are remedial sets, shape (n_rays,)."""
        return np.array([name == LESS for name in self.ray_names], dtype=np.bool_)

    def __getitem__(self, agent: str) -> Menu:
        j = self.agents.index(agent)
        span = range(self.starts[j], self.starts[j + 1])
        return Menu(agent, tuple(Ray(self.ray_names[r], self.changes[r]) for r in span))


class TradingSet(Protocol):
    """A set of bundles that an agent lets the designer choose from."""

    @property
    def points(self) -> FloatArray:
        """Points whose convex hull holds the set: its elements or its vertices, shape (n_points, n_tasks)."""

    @property
    def convex(self) -> bool:
        """Whether the set is the whole hull."""

    def contains(self, bundle: FloatArray) -> bool:
        """Whether the bundle is in the set, up to rounding."""


@dataclass(frozen=True, eq=False)
class FiniteSet:
    """Finitely many bundles.

    Parameters
    ----------
    points : FloatArray, shape (n_points, n_tasks)
        The bundles.
    """

    points: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", _frozen(np.atleast_2d(self.points)))

    @property
    def convex(self) -> bool:
        """Whether there is only one bundle."""
        return len(self.points) == 1

    def contains(self, bundle: FloatArray) -> bool:
        """Whether the bundle is one of the points, up to rounding."""
        slack = _TOLERANCE * max(1.0, float(np.abs(self.points).max()))
        return bool((np.abs(self.points - bundle).max(axis=1) <= slack).any())


@dataclass(frozen=True, eq=False)
class Segment:
    r"""A ray :math:`\{\eta + y \kappa : 0 \le y \le 1\}`.

    Parameters
    ----------
    start, change : FloatArray, shape (n_tasks,)
        Endpoint and displacement at full extent.
    """

    start: FloatArray
    change: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _frozen(self.start))
        object.__setattr__(self, "change", _frozen(self.change))

    convex = True

    @property
    def points(self) -> FloatArray:
        """Both ends."""
        return np.array([self.start, self.start + self.change])

    def contains(self, bundle: FloatArray) -> bool:
        """Whether the bundle lies between the ends, up to rounding."""
        length = float(self.change @ self.change)
        extent = min(max(float((bundle - self.start) @ self.change) / length, 0.0), 1.0) if length else 0.0
        gap = np.abs(bundle - self.start - extent * self.change).max()
        return bool(gap <= _TOLERANCE * max(1.0, float(np.abs(self.points).max())))


@dataclass(frozen=True, eq=False)
class Polytope:
    r"""A bounded polyhedron :math:`\{x \ge 0 : A x \le b\}`.

    Parameters
    ----------
    rows : FloatArray, shape (n_rows, n_tasks)
        A.
    bounds : FloatArray, shape (n_rows,)
        b.
    """

    rows: FloatArray
    bounds: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", _frozen(np.atleast_2d(self.rows)))
        object.__setattr__(self, "bounds", _frozen(self.bounds))

    convex = True

    @classmethod
    def below(cls, endowment: npt.ArrayLike) -> Polytope:
        r"""Make the remedial set :math:`\{x : 0 \le x \le \eta\}`."""
        bounds = np.asarray(endowment, dtype=np.float64)
        return cls(np.eye(len(bounds)), bounds)

    @cached_property
    def points(self) -> FloatArray:
        """Vertices, by trying every choice of tight rows: for a handful of tasks."""
        n = self.rows.shape[1]
        rows, bounds = np.vstack([self.rows, -np.eye(n)]), np.concatenate([self.bounds, np.zeros(n)])
        vertices: list[FloatArray] = []
        for tight in itertools.combinations(range(len(rows)), n):
            square = rows[list(tight)]
            if np.linalg.matrix_rank(square) == n:
                vertex = np.linalg.solve(square, bounds[list(tight)])
                if self.contains(vertex) and not any(
                    np.abs(v - vertex).max() <= _TOLERANCE for v in vertices
                ):
                    vertices.append(np.maximum(vertex, 0.0))
        return _frozen(np.array(vertices).reshape(-1, n))

    def contains(self, bundle: FloatArray) -> bool:
        """Whether the bundle satisfies every row, up to rounding."""
        slack = _TOLERANCE * np.maximum(1.0, np.abs(self.bounds))
        return bool((self.rows @ bundle <= self.bounds + slack).all() and (bundle >= -_TOLERANCE).all())


Selection = Callable[[tuple[int, ...]], FloatArray]
"""A selection rule: the actions of all agents in, the assignment (n_agents, n_tasks) out."""


@dataclass(frozen=True, eq=False)
class TradingProtocol:
    r"""Endowment, menus of trading sets and a selection rule.

    Parameters
    ----------
    endowment : FloatArray, shape (n_agents, n_tasks)
        :math:`\eta`.
    menus : tuple of tuple of TradingSet
        :math:`T_j^k`; :math:`\{\eta_j\}` must be among each agent's.
    selection : callable
        :math:`P`. Held to feasibility by :func:`fairlot.verify.menus.verify_protocol`.

    Raises
    ------
    InvalidProblemError
        If an agent has no menu or cannot keep her endowment.
    """

    endowment: FloatArray
    menus: tuple[tuple[TradingSet, ...], ...]
    selection: Selection

    def __post_init__(self) -> None:
        endowment = _frozen(np.atleast_2d(self.endowment))
        object.__setattr__(self, "endowment", endowment)
        if len(self.menus) != len(endowment):
            found = f"{len(self.menus)} menus"
            raise InvalidProblemError(
                [Issue("menus", found=found, expected=f"one per agent ({len(endowment)})")]
            )
        without = [
            j
            for j, menu in enumerate(self.menus)
            if not any(len(s.points) == 1 and s.contains(endowment[j]) for s in menu)
        ]
        if without:
            expected = "the endowment alone as one of the trading sets"
            raise InvalidProblemError([Issue(f"menu of agent {j}", expected=expected) for j in without])

    @property
    def n_actions(self) -> tuple[int, ...]:
        """Size of each agent's menu."""
        return tuple(len(menu) for menu in self.menus)

    @cached_property
    def outcomes(self) -> FloatArray:
        """The selection at every profile: an axis per agent's actions, then n_agents, n_tasks.

        Raises
        ------
        NotSupportedError
            If there are more than a million profiles.
        """
        if math.prod(self.n_actions) > _MOST_PROFILES:
            msg = f"a protocol with {math.prod(self.n_actions)} profiles of actions is too large to enumerate"
            raise NotSupportedError(msg)
        table = np.empty((*self.n_actions, *self.endowment.shape))
        for profile in itertools.product(*map(range, self.n_actions)):
            table[profile] = self.selection(profile)
        table.flags.writeable = False
        return table


Strategy = Callable[[FloatArray], int]
"""What an agent does: her type (n_tasks,) in, her action out."""


@dataclass(frozen=True, eq=False)
class Mechanism:
    """A trading mechanism: a protocol and what the agents do in it.

    Parameters
    ----------
    protocol : TradingProtocol
        The rules.
    strategies : tuple of callable
        :math:`s_j`, one per agent.
    """

    protocol: TradingProtocol
    strategies: tuple[Strategy, ...]


def _frozen(numbers: npt.ArrayLike) -> FloatArray:
    array: FloatArray = np.array(numbers, dtype=np.float64)
    array.flags.writeable = False
    return array
