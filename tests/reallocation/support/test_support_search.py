"""The smoothed value and its slopes, the search, the pricer, and what needs no asking."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime, linprog
from scipy.special import expit
from support_cases import one_agent, random_menu

from fairlot.errors import InvalidProblemError
from fairlot.model.beliefs import Beliefs
from fairlot.reallocation.obvious.rays import in_conflict, ray_extents
from fairlot.reallocation.support.acceptance import menu_acceptance
from fairlot.reallocation.support.no_choice import no_choice_change
from fairlot.reallocation.support.pricing import Pricer, parameters_of
from fairlot.reallocation.support.search import best_menu, neighbour, rough_start, structured_blocks
from fairlot.reallocation.support.smooth import Climber, menu_value
from fairlot.reallocation.support.support import support_function
from fairlot.reallocation.support.terms import Terms
from fairlot.verify.menus import polarization_residuals

UNIFORM = Beliefs.uniform(0.5, 1.5)
LOGNORMAL = Beliefs.lognormal(1.0, 0.5)


def polarized(rays) -> bool:
    return not any(in_conflict(rays[k], rays[m]) for k in range(len(rays)) for m in range(k))


@pytest.mark.parametrize("capped", [False, True])
def test_smoothed_value_agrees_with_plain_numpy_and_its_slopes_with_differences(capped):
    rng = np.random.default_rng(1)
    caps = {"load_growth": 0.2, "task_growth": 0.5} if capped else {}
    terms = Terms.of(one_agent(UNIFORM, [1.0, 2.0, 0.5, 1.0], **caps), 0)
    w = np.array([1.0, 0.7, -0.3, 1.4])
    climber = Climber(terms, terms.types(64), w)
    for blocks in [((0, 2),), ((0,), (1, 2)), ((0,), (1,), (2, 3))]:
        shape = climber.shape(blocks)
        x = rough_start(climber, blocks, rng)
        x = x + 0.05 * rng.random(len(x))
        value, slopes = climber.smoothed(x, shape, 0.05)
        rays = climber.directions(shape, x)
        expected = 0.0
        for ray in rays:
            used = [1.0, max(ray.sum(), 0.0) / terms.load_room, *(np.maximum(ray, 0.0) / terms.room)]
            extent = np.sum(np.array(used) ** 16.0) ** (-1 / 16.0) if capped else 1.0
            expected += expit(-(climber.types @ ray) / 0.05).mean() * (w @ ray) * extent
        assert_allclose(value, expected, rtol=1e-9)
        differences = approx_fprime(x, lambda z, s=shape: climber.smoothed(z, s, 0.05)[0], 1e-7)
        assert_allclose(slopes, differences, rtol=2e-4, atol=2e-5)


def test_every_choice_of_parameters_is_polarized_and_is_found_again():
    rng = np.random.default_rng(2)
    terms = Terms.of(one_agent(UNIFORM, np.ones(5)), 0)
    climber = Climber(terms, terms.types(64), np.ones(5))
    for _ in range(100):
        menu = random_menu(rng, terms.endowment)
        rays = terms.full(menu)
        assert len(rays) == len(menu)
        assert polarized(rays)
        located = parameters_of(climber, rays)
        if located is None:
            assert not ((rays < 0).any(axis=1) & (rays > 0).any(axis=1)).all()
            continue
        blocks, x = located
        again = terms.full(climber.directions(climber.shape(blocks), x))
        assert_allclose(again, rays, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("belief", "w"), [(UNIFORM, [1, 1, 1, 1]), (LOGNORMAL, [1.0, 0.4, -0.3, 0.8]), (UNIFORM, [-1, 0.5, 1, 2])]
)
def test_menus_found_are_polarized_within_caps_and_scored_out_of_sample(belief, w):
    problem = one_agent(belief, [1.0, 2.0, 0.0, 1.0], load_growth=0.3)
    found = support_function(problem, "agent1", w, method="search")
    assert found.certificate.passed, found.certificate.failed
    rays = found.menu.changes.reshape(-1, 4)
    assert_allclose(found.value, np.dot(w, problem.endowment[0]) + found.gain, rtol=1e-12)
    assert found.interval[0] <= found.gain <= found.interval[1]
    if found.kind == "menu":
        extents = ray_extents(problem, np.zeros(len(rays), dtype=np.int64), rays)
        assert_allclose(extents, 1.0, rtol=1e-9)
        types = Terms.of(problem, 0).types(1 << 15, seed=123)
        assert_allclose(menu_value(types, rays, found.w), found.gain, rtol=0.02)


@pytest.mark.parametrize(
    ("n_tasks", "belief", "gain"), [(3, UNIFORM, 0.2519), (5, UNIFORM, 0.413), (5, LOGNORMAL, 0.731)]
)
def test_osp_section4_gains_of_prototypes_are_reached_out_of_sample(n_tasks, belief, gain):
    found = support_function(one_agent(belief, np.ones(n_tasks)), 0, np.ones(n_tasks))
    assert found.interval[1] >= gain * 0.997
    assert found.certificate.passed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("n_tasks", "belief", "gain"),
    [(8, UNIFORM, 0.666), (8, LOGNORMAL, 1.166), (12, UNIFORM, 1.006), (12, LOGNORMAL, 1.748)],
)
def test_osp_section4_gains_of_prototypes_with_many_tasks(n_tasks, belief, gain):
    found = support_function(one_agent(belief, np.ones(n_tasks)), 0, np.ones(n_tasks))
    assert found.gain >= gain * 0.997


def test_search_is_repeatable_and_starts_are_never_lost():
    terms = Terms.of(one_agent(UNIFORM, np.ones(3)), 0)
    first, second = (best_menu(terms, np.ones(3), seed=4)[0][0] for _ in range(2))
    assert_allclose(first.changes, second.changes, rtol=0, atol=0)
    best = np.array([[-1, -1, 2.89696], [1 / 2.89696, 1.05440, -1]])
    again, _ = best_menu(terms, np.ones(3), seed=4, start=[best], time_limit=0.0)
    assert again[0].value >= menu_value(terms.types(8192, 4), best, np.ones(3)) - 1e-12


def test_pricer_is_never_worse_than_its_starts_on_its_sample():
    rng = np.random.default_rng(3)
    problem = one_agent(LOGNORMAL, [1.0, 2.0, 1.0, 0.5], load_growth=0.2, task_growth=0.25)
    pricer = Pricer.of(problem, 0, n_types=512)
    w = np.array([1.0, 0.6, 1.2, 0.9])
    found = pricer.best(w)
    for _ in range(5):
        w = w + rng.normal(0, 0.05, 4)
        before = menu_value(pricer.types, found.rays, w)
        found = pricer.best(w, start=[found.rays])
        assert found.gain >= before - 1e-12
        assert polarized(found.rays)
        assert_allclose(found.value - found.gain, w @ problem.endowment[0], rtol=1e-9)
        assert_allclose(found.acceptance @ (found.rays @ w), found.gain, rtol=1e-9)
        assert_allclose(pricer.acceptance(found.rays), found.acceptance, atol=0.05)


def test_blocks_stay_disjoint_and_leave_closed_tasks_to_single_rays():
    rng = np.random.default_rng(5)
    problem = one_agent(UNIFORM, [1.0, 1.0, 0.0, 1.0, 2.0], task_growth=0.5)
    problem_terms = Terms.of(problem, 0)
    assert problem_terms.closed.tolist() == [False, False, True, False, False]
    blocks = structured_blocks(problem_terms, np.ones(5), rng)
    for start in blocks:
        step = start
        for _ in range(20):
            step = neighbour(step, problem_terms, rng) or start
            tasks = [i for block in step for i in block]
            assert len(tasks) == len(set(tasks))
            assert all(step)
            assert 2 not in tasks


def test_values_of_nothing_give_the_remedial_set():
    found = support_function(one_agent(UNIFORM, [1.0, 2.0, 3.0]), 0, [-1, -2, -0.5])
    assert found.kind == "remedial"
    assert found.menu.remedial
    assert_allclose(found.gain, 1 + 4 + 1.5, rtol=1e-12)
    assert_allclose(found.value, 0.0, atol=1e-12)
    assert found.certificate.passed
    nothing = support_function(one_agent(UNIFORM, [0.0, 0.0]), 0, [1, 2])
    assert (nothing.gain, nothing.menu.rays) == (0.0, ())
    assert nothing.certificate.passed


def test_what_needs_no_asking_is_the_linear_program():
    low, high = np.array([0.5, 1.0, 0.8]), np.array([1.0, 1.2, 2.0])
    terms = Terms.of(one_agent(Beliefs.uniform(low, high), [1.0, 2.0, 1.0]), 0)
    w = np.array([1.0, -0.2, 0.3])
    change = no_choice_change(terms, w)
    best = linprog(
        np.concatenate([-w, w]),
        A_ub=[np.concatenate([high, -low])],
        b_ub=[0.0],
        bounds=[(0, None)] * 3 + [(0, e) for e in terms.endowment],
    )
    assert_allclose(w @ change, -best.fun, rtol=1e-8)
    degenerate = support_function(one_agent(Beliefs.degenerate([1.0, 1.0, 1.0]), np.ones(3)), 0, [1, 2, 3])
    assert degenerate.kind == "no-choice"
    assert_allclose(degenerate.gain, 3.0, rtol=1e-6)  # all of it for task 3
    assert degenerate.certificate.passed


def test_osp_proposition2_is_refused_where_no_best_menu_need_exist():
    for belief in (Beliefs.uniform(0.0, 1.0), Beliefs.beta(0.0, 1.0, 0.5, 0.5)):
        with pytest.raises(InvalidProblemError, match="infinite"):
            support_function(one_agent(belief, [1.0, 1.0]), 0, [1, 1])
    capped = one_agent(Beliefs.beta(0.0, 1.0, 0.5, 0.5), [1.0, 1.0], task_growth=0.5)
    assert support_function(capped, 0, [1, 1]).gain > 0
    endless = support_function(one_agent(Beliefs.lognormal(1.0, 1.0), [1.0, 1.0]), 0, [1, 1])
    assert endless.certificate.passed


def test_wrong_arguments_are_told():
    problem = one_agent(UNIFORM, [1.0, 1.0])
    for arguments, message in (
        (("nobody", [1, 1]), "agent"),
        ((5, [1, 1]), "agent"),
        ((0, [1, 1, 1]), "shape"),
        ((0, [np.nan, 1]), "finite"),
    ):
        with pytest.raises(InvalidProblemError, match=message):
            support_function(problem, *arguments)
    with pytest.raises(InvalidProblemError, match="method"):
        support_function(problem, 0, [1, 1], method="none")


@pytest.mark.parametrize(
    "belief",
    [UNIFORM, LOGNORMAL, Beliefs.beta(0.5, 2.0, 2.0, 3.0), Beliefs.triangular(0.5, 2.0, 1.0)],
)
def test_acceptance_agrees_with_counting(belief):
    rng = np.random.default_rng(6)
    spread = belief.broadcast((1, 3))
    rays = random_menu(rng, np.ones(3))
    found = menu_acceptance(spread, rays)
    types = spread.types(rng.random((1 << 17, 1, 3)))[:, 0]
    assert_allclose(found.probabilities, (types @ rays.T < 0).mean(axis=0), atol=0.006)
    mean, error, low, high = found.interval(np.ones(len(rays)))
    assert low <= mean <= high
    assert error < 1e-3


def test_rays_of_menus_are_polarized_by_the_definition():
    found = support_function(one_agent(UNIFORM, np.ones(4)), 0, [1.0, 0.9, 1.1, 1.0])
    rays = found.menu.changes
    for k in range(len(rays)):
        for m in range(k):
            assert polarization_residuals(rays[[k]], rays[[m]])[0] <= 1e-9
