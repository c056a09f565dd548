"""Two tasks exactly: numbers of the paper's program, grids, caps, and no price of obviousness."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from support_cases import one_agent

from fairlot.errors import NotSupportedError
from fairlot.model.beliefs import Beliefs
from fairlot.reallocation.support.acceptance import menu_acceptance
from fairlot.reallocation.support.bic import bic_benchmark
from fairlot.reallocation.support.bounds.sample import first_best_gain
from fairlot.reallocation.support.no_choice import remedial_gain
from fairlot.reallocation.support.support import support_function
from fairlot.reallocation.support.terms import Terms
from fairlot.reallocation.support.two_tasks import best_two_task_menu

UNIFORM = Beliefs.uniform(0.5, 1.5)


def test_osp_section4_two_uniform_tasks_of_equal_value():
    found = support_function(one_agent(UNIFORM), 0, [1, 1])
    assert_allclose(found.gain, 3 / 16, rtol=1e-9)
    assert_allclose(found.activation, 3 / 16, rtol=1e-5)
    assert_allclose(np.sort(found.menu.changes, axis=1), [[-1, 1.5], [-1, 1.5]], rtol=1e-4)
    assert found.bound_kind == "certified"
    assert_allclose(found.upper_bound, found.value, rtol=2e-5)


def test_osp_section4_one_task_of_negative_value():
    found = support_function(one_agent(UNIFORM), 0, [1, -0.2])
    assert_allclose(found.gain, 0.705536, atol=1e-6)
    assert_allclose(found.menu.changes, [[0.700426, -1.0]], atol=2e-5)
    assert found.kind == "menu"


def test_osp_section4_two_lognormal_tasks():
    found = support_function(one_agent(Beliefs.lognormal(1.0, 0.5)), 0, [1, 1])
    assert_allclose(found.gain, 0.327766, atol=1e-6)
    assert_allclose(found.menu.changes.max(), 1.92870, atol=1e-3)


def test_osp_section4_first_best_of_two_uniform_tasks():
    terms = Terms.of(one_agent(UNIFORM), 0)
    gain = first_best_gain(terms, terms.types(1 << 14), np.ones(2))
    assert_allclose(gain, (9 * np.log(3) - 8) / 4, rtol=1e-3)


@pytest.mark.parametrize(
    ("w", "caps"),
    [
        ((1.0, 1.0), {}),
        ((1.0, 1.0), {"load_growth": 0.1}),
        ((1.0, -0.4), {"task_growth": 0.3}),
        ((-0.2, 0.7), {"task_growth": 0.3, "load_growth": 0.2}),
        ((0.5, 1.5), {"load_growth": 0.2}),
    ],
)
def test_exact_menu_agrees_with_a_grid_of_prices(w, caps):
    terms = Terms.of(one_agent(Beliefs.uniform([0.5, 0.8], [1.5, 1.2]), (1.0, 2.0), **caps), 0)
    w = np.array(w)
    found = best_two_task_menu(terms, w)
    total = 0.0
    for gives in (0, 1):
        rays = np.zeros((600, 2))
        rays[:, gives], rays[:, 1 - gives] = -1.0, np.geomspace(0.05, 20.0, 600)
        rays = terms.full(rays)
        gains = menu_acceptance(terms.belief, rays).probabilities * (rays @ w)
        total += max(0.0, float(gains.max())) if w[1 - gives] > 0 else 0.0
    assert total <= found.bound + 1e-12
    assert total - 1e-9 <= found.gain <= total * 1.01 + 1e-9
    assert found.gain <= found.bound <= found.gain * (1 + 3e-5) + 1e-12


def test_osp_remark1_no_price_of_obviousness_for_two_tasks():
    rng = np.random.default_rng(0)
    for _ in range(40):
        n_types = int(rng.integers(2, 12))
        samples = rng.uniform(0.2, 2.0, (n_types, 1, 2))
        w = rng.normal(0.6, 0.6, 2)
        problem = one_agent(Beliefs.from_samples(samples), rng.uniform(0.5, 2.0, 2))
        terms = Terms.of(problem, 0)
        ours = max(best_two_task_menu(terms, w).gain, remedial_gain(terms, w))
        best = bic_benchmark(terms, terms.types(4096), w)
        assert best.violation <= 1e-6
        assert_allclose(best.gain, ours, rtol=1e-5, atol=1e-6)


def test_bic_benchmark_is_above_the_best_menu_and_below_the_first_best():
    terms = Terms.of(one_agent(UNIFORM, np.ones(3)), 0)
    types = terms.types(128)
    best = bic_benchmark(terms, types, np.ones(3))
    assert best.violation <= 1e-6
    assert 0.25 < best.gain < first_best_gain(terms, types, np.ones(3))
    loads = np.einsum("ti,ti->t", types, best.assignments)
    assert (loads <= types @ terms.endowment + 1e-6).all()


def test_the_exact_method_says_where_it_does_not_apply():
    with pytest.raises(NotSupportedError, match="two tasks"):
        support_function(one_agent(UNIFORM, np.ones(3)), 0, np.ones(3), method="exact")
    with pytest.raises(NotSupportedError, match="two tasks"):
        support_function(one_agent(Beliefs.beta(0.5, 1.5, 2.0, 2.0)), 0, [1, 1], method="exact")
