"""Bounds on menus: kernels against NumPy, bounds against menus tried by force, caps, time, workers."""

import itertools
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support_cases import one_agent, random_menu

from fairlot.errors import NotSupportedError
from fairlot.model.beliefs import Beliefs
from fairlot.reallocation.support.bounds.boxes import box_bound, ray_worth
from fairlot.reallocation.support.bounds.known import best_known, polished
from fairlot.reallocation.support.bounds.partitions import SampleProgram, partitions, single_blocks
from fairlot.reallocation.support.bounds.rays import refine_ray
from fairlot.reallocation.support.bounds.sample import confidence_bound, first_best_gain, sample_bound
from fairlot.reallocation.support.smooth import menu_value
from fairlot.reallocation.support.support import support_function
from fairlot.reallocation.support.terms import Terms

UNIFORM = Beliefs.uniform(0.5, 1.5)
CAPS = [{}, {"load_growth": 0.2}, {"task_growth": 0.5}, {"load_growth": 0.3, "task_growth": 0.3}]


def program_of(terms: Terms, n_types: int, w: np.ndarray) -> tuple[SampleProgram, np.ndarray]:
    types = terms.types(n_types)
    return SampleProgram.of(terms, types, w), types


def worth_of(program: SampleProgram, ray: np.ndarray) -> float:
    load = np.empty(program.types.shape[1])
    return ray_worth(program.sample, ray, load)


@pytest.mark.parametrize("caps", CAPS)
def test_worth_of_a_ray_is_that_of_its_cut_at_full_extent(caps):
    rng = np.random.default_rng(0)
    terms = Terms.of(one_agent(UNIFORM, [1.0, 2.0, 1.0], **caps), 0)
    w = np.array([1.0, 0.8, 1.3])
    program, types = program_of(terms, 128, w)
    for _ in range(50):
        ray = random_menu(rng, terms.endowment)[:1]
        if not (ray > 0).any():
            continue
        ray = ray / (np.maximum(-ray, 0) / terms.endowment).max()
        assert_allclose(
            worth_of(program, ray[0] / program.counts), menu_value(types, terms.full(ray), w), atol=1e-12
        )


@pytest.mark.parametrize("caps", CAPS)
def test_no_ray_in_a_box_is_worth_more_than_its_bound(caps):
    rng = np.random.default_rng(1)
    terms = Terms.of(one_agent(UNIFORM, [1.0, 2.0, 1.0, 0.5], **caps), 0)
    for w in (np.ones(4), np.array([1.0, -0.5, 0.8, 0.3])):
        program, _ = program_of(terms, 64, w)
        for _ in range(100):
            centre = np.where(rng.random(4) < 0.5, -program.endowment, 1.0) * rng.random(4)
            low = centre - rng.exponential(0.1, 4)
            high = np.where(program.w > 0, centre + rng.exponential(0.1, 4), low)
            low = np.maximum(low, -program.endowment)
            high = np.maximum(high, low)
            inside = low + (high - low) * rng.random((60, 4))
            worths = [worth_of(program, ray) for ray in inside]
            threshold = float(rng.choice([0.0, np.median(worths)]))
            narrowed, point = low.copy(), np.zeros(4)
            bound, axis, here = box_bound(
                program.sample,
                narrowed,
                high,
                threshold,
                point,
                np.empty((9, 64)),
            )
            assert max(worths) <= max(bound, threshold) + 1e-12
            # what was cut off is worth no more than the threshold
            cut = (inside < narrowed).any(axis=1)
            assert (np.array(worths)[cut] <= threshold + 1e-12).all()
            if here > 0:
                assert_allclose(worth_of(program, point), here, rtol=1e-9)
            assert axis < 4


