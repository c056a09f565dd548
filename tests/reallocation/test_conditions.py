"""Section 2 beyond the trades: Theorem 1 for any slack, Lemma 1 met, Corollary 1, Proposition 1."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import nnls

from fairlot.model.beliefs import Beliefs
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.value.conditions import improving_pair, lemma2_conditions, lemma3_trade, theorem1
from fairlot.reallocation.value.no_choice import best_without_choice, first_best, lemma1, lemma1_saving

SQUARE = Beliefs.uniform([0.5, 0.5], [1.5, 1.5])


@pytest.mark.parametrize("beta", [1.0, 1.05, 1.5, 4.0])
def test_osp_theorem1_iii_choice_improves_for_any_slack(beta):
    problem = ReallocationProblem.from_arrays([[1, 2], [2, 1]], [[1, 2], [2, 1]], SQUARE, beta=beta)
    found = theorem1(problem)
    assert found.applies
    assert found.improves is True
    assert found.optimal is (True if beta == 1 else None)  # with slack asking nobody may do as well


def test_osp_theorem1_i_identical_performance_leaves_nothing_even_to_who_knows_every_type():
    rng = np.random.default_rng(0)
    for _ in range(5):
        problem = ReallocationProblem.from_arrays(
            rng.uniform(1, 5, (4, 3)), np.tile(rng.uniform(1, 2, 3), (4, 1)), Beliefs.uniform(0.5, 1.5)
        )
        assert theorem1(problem).improves is False
        assert_allclose(first_best(problem, draws=2).saving, 0, rtol=0, atol=1e-9 * problem.status_quo_cost)


def test_osp_theorem1_without_common_support_choice_may_improve_and_not_be_optimal():
    # disjoint boxes: the better split is acceptable to everybody, whatever their types
    beliefs = Beliefs.uniform([[1.0, 3.0], [3.0, 1.0]], [[2.0, 4.0], [4.0, 2.0]])
    problem = ReallocationProblem.from_arrays([[4, 4], [4, 4]], [[1, 2], [2, 1]], beliefs)
    found = theorem1(problem)
    assert not found.common_support.holds
    assert (found.improves, found.optimal) == (None, None)
    ceiling = first_best(problem, draws=5).saving
    assert_allclose(best_without_choice(problem).saving, ceiling, rtol=1e-9)


@pytest.mark.parametrize("beta", [1.05, 1.2])
def test_osp_lemma1_holds_with_equality_where_every_constraint_binds(beta):
    problem = ReallocationProblem.from_arrays([[1, 1], [1, 1]], [[1, 2], [2, 1]], SQUARE, beta=beta)
    found = best_without_choice(problem)
    # each takes a more of what she is good at and gives b of the rest, 1.5 a = 0.5 b, a - b = -2 (β - 1)
    grown = beta - 1
    assert_allclose(found.allocation, np.array([[1, -1], [-1, 1]]) * (beta + grown - 1) + 1, rtol=1e-9)
    sides = lemma1(problem, found.allocation)
    assert_allclose(sides.left, sides.right, rtol=1e-9)
    assert_allclose(sides.right, 4 * 0.5 * grown, rtol=1e-9)
    assert_allclose(lemma1_saving(problem), found.saving, rtol=1e-9)


def test_osp_corollary1_choice_is_optimal_if_and_only_if_it_improves():
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(20):
        costs = rng.integers(1, 3, (2, 2)).astype(float)
        problem = ReallocationProblem.from_arrays(rng.uniform(1, 5, (2, 2)), costs, SQUARE)
        found = theorem1(problem)
        assert found.optimal == found.improves
        seen.add(found.improves)
    assert seen == {True, False}


def test_osp_corollary1_needs_a_common_box_of_full_dimension():
    flat = Beliefs.degenerate([1.0, 1.0])
    problem = ReallocationProblem.from_arrays([[2, 2], [2, 2]], [[1, 2], [2, 1]], flat)
    found = best_without_choice(problem)
    assert_allclose(found.allocation, [[4, 0], [0, 4]], rtol=0, atol=1e-9)
    assert_allclose(found.saving, 4, rtol=1e-9)


def test_osp_proposition1_one_pair_with_overlapping_boxes_is_enough():
    rng = np.random.default_rng(2)
    for _ in range(30):
        n_tasks = int(rng.integers(2, 5))
        low = np.vstack([rng.uniform(0.5, 1.0, (2, n_tasks)), rng.uniform(5, 6, (1, n_tasks))])
        high = low + np.vstack([rng.uniform(0.6, 1.0, (2, n_tasks)), np.full((1, n_tasks), 0.1)])
        problem = ReallocationProblem.from_arrays(
            rng.uniform(1, 5, (3, n_tasks)), rng.uniform(0.5, 2, (3, n_tasks)), Beliefs.uniform(low, high)
        )
        first, second, trade = improving_pair(problem)
        assert {first, second} == {0, 1}  # the third has no type in common with them
        assert all(lemma2_conditions(problem, first, second, trade).values())


def test_osp_proposition1_relaxed_the_tasks_that_a_pair_shares_are_enough():
    rng = np.random.default_rng(3)
    for _ in range(20):
        sigma = rng.uniform(1, 5, (2, 4))
        sigma[0, 0] = sigma[1, 3] = 0.0
        problem = ReallocationProblem.from_arrays(
            sigma, rng.uniform(0.5, 2, (2, 4)), Beliefs.uniform(0.5, 1.5)
        )
        assert not theorem1(problem).full_support.holds
        first, second, trade = improving_pair(problem)
        assert all(lemma2_conditions(problem, first, second, trade).values())
        assert trade[0] == trade[3] == 0


def in_cone(point, *generators):
    """Whether a point is a non-negative combination of the generators."""
    return nnls(np.array(generators).T, point)[1] <= 1e-9


def test_osp_lemma3_hulls_that_meet_only_in_0_give_a_trade():
    rng = np.random.default_rng(4)
    tried = 0
    for _ in range(100):
        n_tasks = int(rng.integers(2, 5))
        costs = rng.uniform(0, 2, (2, n_tasks))
        wanting, giving = rng.uniform(0.5, 1.5, (2, n_tasks))
        if in_cone(giving, costs[0] - costs[1], wanting):
            continue  # the hulls meet
        tried += 1
        beliefs = Beliefs.uniform(np.minimum(wanting, giving), np.maximum(wanting, giving))
        problem = ReallocationProblem.from_arrays(rng.uniform(1, 5, (2, n_tasks)), costs, beliefs)
        trade = lemma3_trade(problem, 0, 1)
        assert trade is not None
        assert all(lemma2_conditions(problem, 0, 1, trade).values())
        moved = problem.status_quo + np.array([trade, -trade])
        assert moved.min() >= 0
        assert moved.min() <= 1e-9  # as far as the status quo allows
    assert tried > 50
