"""Menus by method: two prices held to a direct minimisation, the design's numbers, the demonstration."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from fairlot.errors import InvalidProblemError
from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation import two_price
from fairlot.reallocation.design import design_menus
from fairlot.reallocation.obvious.rays import conflicting_rays
from fairlot.reallocation.outcome import reallocate
from fairlot.reallocation.simulation import simulate
from fairlot.reallocation.two_price import best_two_price, two_price_design
from fairlot.reallocation.value.no_choice import best_without_choice, first_best

SQUARE = Beliefs.uniform([0.5, 0.5], [1.5, 1.5])


def beside_willing_neighbours(w):
    """Make a market in which a saving is what agent 1 gains at values w: the others take any swap.

    Agent 2 hardly minds task 2, agent 3 hardly minds task 1, and neither costs the designer anything.
    """
    easy = 1e-9
    low = np.array([[0.5, 0.5], [1.0, easy], [easy, 1.0]])
    high = np.array([[1.5, 1.5], [1.0, easy], [easy, 1.0]])
    return ReallocationProblem.from_arrays(
        [[1.0, 1.0], [50.0, 50.0], [50.0, 50.0]],
        [[-w[0], -w[1]], [0.0, 0.0], [0.0, 0.0]],
        Beliefs.uniform(low, high),
    )


def test_numbers_no_choice_eight_fifteenths_and_remedial_a_fifth():
    problem = beside_willing_neighbours((1.0, -0.2))
    assert_allclose(best_without_choice(problem).saving, 8 / 15, rtol=1e-6)
    menus = Menus.of(
        problem.agents,
        problem.tasks,
        [
            Menu("agent1", (Ray("less", [-1, -1]),)),
            Menu("agent2", (Ray("a", [-1e-6, 1.0]),)),
            Menu("agent3", (Ray("a", [1e-6, -1e-6]),)),
        ],
    )
    found = reallocate(problem, menus, {"agent1": "less", "agent2": "a", "agent3": "a"})
    assert_allclose(found.saving, 0.2, atol=1e-5, rtol=0)


def test_numbers_first_best_of_the_square():
    found = first_best(beside_willing_neighbours((1.0, 1.0)), draws=800, seed=1)
    expected = (9 * np.log(3) - 8) / 4
    assert_allclose(expected, 0.471878, atol=1e-6, rtol=0)
    assert abs(found.saving - expected) < 4 * found.standard_error
    assert found.standard_error < 0.03


def test_reading_3_costs_near_zero_are_told_by_the_family():
    for beliefs, infinite in ((Beliefs.beta(0, 1, 0.5, 0.5), True), (Beliefs.lognormal(1.0, 0.5), False)):
        problem = ReallocationProblem.from_arrays(np.ones((2, 2)), np.ones((2, 2)), beliefs)
        assert problem.beliefs.infinite_reciprocal_pairs.all() == infinite


# ---- two prices --------------------------------------------------------------------------------------------


def random_problem(rng, n_agents=4, n_tasks=3, **changes):
    return ReallocationProblem.from_arrays(
        rng.integers(1, 9, (n_agents, n_tasks)).astype(float),
        rng.uniform(0.5, 2.0, (n_agents, n_tasks)),
        Beliefs.uniform(0.5, 1.5),
        **changes,
    )


def support_gains(problem, offers, prices):
    """Evaluate every agent's best gain over polarized pairs of offers, by trying all."""
    total = 0.0
    for row, j in enumerate(offers.agents):
        gains = offers.moves[row] @ (prices - problem.costs[j]) * offers.chances[row]
        take, shed = np.maximum(gains[0], 0), np.maximum(gains[1], 0)
        pairs = [take[k] + shed[m] for k in range(take.size) for m in range(k + 1)]
        total += problem.sizes[j] * max(pairs)
    return total


def test_two_price_program_is_the_least_sum_of_support_functions(monkeypatch):
    monkeypatch.setattr(two_price, "_GRID", 8)
    rng = np.random.default_rng(0)
    for _ in range(4):
        problem = random_problem(rng, n_tasks=2, sizes=rng.integers(1, 3, 4))
        in_a = np.array([True, False])
        offers = two_price._offers(problem, in_a, 0)
        prices, saving = two_price._large_market(problem, offers)
        assert_allclose(support_gains(problem, offers, prices), saving, rtol=1e-6, atol=1e-9)
        start = problem.costs.mean(axis=0)
        found = minimize(
            lambda p, problem=problem, offers=offers: support_gains(problem, offers, p),
            start,
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-9, "maxiter": 600},
        )
        assert saving <= found.fun + 1e-9
        assert_allclose(saving, found.fun, rtol=1e-3)


