r"""A good menu on a given sample, which a bound is measured against: the better it is, the less to search.

On a small sample a menu found by smoothing can be worth a few percent less than the best for that sample.
Random steps of the parameters (:mod:`fairlot.reallocation.support.smooth`), of many sizes, kept where the
value on the sample itself does not fall, close most of that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.reallocation.obvious.parameters import ray_parameters
from fairlot.reallocation.support.bounds.boxes import Sample, ray_worth
from fairlot.reallocation.support.bounds.partitions import (
    SampleProgram,
    owners,
    partitions,
    single_blocks,
)
from fairlot.reallocation.support.search import climb_from, rough_start
from fairlot.reallocation.support.smooth import Blocks, Climber, menu_value
from fairlot.reallocation.support.terms import Terms

_SHORT, _LONG = 1_000, 15_000
_KEPT = 4
_MOST_BLOCKS = 100


def best_known(
    terms: Terms, types: FloatArray, w: FloatArray, menus: Sequence[FloatArray], seed: int
) -> float:
    """Search for a good menu on the sample: all blocks of one ray or two of a partition, and given menus.

    Parameters
    ----------
    terms : Terms
        The agent.
    types : FloatArray, shape (n_types, n_tasks)
        Scaled types, which are the distribution.
    w : FloatArray, shape (n_tasks,)
        Values.
    menus : sequence of FloatArray
        Good menus, shape (n_rays, n_tasks) each.
    seed : int
        Of all random numbers.

    Returns
    -------
    float
        What some menu gains on the sample; 0 where no ray gains anything.
    """
    program = SampleProgram.of(terms, types, w)
    climber = Climber(terms, types, w)
    rng = np.random.default_rng(seed)
    tasks = program.tasks
    trials = [rays for rays in menus if len(rays)]
    if climber.wanted.any() and tasks:
        blocks: list[Blocks] = [(block,) for block in single_blocks(program)]
        blocks += list(partitions(tasks, 2))
        if len(blocks) > _MOST_BLOCKS:
            blocks = [blocks[b] for b in rng.choice(len(blocks), _MOST_BLOCKS, replace=False).tolist()]
        trials += [climb_from(climber, b, rough_start(climber, b, rng)).changes for b in blocks]
    known, improved = 0.0, []
    for rays in trials:
        # only rays that give and take, which the parameters can express
        if len(rays) and ((rays < 0).any(axis=1) & (rays > 0).any(axis=1)).all():
            known = max(known, menu_value(types, rays, w))
            improved.append(polished(program, rays / program.counts, _SHORT, seed))
    # random steps may leave a worthless ray with nothing to give away
    improved = [(value, rays[(rays < 0).any(axis=1)]) for value, rays in improved if value > 0]
    improved.sort(key=lambda pair: -pair[0])
    longer = [polished(program, rays, _LONG, seed) for _, rays in improved[:_KEPT]]
    cut = [
        menu_value(types, terms.full(rays[(rays < 0).any(axis=1)] * program.counts), w) for _, rays in longer
    ]
    return max([known, *cut])


def polished(
    program: SampleProgram, rays: FloatArray, rounds: int = _LONG, seed: int = 0
) -> tuple[float, FloatArray]:
    """Improve a polarized menu on the sample.

    Parameters
    ----------
    program : SampleProgram
        The sample.
    rays : FloatArray, shape (n_rays, n_tasks)
        In units of load, each taking some task off.
    rounds : int
        Steps.
    seed : int
        Of the steps.

    Returns
    -------
    worth : float
        On the sample, ties refused.
    rays : FloatArray, shape (n_rays, n_tasks)
        Not cut to full extent.
    """
    have = np.where(program.endowment > 0, program.endowment, 1.0)
    share = (np.maximum(-rays, 0.0) / have).max(axis=1)
    parameters = ray_parameters(rays / share[:, None])
    blocks = tuple(tuple(np.flatnonzero(row).tolist()) for row in parameters.gives > 0)
    return _random_steps(
        program.sample,
        program.endowment,
        np.asarray(program.open & (program.w > 0)),
        owners(blocks, program.n_tasks),
        parameters.gives.sum(axis=0),
        np.log(parameters.rates),
        parameters.extras.copy(),
        rounds,
        np.random.default_rng(seed),
    )


@njit(cache=True)
def _menu(
    owner: IntArray, gives: FloatArray, rates: FloatArray, extras: FloatArray, rays: FloatArray
) -> None:
    """Write the rays of the parameters."""
    n_rays, n_tasks = rays.shape
    for k in range(n_rays):
        for i in range(n_tasks):
            rays[k, i] = extras[k, i]
            if owner[i] == k:
                rays[k, i] -= gives[i]
            elif owner[i] >= 0:
                rays[k, i] += np.exp(rates[k, owner[i]]) * gives[i]


@njit(cache=True)
def _random_steps(
    sample: Sample,
    endowment: FloatArray,
    wanted: BoolArray,
    owner: IntArray,
    gives: FloatArray,
    rates: FloatArray,
    extras: FloatArray,
    rounds: int,
    generator: np.random.Generator,
) -> tuple[float, FloatArray]:
    """Return the value and the rays after random steps that never lower the value."""
    n_rays, n_tasks = extras.shape
    load = np.empty(sample.types.shape[1])
    rays, best = np.empty((n_rays, n_tasks)), np.empty((n_rays, n_tasks))
    _menu(owner, gives, rates, extras, best)
    known = 0.0
    for k in range(n_rays):
        known += ray_worth(sample, best[k], load)
    for _ in range(rounds):
        new_gives, new_rates, new_extras = gives.copy(), rates.copy(), extras.copy()
        size = 0.3 * 10 ** (-4 * generator.random())
        for _ in range(int(1 + 3 * generator.random())):
            kind = int(3 * generator.random())
            i, k = int(n_tasks * generator.random()), int(n_rays * generator.random())
            if kind == 0 and owner[i] >= 0:
                changed = gives[i] + size * endowment[i] * generator.standard_normal()
                new_gives[i] = min(max(changed, 0.0), endowment[i])
            elif kind == 1 and wanted[i] and owner[i] != k:
                new_extras[k, i] = max(extras[k, i] + size * generator.standard_normal(), 0.0)
            elif kind == 2 and n_rays > 1:
                other = int(n_rays * generator.random())
                if other != k:
                    step = size * generator.standard_normal()
                    new_rates[k, other] = rates[k, other] + step
                    new_rates[other, k] = -new_rates[k, other]
        _menu(owner, new_gives, new_rates, new_extras, rays)
        worth = 0.0
        for k in range(n_rays):
            worth += ray_worth(sample, rays[k], load)
        if worth >= known:
            known = worth
            gives, rates, extras = new_gives, new_rates, new_extras
            best[:] = rays
    return known, best
