"""Random problems with polarized menus and arbitrary picks."""

import numpy as np
from protocol_cases import random_polarized

from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.obvious.rays import full_extent


def random_case(rng, n_agents=6, n_tasks=3, groups=False, caps=None, whole=False):
    """Make a problem, polarized menus at full extent (some remedial, some empty), and any picks at all."""
    sizes = rng.integers(1, 5, n_agents) if groups else np.ones(n_agents, dtype=int)
    low = rng.uniform(0.1, 1.0, (n_agents, n_tasks))
    amounts = rng.integers(0, 9, (n_agents, n_tasks)).astype(float)
    if not whole:
        amounts += 0.25 * (rng.random((n_agents, n_tasks)) < 0.3)
    problem = ReallocationProblem.from_arrays(
        rng.integers(0, 9, (n_agents, n_tasks))
        + 0.25 * (rng.random((n_agents, n_tasks)) < 0.3) * (not whole),
        rng.uniform(-0.5, 2.0, (n_agents, n_tasks)),
        Beliefs.uniform(low, low + rng.uniform(0.1, 2.0, (n_agents, n_tasks))),
        sizes=sizes,
        caps=Caps() if caps is None else caps,
    )
    menus = []
    for j, agent in enumerate(problem.agents):
        kind = rng.random()
        if kind < 0.15 or not problem.endowment[j].any():
            continue
        if kind < 0.3:
            menus.append(Menu(agent, (Ray("less", -problem.endowment[j]),)))
            continue
        rays = random_polarized(rng, n_tasks, int(rng.integers(1, n_tasks + 1)))
        rays = full_extent(problem, np.full(len(rays), j), rays)
        menus.append(Menu(agent, tuple(Ray(f"r{k}", ray) for k, ray in enumerate(rays) if ray.any())))
    gathered = Menus.of(problem.agents, problem.tasks, menus)
    picks = {}
    for j, agent in enumerate(problem.agents):
        names = ["keep", ""] + [ray.name for ray in gathered[agent].rays] * 3
        given = [names[int(rng.integers(len(names)))] for _ in range(problem.sizes[j])]
        if rng.random() < 0.9:
            picks[agent] = given[0] if len(given) == 1 else given
    return problem, gathered, picks