@pytest.mark.parametrize("caps", CAPS)
def test_boxes_of_a_ray_by_itself_cover_every_ray_that_is_worth_something(caps):
    rng = np.random.default_rng(5)
    terms = Terms.of(one_agent(UNIFORM, [1.0, 2.0, 1.0, 0.5], **caps), 0)
    for w in (np.ones(4), np.array([1.0, -0.5, 0.8, 1.3])):
        program, _ = program_of(terms, 64, w)
        for block, full in (((0, 2), 2), ((1,), 1), ((0, 1, 3), 0)):
            ray = refine_ray(program, (block, full), gap=0.1, deadline=np.inf)
            assert_allclose(worth_of(program, ray.point), ray.worth, rtol=1e-9)
            assert ray.worth <= ray.bound
            low, high = program.first_box(block, full)
            for kappa in low + (high - low) * rng.random((300, 4)) ** 3:
                inside = (ray.lows <= kappa).all(axis=1) & (kappa <= ray.highs).all(axis=1)
                assert worth_of(program, kappa) <= ray.bounds[inside].max(initial=0.0) + 1e-12
            late = refine_ray(program, (block, full), gap=0.1, deadline=0.0)
            assert late.bound >= ray.bound
            kept = ray.above(0.9 * ray.bound)
            assert (kept.bounds > 0.9 * ray.bound).all()
            assert len(kept.bounds) == (ray.bounds > 0.9 * ray.bound).sum()


def test_more_than_eight_tasks_are_bounded_by_the_first_best():
    terms = Terms.of(one_agent(UNIFORM, np.ones(9)), 0)
    types, w = terms.types(64), np.ones(9)
    menu = np.append(-np.ones(8), 12.0)[None]
    found = sample_bound(terms, types, w, [menu])
    assert not found.finished
    assert menu_value(types, menu, w) <= found.known <= found.bound
    assert_allclose(found.bound, first_best_gain(terms, types, w), rtol=1e-12)


def test_partitions_are_all_of_them():
    for n, bell in ((1, 1), (2, 2), (3, 5), (4, 15), (5, 52)):
        assert len(list(partitions(list(range(n))))) == bell - 1
        assert len(list(partitions(list(range(n)), 2))) == 2 ** (n - 1) - 1
    terms = Terms.of(one_agent(UNIFORM, np.ones(4)), 0)
    program, _ = program_of(terms, 16, np.array([1.0, -1.0, 1.0, 1.0]))
    assert all(1 in block for block in single_blocks(program))
    assert len(single_blocks(program)) == 7


def test_polishing_never_lowers_and_gives_polarized_rays():
    rng = np.random.default_rng(2)
    terms = Terms.of(one_agent(UNIFORM, np.ones(4), load_growth=0.5), 0)
    program, types = program_of(terms, 64, np.ones(4))
    for _ in range(20):
        menu = terms.full(random_menu(rng, terms.endowment))
        if not ((menu < 0).any(axis=1) & (menu > 0).any(axis=1)).all():
            continue
        worth, rays = polished(program, menu / program.counts, 500)
        assert worth >= menu_value(types, menu, np.ones(4)) - 1e-12
        assert menu_value(types, terms.full(rays * program.counts), np.ones(4)) >= worth - 1e-9


def by_force(terms: Terms, types: np.ndarray, w: np.ndarray, rng: np.random.Generator) -> float:
    """Try menus at random, and every exchange of two tasks on a grid of prices."""
    best = 0.0
    for _ in range(200):
        best = max(best, menu_value(types, terms.full(random_menu(rng, terms.endowment)), w))
    prices = np.geomspace(0.3, 3.0, 12)
    n = terms.n_tasks
    for gives, takes in itertools.permutations(range(n), 2):
        if terms.endowment[gives] > 0:
            rays = np.zeros((12, n))
            rays[:, gives], rays[:, takes] = -1.0, prices
            values = [menu_value(types, terms.full(ray[None]), w) for ray in rays]
            best = max(best, *values)
    return best


