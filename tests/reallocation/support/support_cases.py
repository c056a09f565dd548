"""Agents with one set of terms, and menus at random."""

import numpy as np

from fairlot.model.beliefs import Beliefs
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.obvious.parameters import RayParameters


def one_agent(
    belief: Beliefs, endowment=(1.0, 1.0), load_growth: float | None = None, task_growth: float | None = None
) -> ReallocationProblem:
    """Make a problem of one agent."""
    have = np.array([endowment], dtype=float)
    return ReallocationProblem.from_arrays(
        have, np.ones_like(have), belief, caps=Caps(load_growth=load_growth, task_growth=task_growth)
    )


def random_menu(rng: np.random.Generator, endowment: np.ndarray) -> np.ndarray:
    """Draw a polarized menu that takes off only what she has."""
    tasks = rng.permutation(np.flatnonzero(endowment > 0))
    n_rays = int(rng.integers(1, len(tasks) + 1)) if len(tasks) > 1 else 1
    owner = rng.integers(-1, n_rays, len(endowment))
    owner[tasks[:n_rays]] = np.arange(n_rays)
    owner[endowment <= 0] = -1
    if n_rays == 1 and (owner == 0).all():
        owner[tasks[-1]] = -1
    gives = np.zeros((n_rays, len(endowment)))
    held = np.flatnonzero(owner >= 0)
    gives[owner[held], held] = endowment[held] * rng.uniform(0.2, 1.0, len(held))
    extras = rng.exponential(0.5, gives.shape) * (rng.random(gives.shape) < 0.6) * (gives == 0)
    if n_rays == 1 and not extras.any():
        extras[0, np.flatnonzero(owner < 0)[0]] = 1.0
    rates = np.exp(rng.normal(0, 0.7, (n_rays, n_rays)))
    rates = np.triu(rates, 1)
    lower = np.divide(1.0, rates.T, out=np.zeros_like(rates), where=rates.T > 0)
    return RayParameters(gives, rates + lower + np.eye(n_rays), extras).changes
