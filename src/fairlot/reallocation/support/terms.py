r"""Within what one agent may be moved: what she has, how much more she may get, who she may be.

With w the value of one more unit of each task at her, the best menu maximises

.. math:: \sum_k P(c \cdot \kappa^k < 0)\, (w \cdot \kappa^k)^+ ,

each ray scaled to its full extent :math:`\bar y = 1`: the largest for which
:math:`\eta + \kappa \ge 0`, no task grows by more than its room and the load by no more than its own
(Valenzuela-Stookey, section 4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.stats import qmc

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.beliefs import Beliefs
from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.model.tasks import ReallocationProblem

_TIE = 1e-12
"""A load this small beside the terms that it is a sum of is a tie, which is not accepted."""
_EDGE = 2.0**-40
"""Uniform numbers keep this distance from 0 and 1, where quantiles may be infinite."""


@dataclass(frozen=True, eq=False)
class Terms:
    r"""What one agent's menu depends on, beside w.

    Parameters
    ----------
    endowment : FloatArray, shape (n_tasks,)
        :math:`\eta`.
    room : FloatArray, shape (n_tasks,)
        Most that each task may grow; may be infinite.
    load_room : float
        Most that the sum of the amounts may grow; may be infinite.
    belief : Beliefs
        About her alone, shape (1, n_tasks).
    """

    endowment: FloatArray
    room: FloatArray
    load_room: float
    belief: Beliefs

    @classmethod
    def of(cls, problem: ReallocationProblem, agent: str | int) -> Terms:
        """Take one agent's terms out of a problem.

        Parameters
        ----------
        problem : ReallocationProblem
            The problem.
        agent : str or int
            Her id, or her position.

        Raises
        ------
        InvalidProblemError
            If nobody has this id.
        NotSupportedError
            If a task is a good or has a free total.
        """
        problem.require_fixed_burdens()
        j = agent_position(problem, agent)
        endowment = problem.endowment[j]
        return cls(
            endowment=endowment,
            room=np.maximum(problem.amount_ceilings[j] - endowment, 0.0),
            load_room=max(float(problem.load_ceilings[j] - endowment.sum()), 0.0),
            belief=problem.beliefs.of(j),
        )

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.endowment)

    @cached_property
    def givable(self) -> BoolArray:
        """Tasks that a ray may take off her, shape (n_tasks,)."""
        return np.asarray(self.endowment > 0)

    @cached_property
    def closed(self) -> BoolArray:
        """Tasks of which she may not get more, shape (n_tasks,)."""
        return np.asarray(self.room <= _TIE * max(1.0, float(self.endowment.sum())))

    @cached_property
    def unit(self) -> FloatArray:
        r"""Amount of each task that weighs as much as all of :math:`\eta`, for a median type."""
        middle = self.types(256).T
        return np.asarray(1.0 / np.maximum(np.median(middle, axis=1), 1e-12))

    def types(self, n_types: int, seed: int = 0) -> FloatArray:
        r"""Draw types along a scrambled Sobol sequence.

        Parameters
        ----------
        n_types : int
            How many, a power of 2; ignored if the belief is a sample that has no more rows, which is then
            returned as it is.
        seed : int
            Of the scrambling.

        Returns
        -------
        FloatArray, shape (n_types, n_tasks)
            Each scaled to :math:`c \cdot \eta = 1`, which changes no choice.
        """
        samples = self.belief.samples
        if samples is not None and len(samples) <= n_types:
            drawn = samples[:, 0]
        else:
            points = qmc.Sobol(self.n_tasks, seed=seed).random(n_types)
            drawn = self.belief.types(np.clip(points, _EDGE, 1 - _EDGE)[:, None, :])[:, 0]
        return scaled_types(drawn, self.endowment)

    def extents(self, changes: FloatArray) -> FloatArray:
        r"""Find how far each ray goes, :math:`\bar y`.

        Parameters
        ----------
        changes : FloatArray, shape (n_rays, n_tasks)
            Directions, none of them :math:`\ge 0`.

        Returns
        -------
        FloatArray, shape (n_rays,)
            0 where a ray cannot leave the endowment.
        """
        size = np.abs(changes).max(axis=1, initial=0.0, keepdims=True)
        room = np.where(changes < 0, self.endowment, self.room)
        with np.errstate(divide="ignore", invalid="ignore"):
            by_task = np.where(np.abs(changes) <= _TIE * size, np.inf, room / np.abs(changes))
            growth = changes.sum(axis=1)
            by_load = np.where(growth > _TIE * size[:, 0], self.load_room / growth, np.inf)
        return np.asarray(np.minimum(by_task.min(axis=1, initial=np.inf), by_load))

    def full(self, changes: FloatArray) -> FloatArray:
        """Scale rays to full extent and drop those that go nowhere, shape (n_kept, n_tasks)."""
        extents = self.extents(changes)
        return np.asarray((changes * extents[:, None])[extents > 0])

    def require_attained(self, w: FloatArray) -> None:
        r"""Refuse where the best menu may not exist, or be infinitely good.

        If :math:`E[1/c_i] = \infty` and nothing caps task i, types who do not mind the task at all take
        unlimited amounts of it: the maximum may be infinite or approached without being reached, and
        Proposition 2 does not hold.

        Parameters
        ----------
        w : FloatArray, shape (n_tasks,)
            Values.

        Raises
        ------
        InvalidProblemError
            Naming the tasks.
        """
        if np.isfinite(self.load_room):
            return
        wild = self.belief.infinite_reciprocal_pairs[0] & np.isinf(self.room) & (w > 0)
        if wild.any():
            tasks = ", ".join(f"task {i + 1}" for i in np.flatnonzero(wild).tolist())
            raise InvalidProblemError(
                [
                    Issue(
                        f"the belief about {tasks} has so much weight near 0 that E[1/c] is infinite: "
                        "a best menu need not exist",
                        expected="a support that starts above 0, or a cap on the load or on tasks",
                    )
                ]
            )


def agent_position(problem: ReallocationProblem, agent: str | int) -> int:
    """Find an agent by id or position.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    agent : str or int
        Id or position.

    Raises
    ------
    InvalidProblemError
        If there is no such agent.
    """
    if isinstance(agent, str) and agent in problem.agents:
        return problem.agents.index(agent)
    if not isinstance(agent, str) and 0 <= agent < problem.n_agents:
        return int(agent)
    expected = f"an agent's id, or a position below {problem.n_agents}"
    raise InvalidProblemError([Issue("agent", found=str(agent), expected=expected)])


def scaled_types(types: FloatArray, endowment: FloatArray) -> FloatArray:
    r"""Scale types to :math:`c \cdot \eta = 1`; those who do not mind what they have, to a sum of 1."""
    load = types @ endowment
    total = types.sum(axis=1)
    scale = np.where(load > 1e-12 * total * max(float(endowment.max(initial=0.0)), 1e-300), load, total)
    return np.asarray(types / np.where(scale > 0, scale, 1.0)[:, None])


def accepts(types: FloatArray, changes: FloatArray) -> BoolArray:
    r"""Tell which types accept which rays: :math:`c \cdot \kappa < 0`, a tie being a refusal.

    Parameters
    ----------
    types : FloatArray, shape (n_types, n_tasks)
        Costs.
    changes : FloatArray, shape (n_rays, n_tasks)
        Rays.

    Returns
    -------
    BoolArray, shape (n_types, n_rays)
    """
    loads = types @ changes.T
    return np.asarray(loads < -_TIE * (types @ np.abs(changes).T))