@pytest.mark.parametrize("caps", CAPS)
@pytest.mark.parametrize(
    ("seed", "instances"), [(3, 4), pytest.param(4, 16, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_no_menu_tried_by_force_beats_the_bound(caps, seed, instances):
    rng = np.random.default_rng(seed)
    finished = 0
    for _ in range(instances):
        n = int(rng.integers(2, 4))
        types = rng.uniform(0.3, 1.7, (8, 1, n))
        endowment = rng.choice([0.0, 0.5, 1.0, 2.0], n)
        endowment[rng.integers(n)] = 1.0
        terms = Terms.of(one_agent(Beliefs.from_samples(types), endowment, **caps), 0)
        scaled, w = terms.types(64), rng.normal(0.6, 0.6, n)
        found = sample_bound(terms, scaled, w, tolerance=0.02, time_limit=20.0)
        tried = by_force(terms, scaled, w, rng)
        assert tried <= found.bound * (1 + 1e-9) + 1e-12
        assert found.known <= found.bound * (1 + 1e-9) + 1e-12
        if found.finished:
            finished += 1
            least = 1e-6 * np.abs(w) @ terms.endowment
            assert found.bound <= max(found.known, least) * 1.02 * (1 + 1e-9)
    # one of eight types who is indifferent to two opposite rays counts for both in every cell, however small
    assert finished >= 0.75 * instances


def test_bound_of_three_tasks_is_within_one_percent_and_above_the_menu_found():
    problem = one_agent(UNIFORM, np.ones(3))
    terms = Terms.of(problem, 0)
    types, w = terms.types(512, 2), np.ones(3)
    menu = np.array([[-1, -1, 2.89696], [1 / 2.89696, 1.05440, -1]])
    found = sample_bound(terms, types, w, [menu], tolerance=0.01)
    assert found.finished
    assert menu_value(types, menu, w) <= found.known <= found.bound <= found.known * 1.0101
    assert_allclose(best_known(terms, types, w, [menu], 0), found.known, rtol=0.02)


@pytest.mark.slow
def test_bounds_do_not_depend_on_the_number_of_workers():
    terms = Terms.of(one_agent(UNIFORM, np.ones(3)), 0)
    one, two = (
        sample_bound(terms, terms.types(128), np.ones(3), tolerance=0.02, n_jobs=n_jobs) for n_jobs in (1, 2)
    )
    assert (one.bound, one.known, one.boxes) == (two.bound, two.known, two.boxes)


def test_95_percent_bound_of_a_continuous_belief_is_above_what_is_known():
    terms = Terms.of(one_agent(UNIFORM, np.ones(3)), 0)
    found = confidence_bound(terms, np.ones(3), n_types=128, scrambles=3, tolerance=0.03)
    assert found.finished
    assert found.bound > 0.2519
    assert found.bound < 0.35


def test_a_bound_that_ran_out_of_time_is_still_a_bound_but_not_certified():
    terms = Terms.of(one_agent(UNIFORM, np.ones(5)), 0)
    began = time.perf_counter()
    found = sample_bound(terms, terms.types(128), np.ones(5), tolerance=0.001, time_limit=0.0)
    assert not found.finished
    assert found.known <= found.bound
    assert np.isfinite(found.bound)
    assert time.perf_counter() - began < 600
    samples = Beliefs.from_samples(np.random.default_rng(0).uniform(0.5, 1.5, (64, 1, 5)))
    late = support_function(one_agent(samples, np.ones(5)), 0, np.ones(5), bound=True, time_limit=0.0)
    assert late.bound_kind == "not certified"
    assert late.upper_bound >= late.value


def test_a_sample_is_certified_on_itself():
    samples = Beliefs.from_samples(np.random.default_rng(0).uniform(0.5, 1.5, (40, 1, 3)))
    found = support_function(one_agent(samples, np.ones(3)), 0, [1.0, 0.8, 1.2], bound=True)
    assert found.bound_kind == "certified"
    assert found.value <= found.upper_bound
    assert found.standard_error == 0.0


def test_types_that_do_not_mind_a_task_are_refused():
    terms = Terms.of(one_agent(UNIFORM, np.ones(2)), 0)
    with pytest.raises(NotSupportedError, match="above 0"):
        sample_bound(terms, np.array([[1.0, 0.0], [0.5, 0.5]]), np.ones(2))
