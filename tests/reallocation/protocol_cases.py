"""Random trading protocols, small enough to enumerate, with ties on purpose."""

import itertools

import numpy as np

from fairlot.model.menus import FiniteSet, TradingProtocol


def random_protocol(rng: np.random.Generator) -> TradingProtocol:
    """Make a feasible protocol: every profile carries out at most one trade between two agents.

    In two of three protocols agents who took the same action trade along one direction per action (often
    obviously strategy-proof); in the rest any two actions trade something else. Extra points that are
    never selected make some sets redundant.
    """
    n_agents, n_tasks = int(rng.integers(2, 4)), int(rng.integers(2, 5))
    n_actions = [int(rng.integers(2, 4)) for _ in range(n_agents)]
    endowment = np.full((n_agents, n_tasks), 8.0)
    along_rays = rng.random() < 2 / 3
    directions = rng.integers(-2, 3, (3, n_tasks)).astype(float)
    if rng.random() < 0.7:
        directions[2] = -directions[1] * rng.integers(1, 3)
    rule = {}
    for profile in itertools.product(*map(range, n_actions)):
        outcome = endowment.copy()
        first, second = sorted(rng.permutation(n_agents)[:2].tolist())
        k, m = profile[first], profile[second]
        if k > 0 and m > 0:
            if along_rays:
                move = directions[k] * float(rng.integers(0, 3)) * (k == m) * (first == 0)
            else:
                move = rng.integers(-2, 3, n_tasks).astype(float)
            outcome[first] += move
            outcome[second] -= move
        rule[profile] = outcome
    menus = []
    for j in range(n_agents):
        sets = [FiniteSet(endowment[j])]
        for k in range(1, n_actions[j]):
            points = [endowment[j]] + [rule[profile][j] for profile in rule if profile[j] == k]
            if rng.random() < 0.3:
                points.append(endowment[j] + rng.integers(-2, 3, n_tasks))
            sets.append(FiniteSet(np.unique(points, axis=0)))
        menus.append(tuple(sets))
    return TradingProtocol(endowment, tuple(menus), lambda profile: rule[profile])


def random_polarized(rng: np.random.Generator, n_tasks: int, n_rays: int) -> np.ndarray:
    """Make rays of which every two are polarized, on the boundary of polarization about half the time."""
    owner = rng.integers(n_rays + 1, size=n_tasks)
    owner[rng.permutation(n_tasks)[:n_rays]] = np.arange(n_rays)
    own = owner == np.arange(n_rays)[:, None]
    gives = own * rng.uniform(0.1, 3.0, n_tasks)
    logs = np.triu(rng.normal(size=(n_rays, n_rays)), 1)
    rates = np.exp(logs - logs.T)
    np.fill_diagonal(rates, -1.0)
    extra = rng.exponential(1.0, (n_rays, n_tasks)) * (rng.random((n_rays, n_tasks)) < 0.5) * ~own
    return rates @ gives + extra