def test_numbers_both_offers_of_the_square_are_worth_three_sixteenths(monkeypatch):
    monkeypatch.setattr(two_price, "_GRID", 200)
    problem = ReallocationProblem.from_arrays(np.ones((2, 2)), [[0.0, 1.0], [1.0, 0.0]], SQUARE)
    offers = two_price._offers(problem, np.array([True, False]), 0)
    gains = offers.moves[0] @ np.ones(2) * offers.chances[0]
    assert_allclose(gains[0].max() + gains[1].max(), 3 / 16, rtol=5e-3)
    assert_allclose(offers.rates[0, gains[0].argmax()], 3 / 2, rtol=0.05)
    assert_allclose(offers.rates[0, gains[1].argmax()], 2 / 3, rtol=0.05)


def test_two_price_menus_are_always_polarized_and_worth_their_value_in_expectation():
    rng = np.random.default_rng(1)
    for n_tasks in (2, 3, 6):
        problem = random_problem(rng, n_agents=6, n_tasks=n_tasks, caps=Caps(task_growth=1.0))
        design = best_two_price(problem)
        if design is not None:
            menus = design.menus(problem)
            assert conflicting_rays(menus) == []
            many = simulate(problem, menus, draws=10, replicas=100).mean
            assert many <= design.saving * 1.05
    assert two_price_design(problem, np.zeros(6, dtype=bool)).saving == 0


def test_two_prices_beat_trades_of_pairs_where_there_are_two_tasks():
    problem = random_problem(np.random.default_rng(2), n_agents=12, n_tasks=2)
    two = design_menus(problem, method="two-price", draws=60)
    pairs = design_menus(problem, method="bilateral", draws=60)
    assert two.certificate.passed
    assert pairs.certificate.passed
    assert two.expected_saving > 0
    assert pairs.expected_saving >= pairs.bilateral_saving - 3 * pairs.simulation.standard_error
    summary = two.to_dict()
    assert summary["expected_saving_interval"][0] < summary["expected_saving"]
    assert summary["expected_saving"] < summary["bound"]
    assert summary["large_market_saving"] > 0


def test_a_method_that_is_not_there_is_refused():
    with pytest.raises(InvalidProblemError, match="method: found 'best', expected bilateral or two-price"):
        design_menus(random_problem(np.random.default_rng(3)), method="best")


@pytest.mark.parametrize("method", ["bilateral", "two-price"])
def test_identical_agents_get_no_menus(method):
    problem = ReallocationProblem.from_arrays(np.ones((3, 2)), [[1.0, 2.0]] * 3, SQUARE)
    found = design_menus(problem, method=method, draws=5)
    assert found.menus.n_rays == 0
    assert found.expected_saving == 0


# ---- the demonstration -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_numbers_a_demonstration_of_doctors():
    """40 groups of doctors × 6 case types, 35 to 55 cases each, lognormal beliefs, capped loads."""
    rng = np.random.default_rng(4)
    loads = rng.uniform(35, 55, 40)
    problem = ReallocationProblem.from_arrays(
        rng.dirichlet(np.full(6, 4.0), 40) * loads[:, None],
        rng.lognormal(0.0, 0.35, (40, 6)),
        Beliefs.lognormal(1.0, 0.45),
        caps=Caps(load_growth=0.2),
    )
    found = design_menus(problem, draws=60)
    total = problem.status_quo_cost
    assert_allclose(found.no_choice.saving, 0, atol=1e-6)
    assert found.bilateral_saving > 0.03 * total
    assert found.expected_saving > found.bilateral_saving
    assert found.simulation.savings.min() >= 0
    assert found.simulation.load_changes.mean() < -0.01
    many = simulate(problem, found.menus, draws=10, replicas=100)
    assert many.mean > found.expected_saving
    wrong = ReallocationProblem.from_arrays(
        problem.status_quo, problem.costs, Beliefs.uniform(0.01, 5.0), caps=problem.caps
    )
    assert simulate(wrong, found.menus, draws=30).savings.min() >= 0
