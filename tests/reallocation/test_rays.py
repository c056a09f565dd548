"""Polarization: closed form, definition, Lemma 5, parametrisation, extents."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from protocol_cases import random_polarized
from scipy.optimize import linprog

from fairlot.errors import InvalidProblemError
from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.obvious.parameters import RayParameters, ray_parameters
from fairlot.reallocation.obvious.rays import (
    conflicting_rays,
    full_extent,
    in_conflict,
    in_conflict_on_box,
    lemma5_value,
    rate_interval,
    ray_extents,
    shared_type,
)
from fairlot.verify.menus import polarization_check, polarization_residuals

small = st.integers(-3, 3).map(float)
pairs = st.integers(2, 5).flatmap(lambda n: arrays(float, (2, n), elements=small))


def gains_from_both(a, b):
    """Maximise the margin by which one type gains from both: a linear program."""
    n = len(a)
    result = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=[np.append(a, 1.0), np.append(b, 1.0)],
        b_ub=[0, 0],
        A_eq=[np.append(np.ones(n), 0.0)],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    return -result.fun


@given(pairs)
@settings(max_examples=200, deadline=None)
def test_conflict_is_a_type_that_gains_from_both(rays):
    a, b = rays
    margin = gains_from_both(a, b)
    assert bool(in_conflict(a, b)) == (margin > 1e-9)
    assert bool(in_conflict(b, a)) == bool(in_conflict(a, b))
    witness = shared_type(a, b)
    assert (witness is None) == (margin <= 1e-9)
    if witness is not None:
        assert (witness > 0).all()
        assert witness @ a < 0
        assert witness @ b < 0
        assert_allclose(witness.sum(), 1.0, rtol=1e-12)


@given(pairs)
@settings(max_examples=200, deadline=None)
def test_osp_definition_polarized_rays_closed_form_agrees_with_the_definition(rays):
    a, b = rays
    if (a >= 0).all() or (b >= 0).all():
        return
    residual = polarization_residuals(a[None], b[None])[0]
    assert bool(in_conflict(a, b)) == (residual > 1e-9)
    low, high = rate_interval(a, b)
    if not in_conflict(a, b):
        for rate in (low, high):
            assert (a + rate * b >= -1e-9).all()


@given(pairs)
@settings(max_examples=200, deadline=None)
def test_osp_lemma5_polarized_if_and_only_if_the_programs_are_not_negative(rays):
    a, b = rays
    if (a >= 0).all() or (b >= 0).all():
        return
    polarized = not in_conflict(a, b)
    assert polarized == (lemma5_value(a, b) >= -1e-9)
    assert polarized == (lemma5_value(b, a) >= -1e-9)


def test_reading_4_lemma5_fails_for_a_ray_that_takes_nothing_off():
    a, b = np.array([0.0, 1.0, 0.0]), np.array([1.0, 1.0, -1.0])
    assert polarization_residuals(a[None], b[None])[0] == 0  # y' = 1, y'' = 0
    assert not in_conflict(a, b)
    assert_allclose(lemma5_value(b, a), -1.0, rtol=1e-12)


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1.0, 1e3, 1e9])
def test_conflict_does_not_depend_on_the_scale_of_either_ray(factor):
    a, b = np.array([1.0, -1.5, 0.2]), np.array([-1.0, 1.0, 0.3])
    tie = np.array([-1.0, 1.5, 0.0])
    assert in_conflict(a * factor, b)
    assert in_conflict(a, b * factor)
    assert not in_conflict(np.array([1.0, -1.5, 0.0]) * factor, tie)


def test_osp_corollary2_at_most_one_ray_per_task():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n_tasks = int(rng.integers(2, 6))
        n_rays = int(rng.integers(1, n_tasks + 1))
        rays = random_polarized(rng, n_tasks, n_rays)
        gives = rays < 0
        assert gives.any(axis=1).all()
        assert (gives.sum(axis=0) <= 1).all()
        # a further ray must take off some task that nobody takes off yet; with n_tasks rays there is none
        full = random_polarized(rng, n_tasks, n_tasks)
        extra = rng.normal(size=n_tasks)
        extra[0] = -1.0
        assert in_conflict(extra, full).any()


def test_pairwise_is_enough_no_type_accepts_two_rays():
    rng = np.random.default_rng(1)
    for _ in range(200):
        n_tasks = int(rng.integers(3, 6))
        rays = random_polarized(rng, n_tasks, int(rng.integers(2, n_tasks + 1)))
        types = rng.dirichlet(np.full(n_tasks, 0.3), size=2000)
        assert ((types @ rays.T < -1e-12).sum(axis=1) <= 1).all()


def test_parametrisation_gives_polarized_menus_and_takes_any_back():
    rng = np.random.default_rng(2)
    for _ in range(300):
        n_tasks = int(rng.integers(2, 7))
        rays = random_polarized(rng, n_tasks, int(rng.integers(1, n_tasks + 1)))
        first, second = np.triu_indices(len(rays), 1)
        assert not in_conflict(rays[first], rays[second]).any()
        parameters = ray_parameters(rays)
        assert_allclose(parameters.changes, rays, rtol=0, atol=1e-9 * np.abs(rays).max())
        assert_allclose(parameters.gives, np.maximum(-rays, 0), rtol=0)


def test_parametrisation_refuses_what_is_not_polarized():
    with pytest.raises(InvalidProblemError, match="rays 0 and 1 are not polarized"):
        ray_parameters([[1, -1.5], [-1, 1]])
    with pytest.raises(InvalidProblemError, match="ray 0 takes nothing off"):
        ray_parameters([[1, 0], [-1, 1]])
    with pytest.raises(InvalidProblemError, match="r_kl r_lk = 1"):
        RayParameters(np.eye(2), np.full((2, 2), 2.0), np.zeros((2, 2)))
    with pytest.raises(InvalidProblemError, match="each task in one ray"):
        RayParameters(np.ones((2, 2)), np.ones((2, 2)), np.zeros((2, 2)))


@given(pairs, st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_reading_8_conflict_on_a_known_box_is_decided_exactly(rays, seed):
    a, b = rays
    rng = np.random.default_rng(seed)
    low = rng.uniform(0.1, 1.0, len(a))
    high = low + rng.uniform(0.0, 2.0, len(a))
    n = len(a)
    result = linprog(
        np.append(np.zeros(n), -1.0),
        A_ub=[np.append(a, 1.0), np.append(b, 1.0)],
        b_ub=[0, 0],
        bounds=[*zip(low, high, strict=True), (None, None)],
    )
    if abs(result.fun) > 1e-7:
        assert bool(in_conflict_on_box(a, b, low, high)) == (-result.fun > 0)
    if in_conflict_on_box(a, b, low, high):
        assert in_conflict(a, b)


def test_reading_8_a_known_box_admits_more_menus():
    a, b = np.array([-1.0, -1.0, 2.0]), np.array([1.0, -1.0, 0.2])
    assert in_conflict(a, b)
    assert not in_conflict_on_box(a, b, np.array([1.0, 1.0, 1.1]), np.array([1.2, 1.2, 1.3]))


def problem(**changes):
    given = {"status_quo": [[4.0, 2.0, 0.0], [1.0, 3.0, 5.0]], "costs": np.ones((2, 3))}
    return ReallocationProblem.from_arrays(**{**given, **changes}, beliefs=Beliefs.uniform(0.5, 1.5))


def test_reading_2_rays_are_cut_where_they_leave_the_orthant():
    ray = np.array([[-1.0, -1.0, 1.0]])
    assert_allclose(ray_extents(problem(), np.array([0]), ray), [2.0], rtol=0)
    assert_allclose(full_extent(problem(), np.array([0]), ray), [[-2, -2, 2]], rtol=0)
    with pytest.raises(ValueError, match="no full extent"):
        full_extent(problem(), np.array([0]), np.abs(ray))


def test_caps_and_forbidden_tasks_cut_rays_too():
    owner = np.array([1])
    ray = np.array([[1.0, 0.0, -0.5]])
    assert_allclose(ray_extents(problem(), owner, ray), [10.0], rtol=0)
    by_task = problem(caps=Caps(task_growth=0.25))
    assert_allclose(ray_extents(by_task, owner, ray), [0.25], rtol=0)
    by_load = problem(caps=Caps(load_growth=0.1))
    assert_allclose(ray_extents(by_load, owner, ray), [1.8], rtol=1e-12)
    barred = problem(status_quo=[[4, 2, 0], [0, 3, 5]], forbidden=[[False] * 3, [True, False, False]])
    assert_allclose(ray_extents(barred, owner, ray), [0.0], rtol=0)
    # a ray that does not grow the load is not cut by the cap on loads
    assert_allclose(ray_extents(by_load, owner, np.array([[1.0, 0.0, -1.0]])), [5.0], rtol=0)


def test_scaling_keeps_choices_and_polarization():
    rng = np.random.default_rng(3)
    rays = random_polarized(rng, 3, 2)
    endowed = ReallocationProblem.from_arrays(np.ones((1, 3)), np.ones((1, 3)), Beliefs.uniform(0.5, 1.5))
    scaled = full_extent(endowed, np.zeros(2, dtype=int), rays)
    assert not in_conflict(scaled[0], scaled[1])
    types = rng.dirichlet(np.ones(3), 500)
    assert ((types @ rays.T < 0) == (types @ scaled.T < 0)).all()
    assert_allclose((np.ones(3) + scaled).min(axis=1), 0, rtol=0, atol=1e-12)


def test_a_menu_that_is_not_polarized_is_found_by_both_roads():
    tasks = ("p", "q")
    good = Menu("a", (Ray("x", [1, -1]), Ray("y", [-1, 1.5])))
    bad = Menu("b", (Ray("x", [1, -1.5]), Ray("y", [-1, 1])))
    menus = Menus.of(("a", "b"), tasks, [good, bad])
    assert conflicting_rays(menus) == [(2, 3)]
    check = polarization_check(menus)
    assert not check.passed
    assert "agent 'b'" in check.witness
    fine = Menus.of(("a", "b"), tasks, [good])
    assert conflicting_rays(fine) == []
    assert polarization_check(fine).passed
