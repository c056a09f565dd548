"""Selection: sifting held to a plain linear program, and the proof its prices give."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import linprog

from fairlot.reallocation import selection
from fairlot.reallocation.selection import select


def plain(columns, costs, most):
    """Solve the selection program as it is written."""
    return linprog(
        costs, A_eq=columns.T, b_eq=np.zeros(columns.shape[1]), bounds=list(zip(0 * most, most, strict=True))
    ).fun


def random_program(rng, n, n_tasks, whole=False):
    signs = rng.integers(-3, 4, (n, n_tasks)).astype(float)
    columns = signs if whole else signs * rng.uniform(0.5, 2.0, (n, n_tasks))
    columns = columns[columns.any(axis=1)]
    costs = columns @ rng.normal(size=n_tasks) + rng.normal(size=len(columns)) * (0 if whole else 1)
    return columns, np.round(costs, 1) if whole else costs, rng.integers(1, 4, len(columns)).astype(float)


def check(columns, costs, most, found, value):
    assert (found.extents >= 0).all()
    assert (found.extents <= most).all()
    scale = np.abs(columns).max() * len(columns)
    assert_allclose(found.extents @ columns, 0, atol=1e-12 * scale, rtol=0)
    weight = np.abs(costs) @ most + 1e-300
    assert_allclose(found.value, value, atol=1e-7 * weight, rtol=0)
    assert_allclose(found.value, found.bound, atol=1e-9 * weight, rtol=0)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_value_is_that_of_the_plain_program_and_the_bound_is_met(seed, whole):
    rng = np.random.default_rng(seed)
    columns, costs, most = random_program(rng, int(rng.integers(1, 40)), int(rng.integers(1, 5)), whole)
    if len(columns):
        check(columns, costs, most, select(columns, costs, most), plain(columns, costs, most))


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_sifting_finds_the_same_value_from_any_sample(seed, whole):
    rng = np.random.default_rng(seed)
    columns, costs, most = random_program(rng, 300, 4, whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(selection, "_SMALL", 12)  # samples of 12, 30 and 300 columns
        found = select(columns, costs, most, seed=seed % 7)
    check(columns, costs, most, found, plain(columns, costs, most))
    assert found.rounds >= 3


def test_few_agents_are_between_the_ends_of_their_rays():
    rng = np.random.default_rng(0)
    columns, costs, most = random_program(rng, 5000, 6)
    found = select(columns, costs, most)
    between = (found.extents > 0) & (found.extents < most)
    assert between.sum() <= 6


@pytest.mark.parametrize("unit", [1e-9, 1e-3, 1e3, 1e9])
def test_units_of_tasks_costs_and_agents_do_not_matter(unit):
    rng = np.random.default_rng(1)
    columns, costs, most = random_program(rng, 200, 4)
    value = select(columns, costs, most).value
    tasks = np.array([unit, 1.0, 1.0 / unit, 1.0])
    assert_allclose(select(columns * tasks, costs, most).value, value, rtol=1e-9)
    assert_allclose(select(columns, costs * unit, most).value, value * unit, rtol=1e-9)
    agents = rng.choice([unit, 1.0], len(columns))
    found = select(columns * agents[:, None], costs * agents, most / agents)
    assert_allclose(found.value, value, rtol=1e-9)


def test_nothing_picked_nothing_moves():
    found = select(np.empty((0, 3)), np.empty(0), np.empty(0))
    assert found.value == found.bound == 0
    assert_allclose(found.prices, 0, rtol=0)
    alone = select(np.array([[1.0, -1.0]]), np.array([-5.0]), np.ones(1))
    assert_allclose(alone.extents, 0, rtol=0)
    assert_allclose(alone.bound, 0, atol=1e-12, rtol=0)


def test_identical_agents_everywhere():
    columns = np.vstack([np.tile([1.0, -1.0], (4000, 1)), np.tile([-1.0, 1.0], (3000, 1))])
    costs = np.concatenate([np.full(4000, -2.0), np.full(3000, 1.0)])
    found = select(columns, costs, np.ones(7000))
    assert_allclose(found.value, -3000, rtol=1e-12)
    assert_allclose(found.bound, -3000, rtol=1e-12)


@pytest.mark.slow
def test_a_hundred_thousand_agents_by_ten_tasks():
    rng = np.random.default_rng(2)
    n = 100_000
    endowment = rng.uniform(1, 8, (n, 10))
    takes = rng.random((n, 10)) < 0.35
    takes[:, 0] |= ~takes.any(axis=1)
    columns = np.where(takes, -endowment, endowment * rng.exponential(0.5, (n, 10)))
    costs = (columns * rng.uniform(0.5, 2, (n, 10))).sum(axis=1)
    found = select(columns, costs, np.ones(n))
    assert (found.value - found.bound) / abs(found.value) <= 1e-9
    assert_allclose(found.extents @ columns, 0, atol=1e-6, rtol=0)
