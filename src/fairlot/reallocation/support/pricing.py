"""Pricing for column generation: the best menu at one agent for one w after another, on one fixed sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from fairlot.errors import InvalidProblemError
from fairlot.model.hierarchy import FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.obvious.parameters import ray_parameters
from fairlot.reallocation.support.acceptance import menu_acceptance
from fairlot.reallocation.support.no_choice import no_choice_change, remedial_gain
from fairlot.reallocation.support.search import (
    Candidate,
    climb_from,
    neighbour,
    rough_start,
    structured_blocks,
)
from fairlot.reallocation.support.smooth import Blocks, Climber
from fairlot.reallocation.support.terms import Terms, accepts

Kind = Literal["menu", "remedial", "no-choice"]


@dataclass(frozen=True, eq=False)
class Priced:
    r"""The best that was found for one w.

    Parameters
    ----------
    value : float
        :math:`w \cdot \eta` and the gain.
    gain : float
        On the pricer's sample, exact for the other two kinds.
    rays : FloatArray, shape (n_rays, n_tasks)
        At full extent; of the remedial set the one row :math:`-\eta`, of which any part may be taken.
        Empty where nothing gains.
    acceptance : FloatArray, shape (n_rays,)
        Share of the sample that picks each ray.
    kind : "menu", "remedial" or "no-choice"
        What it is; an exchange without choice is one ray that everybody picks.
    """

    value: float
    gain: float
    rays: FloatArray
    acceptance: FloatArray
    kind: Kind


class Pricer:
    """Prices one agent's menus.

    Parameters
    ----------
    terms : Terms
        The agent.
    n_types : int
        Size of the sample, a power of 2.
    seed : int
        Of the sample and of random starts.

    Examples
    --------
    >>> from fairlot.model.beliefs import Beliefs
    >>> problem = ReallocationProblem.from_arrays(
    ...     status_quo=[[1, 1], [1, 1]], costs=[[1, 2], [2, 1]], beliefs=Beliefs.uniform(0.5, 1.5)
    ... )
    >>> pricer = Pricer.of(problem, "agent1")
    >>> found = pricer.best(np.array([1.0, 1.0]))
    >>> found.kind, round(found.gain, 2)  # 3/16 on all types
    ('menu', 0.19)
    >>> again = pricer.best(np.array([1.0, 1.1]), start=[found.rays])
    """

    def __init__(self, terms: Terms, *, n_types: int = 1024, seed: int = 0) -> None:
        self.terms, self.seed = terms, seed
        self.types = terms.types(n_types, seed)
        self._few = self.types[: min(512, len(self.types))]
        self._rng = np.random.default_rng(seed)

    @classmethod
    def of(
        cls, problem: ReallocationProblem, agent: str | int, *, n_types: int = 1024, seed: int = 0
    ) -> Pricer:
        """Make the pricer of one agent or group of a problem; amounts are per member."""
        return cls(Terms.of(problem, agent), n_types=n_types, seed=seed)

    def best(
        self, w: FloatArray, start: Sequence[FloatArray] | None = None, *, explore: int | None = None
    ) -> Priced:
        """Find a good menu, fast if there are good starts.

        Parameters
        ----------
        w : FloatArray, shape (n_tasks,)
            Value of one more unit of each task at this agent.
        start : sequence of FloatArray, optional
            Menus to climb from, shape (n_rays, n_tasks) each: the best of earlier calls.
        explore : int, optional
            Number of other starts; default 2 with ``start``, else all structured ones.
        """
        w = np.asarray(w, dtype=np.float64)
        if explore is None and start:
            explore = 2
        climber = Climber(self.terms, self.types, w)
        best: Candidate | None = None
        if climber.wanted.any() and self.terms.givable.any():
            warm = [c for rays in start or () if (c := self._warm(climber, rays)) is not None]
            pool = sorted(
                warm + self._explored(w, warm, explore),
                key=lambda c: -c.value,
            )
            polished = [climb_from(climber, c.blocks, c.x, (0.01,), 20) for c in pool[:2]]
            # a climb may end lower than it began, since it climbs a smoothed value
            kept = [Candidate(climber.value(c.changes), c.blocks, c.x, c.changes) for c in pool[:3]]
            kept += [Candidate(climber.value(rays), (), np.empty(0), rays) for rays in start or ()]
            best = max(polished + kept, key=lambda c: c.value, default=None)
        return self._compared(w, best)

    def acceptance(self, rays: FloatArray) -> FloatArray:
        """Evaluate how likely each ray is picked, exactly or on 2^17 types, shape (n_rays,)."""
        return menu_acceptance(self.terms.belief, rays, seed=self.seed).probabilities

    def _compared(self, w: FloatArray, found: Candidate | None) -> Priced:
        base = float(w @ self.terms.endowment)
        gain, kind = (0.0 if found is None else found.value), "menu"
        rays = np.zeros((0, self.terms.n_tasks)) if found is None else found.changes
        acceptance = accepts(self.types, rays).mean(axis=0)
        change = no_choice_change(self.terms, w)
        if w @ change > gain and (change > 0).any():
            gain, rays, acceptance, kind = float(w @ change), change[None], np.ones(1), "no-choice"
        remedial = remedial_gain(self.terms, w)
        if remedial > 0 and remedial >= gain:
            gain, rays, acceptance = remedial, -self.terms.endowment[None], np.ones(1)
            kind = "remedial"
        return Priced(base + gain, gain, rays, acceptance, kind)  # type: ignore[arg-type]

    def _warm(self, climber: Climber, rays: FloatArray) -> Candidate | None:
        located = parameters_of(climber, rays)
        return None if located is None else climb_from(climber, *located, (0.02, 0.008), 20)

    def _explored(self, w: FloatArray, warm: list[Candidate], explore: int | None) -> list[Candidate]:
        climber = Climber(self.terms, self._few, w)
        listed = structured_blocks(self.terms, w, self._rng)
        if explore is not None:
            picked: list[Blocks] = []
            for _ in range(explore):
                near = warm and self._rng.random() < 0.5
                blocks = (
                    neighbour(warm[0].blocks, self.terms, self._rng)
                    if near
                    else listed[int(self._rng.integers(len(listed)))]
                )
                picked += [blocks] if blocks else []
            listed = picked
        return [climb_from(climber, b, rough_start(climber, b, self._rng)) for b in listed]


def parameters_of(climber: Climber, rays: FloatArray) -> tuple[Blocks, FloatArray] | None:
    """Find the parameters of a menu, in the layout for the climber's w.

    Parameters
    ----------
    climber : Climber
        Agent and values.
    rays : FloatArray, shape (n_rays, n_tasks)
        Polarized rays.

    Returns
    -------
    blocks, x : Blocks, FloatArray
        Or None where the rays are not polarized or one of them is at most 0.
    """
    endowment, unit = climber.terms.endowment, climber.terms.unit
    falling = rays < -1e-9 * np.abs(rays).max(axis=1, initial=0.0, keepdims=True)
    if not len(rays) or not (falling.any(axis=1) & (rays > 0).any(axis=1)).all():
        return None
    if (falling & (endowment <= 0)).any():
        return None
    share = np.where(falling, -rays / np.where(endowment > 0, endowment, 1.0), 0.0).max(axis=1)
    try:
        found = ray_parameters(np.where(falling, rays, np.maximum(rays, 0.0)) / share[:, None])
    except InvalidProblemError:
        return None
    blocks = tuple(tuple(np.flatnonzero(row).tolist()) for row in falling)
    shape = climber.shape(blocks)
    give = found.gives[shape.give_ray, shape.give_task] / endowment[shape.give_task]
    extra = found.extras[shape.extra_ray, shape.extra_task] / unit[shape.extra_task]
    first, second = np.triu_indices(len(blocks), 1)
    return blocks, np.concatenate([give, extra, np.log(found.rates[first, second])])
