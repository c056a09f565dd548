r"""Three tasks by dynamic programming on a grid: a twin of the search and of the bound that shares nothing.

With one instance of each task, menus of two rays are :math:`(-A_1, -A_2, x)` and :math:`(y_1, y_2, -1)` with
:math:`y_i \ge A_i / x`, and those of three are :math:`(-1, a_2, a_3), (b_1, -1, b_3), (c_1, c_2, -1)` with
:math:`a_2 b_1, a_3 c_1, b_3 c_2 \ge 1`: pairwise conditions on products, so that suffix maxima over a
logarithmic grid give the best partner of every ray. Corners of cells give a bound from above.
"""

import itertools

import numpy as np
import pytest
from support_cases import one_agent

from fairlot.model.beliefs import Beliefs
from fairlot.reallocation.support.bounds.sample import sample_bound
from fairlot.reallocation.support.search import best_menu
from fairlot.reallocation.support.smooth import menu_value
from fairlot.reallocation.support.terms import Terms

EDGES = np.append(0.0, np.geomspace(1 / 8, 8, 60))
"""Costs lie in [.5, 1.5], so that nobody takes on more than six of a task for one each of the others."""


def worth(types, w, low, high):
    """Evaluate what rays are worth at most between two corners: acceptance at one, value at the other."""
    accepted = (low @ types.T < 0).mean(axis=1)
    return accepted * np.maximum(high @ w, 0.0)


def suffix(table):
    """Replace each entry by the largest one at or after it on both axes; beyond there is nothing."""
    padded = np.pad(table, ((0, 1), (0, 1)))
    return np.maximum.accumulate(np.maximum.accumulate(padded[::-1, ::-1], axis=0), axis=1)[::-1, ::-1]


def stars(types, w, gives, low, high):
    """Evaluate (-1 at one task, more of the others) for all grid amounts, shape (n, n)."""
    others = [i for i in range(3) if i != gives]
    rays = []
    for amounts in (low, high):
        ray = np.full((len(amounts) ** 2, 3), -1.0)
        ray[:, others[0]], ray[:, others[1]] = (
            part.ravel() for part in np.meshgrid(amounts, amounts, indexing="ij")
        )
        rays.append(ray)
    return worth(types, w, *rays).reshape(len(low), len(low))


def best_by_grid(types, w, low, high):
    """Find the best menu; ``low = high`` are menus of the grid, cells' corners bound all menus."""

    def at_least(amounts):
        return np.searchsorted(high, amounts * (1 - 1e-12))

    star = [stars(types, w, gives, low, high) for gives in range(3)]
    after = [suffix(table) for table in star]
    best = max(0.0, *(float(table.max()) for table in star))
    for takes in range(3):
        first, second = (i for i in range(3) if i != takes)
        for whole, part in ((first, second), (second, first)):
            given, taken = np.meshgrid(np.arange(len(low)), np.arange(len(low)), indexing="ij")
            given, taken = given[low[given] <= 1.0], taken[low[given] <= 1.0]
            corners = []
            for gives_amounts, takes_amounts in ((high, low), (low, high)):
                ray = np.zeros((len(given), 3))
                ray[:, whole] = -1.0
                ray[:, part] = -np.minimum(gives_amounts[given], 1.0)
                ray[:, takes] = takes_amounts[taken]
                corners.append(ray)
            alone = worth(types, w, *corners)
            with np.errstate(divide="ignore", invalid="ignore"):
                need_whole = np.nan_to_num(1.0 / high[taken], posinf=np.inf)
                need_part = np.nan_to_num(low[given] / high[taken], nan=0.0, posinf=np.inf)
            needs = {whole: at_least(need_whole), part: at_least(need_part)}
            best = max(best, float((alone + after[takes][needs[first], needs[second]]).max()))
    with np.errstate(divide="ignore"):
        mirror = at_least(np.nan_to_num(1.0 / high, posinf=np.inf))
    n = len(low)
    for third in range(n):
        # b_3 is at least its third amount, and c_2 what that asks for
        two = after[1][np.minimum(mirror, n), third]
        three = after[2][np.minimum(mirror, n), mirror[third]]
        best = max(best, float((star[0] + two[:, None] + three[None, :]).max()))
    return best


@pytest.mark.parametrize("seed", [0, 1])
def test_search_and_bound_of_three_tasks_agree_with_dynamic_programming_on_a_grid(seed):
    rng = np.random.default_rng(seed)
    samples = rng.uniform(0.5, 1.5, (128, 1, 3))
    terms = Terms.of(one_agent(Beliefs.from_samples(samples), np.ones(3)), 0)
    types, w = terms.types(128), np.array([[1.0, 1.0, 1.0], [1.0, 0.7, 1.2]][seed])
    on_grid = best_by_grid(samples[:, 0], w, EDGES, EDGES)
    at_most = best_by_grid(samples[:, 0], w, EDGES[:-1], EDGES[1:])
    assert on_grid <= at_most
    found = best_menu(terms, w)[0]
    searched = max(menu_value(types, menu.changes, w) for menu in found)
    assert searched >= 0.97 * on_grid
    proven = sample_bound(terms, types, w, [menu.changes for menu in found], tolerance=0.01)
    assert proven.finished
    assert on_grid <= proven.bound * (1 + 1e-9)
    assert 0.995 * on_grid <= proven.known <= at_most


def test_the_grid_finds_no_menu_that_is_not_polarized():
    # every pair and triple of a coarse grid, tried one by one against the definition
    rng = np.random.default_rng(2)
    types, w = rng.uniform(0.5, 1.5, (32, 3)), np.array([1.0, 0.8, 1.1])
    grid = np.array([0.5, 1.0, 2.0])
    rays = []
    for gives in range(3):
        for amounts in itertools.product(grid, repeat=2):
            rays.append(np.insert(np.array(amounts), gives, -1.0))
    for takes in range(3):
        for part, amount in itertools.product(grid[:2], grid):
            for order in ((1.0, part), (part, 1.0)):
                rays.append(np.insert(-np.array(order), takes, amount))
    rays = np.unique(rays, axis=0)
    values = worth(types, w, rays, rays)

    def polarized(first, second):
        # amounts are powers of 2, and so are the ends of the range of shares that do
        shares = np.concatenate([[0.0], np.exp2(np.arange(-6, 7))])
        return bool(((first + shares[:, None] * second) >= -1e-9).all(axis=1).any()) or bool(
            (second >= 0).all()
        )

    n = len(rays)
    fits = np.array([[polarized(rays[a], rays[b]) for b in range(n)] for a in range(n)])
    best = float(values.max())
    for a, b in itertools.combinations(range(n), 2):
        if fits[a, b]:
            best = max(best, values[a] + values[b])
            together = np.flatnonzero(fits[a] & fits[b])
            best = max(best, values[a] + values[b] + values[together].max(initial=0.0))
    assert np.isclose(best_by_grid(types, w, grid, grid), best, rtol=1e-9, atol=0)
