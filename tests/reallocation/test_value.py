"""Section 2: is choice worth it? Theorem 1, Lemmas 1 to 3, Corollary 1, Proposition 1, and the trades."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from scipy.stats import norm

from fairlot.errors import NotSupportedError
from fairlot.model.beliefs import Beliefs
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.obvious.dominance import is_obviously_strategy_proof
from fairlot.reallocation.obvious.mechanisms import bilateral_mechanism
from fairlot.reallocation.obvious.rays import conflicting_rays
from fairlot.reallocation.value import bilateral
from fairlot.reallocation.value.acceptance import acceptance, uniform_probability
from fairlot.reallocation.value.bilateral import (
    BilateralTrade,
    best_bilateral_trades,
    bilateral_menus,
    disjoint_pairs,
    score_trades,
    trade_bounds,
)
from fairlot.reallocation.value.choice import value_of_choice
from fairlot.reallocation.value.conditions import improving_pair, lemma2_conditions, lemma3_trade, theorem1
from fairlot.reallocation.value.no_choice import best_without_choice, first_best, lemma1, lemma1_saving

SQUARE = Beliefs.uniform([0.5, 0.5], [1.5, 1.5])


def random_problem(rng, n_agents=4, n_tasks=3, beliefs=None, **changes):
    return ReallocationProblem.from_arrays(
        rng.integers(1, 9, (n_agents, n_tasks)).astype(float),
        rng.uniform(0.5, 2.0, (n_agents, n_tasks)),
        Beliefs.uniform(0.5, 1.5) if beliefs is None else beliefs,
        **changes,
    )


# ---- how likely a ray is picked: the numbers of the design -------------------------------------------------


def probability(beliefs, change):
    shaped = beliefs.broadcast((1, len(change)))
    return float(acceptance(shaped, np.array([0]), np.array([change], dtype=float))[0])


def test_numbers_square_both_rays_at_three_halves():
    assert_allclose(probability(SQUARE, [1.5, -1]), 3 / 16, rtol=1e-12)
    assert_allclose(probability(SQUARE, [-1, 1.5]), 3 / 16, rtol=1e-12)
    gain = minimize_scalar(
        lambda t: -2 * (t - 1) * probability(SQUARE, [t, -1]), bounds=(1, 3), method="bounded"
    )
    assert_allclose([gain.x, -gain.fun], [1.5, 3 / 16], rtol=1e-6)
    for t in (1.0, 1.3, 2.0, 2.9):
        assert_allclose(probability(SQUARE, [t, -1]), (3 - t) ** 2 / (8 * t), rtol=1e-10)


def test_numbers_square_with_one_task_unwanted():
    gain = minimize_scalar(
        lambda t: -(t + 0.2) * probability(SQUARE, [t, -1]),
        bounds=(0.34, 1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert_allclose([gain.x, -gain.fun], [0.700426, 0.705536], atol=1e-6, rtol=0)


def test_numbers_lognormal_pair():
    lognormal = Beliefs.lognormal([1.0, 1.0], 0.5)
    t = 1.92870
    exact = norm.sf(np.log(t) / (0.5 * np.sqrt(2)))
    assert_allclose(probability(lognormal, [t, -1]), exact, rtol=2e-4)
    assert_allclose(2 * (t - 1) * probability(lognormal, [t, -1]), 0.327766, rtol=2e-4)
    for other in (1.9, 1.95):
        assert (other - 1) * probability(lognormal, [other, -1]) < (t - 1) * exact


def test_numbers_three_tasks():
    cube = Beliefs.uniform([0.5] * 3, [1.5] * 3)
    assert_allclose(probability(cube, [-1, 1, 1]), 1 / 48, rtol=1e-10)
    assert_allclose(probability(cube, [-1, -1, 2.88166]), 0.198999, atol=1e-6, rtol=0)
    assert_allclose(0.88166 * probability(cube, [-1, -1, 2.88166]), 0.175450, atol=1e-6, rtol=0)
    b, x = 2.89696, 1.05440
    two = [(np.array([-1, -1, b]), b - 2), (np.array([1 / b, x, -1]), 1 / b + x - 1)]
    assert_allclose(sum(probability(cube, ray) * w for ray, w in two), 0.2519365, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("n", "b", "gain"),
    [
        (2, 1.5, 0.09375),
        (3, 2.88166, 0.17545),
        (5, 5.67657, 0.34413),
        (8, 9.90375, 0.600648),
        (12, 15.55686, 0.943663),
    ],
)
def test_numbers_all_the_rest_for_one_task(n, b, gain):
    ray = np.append(-np.ones(n - 1), b)
    cube = Beliefs.uniform([0.5] * n, [1.5] * n)
    assert_allclose((b - n + 1) * probability(cube, ray), gain, rtol=2e-5)


def test_uniform_probability_against_draws_and_at_its_edges():
    rng = np.random.default_rng(0)
    for _ in range(20):
        n = int(rng.integers(1, 6))
        low = rng.uniform(0, 1, n)
        high = low + rng.uniform(0, 2, n) * (rng.random(n) < 0.8)
        change = rng.normal(size=n)
        drawn = (rng.uniform(low, high, (40_000, n)) @ change < 0).mean()
        assert_allclose(uniform_probability(change, low, high), drawn, atol=0.012, rtol=0)
    ones = np.ones(2)
    assert uniform_probability(np.array([1.0, -1.0]), ones, ones) == 0  # a tie is not a gain
    assert uniform_probability(np.array([1.0, -1.1]), ones, ones) == 1
    assert uniform_probability(-ones, ones, 2 * ones) == 1
    # a task that hardly matters would cost the digits: left to the sequence
    assert uniform_probability(np.array([1.0, -1.2, 1e-9, 1e-9]), 0.5 * np.ones(4), 1.5 * np.ones(4)) is None
    assert_allclose(
        probability(Beliefs.uniform([0.5] * 4, [1.5] * 4), [1.0, -1.2, 1e-9, 1e-9]),
        probability(Beliefs.uniform([0.5] * 4, [1.5] * 4), [1.0, -1.2, 0, 0]),
        atol=1e-5,
        rtol=0,
    )


def test_reading_5_ties_are_not_accepted_and_samples_are_counted():
    samples = Beliefs.from_samples([[[1.0, 1.0]], [[1.0, 2.0]], [[2.0, 1.0]], [[3.0, 1.0]]])
    assert probability(samples, [1, -1]) == 0.25
    assert probability(samples, [-1, 1]) == 0.5


# ---- without choice ---------------------------------------------------------------------------------------


def acceptable(problem, allocation):
    """Whether every corner of every box accepts."""
    for j in range(problem.n_agents):
        box = zip(problem.beliefs.low[j], problem.beliefs.high[j], strict=True)
        for corner in itertools.product(*box):
            limit = problem.beta[j] * np.dot(corner, problem.status_quo[j])
            if np.dot(corner, allocation[j]) > limit * (1 + 1e-9) + 1e-9:
                return False
    return True


def test_osp_corollary1_without_slack_only_the_status_quo_is_acceptable():
    rng = np.random.default_rng(1)
    for _ in range(20):
        low = rng.uniform(0.2, 1.0, (4, 3))
        beliefs = Beliefs.uniform(low, 1.0 + rng.uniform(0.1, 1.0, (4, 3)))  # all hold a box above (1, 1, 1)
        problem = random_problem(rng, beliefs=beliefs)
        found = best_without_choice(problem)
        assert_allclose(found.allocation, problem.status_quo, atol=1e-7, rtol=0)
        assert_allclose(found.saving, 0, atol=1e-7, rtol=0)


def test_osp_lemma1_holds_at_every_acceptable_allocation():
    rng = np.random.default_rng(2)
    for _ in range(30):
        beta = rng.uniform(1.0, 1.3, 4)
        problem = random_problem(rng, beta=beta, sizes=rng.integers(1, 4, 4))
        found = best_without_choice(problem)
        assert acceptable(problem, found.allocation)
        assert_allclose(problem.sizes @ found.allocation, problem.counts, rtol=1e-9)
        sides = lemma1(problem, found.allocation)
        assert sides.applies
        assert sides.left <= sides.right * (1 + 1e-9) + 1e-9
        assert lemma1_saving(problem) >= found.saving - 1e-7
        mixed = 0.5 * found.allocation + 0.5 * problem.status_quo
        assert acceptable(problem, mixed)
        sides = lemma1(problem, mixed)
        assert sides.left <= sides.right * (1 + 1e-9) + 1e-9


def test_osp_lemma1_needs_a_common_point_and_disjoint_boxes_can_save_without_choice():
    beliefs = Beliefs.uniform([[1.0, 3.0], [3.0, 1.0]], [[2.0, 4.0], [4.0, 2.0]])
    problem = ReallocationProblem.from_arrays([[4, 4], [4, 4]], [[1, 2], [2, 1]], beliefs)
    found = best_without_choice(problem)
    assert acceptable(problem, found.allocation)
    assert found.saving > 0.2 * problem.status_quo_cost
    assert not lemma1(problem, found.allocation).applies
    assert lemma1_saving(problem) is None


def test_the_program_without_choice_is_not_beaten_by_random_acceptable_allocations():
    rng = np.random.default_rng(3)
    problem = random_problem(rng, n_agents=3, beta=1.2)
    found = best_without_choice(problem)
    better = 0
    for _ in range(2000):
        shares = rng.dirichlet(np.ones(3), size=3).T
        mix = rng.random()
        tried = mix * problem.status_quo + (1 - mix) * shares * problem.counts
        if acceptable(problem, tried):
            better += (problem.costs * tried).sum() < found.cost - 1e-6
    assert better == 0


def test_caps_bind_without_choice_and_in_the_first_best():
    rng = np.random.default_rng(4)
    free = random_problem(rng, beta=1.3)
    capped = random_problem(np.random.default_rng(4), beta=1.3, caps=Caps(load_growth=0.0, task_growth=0.1))
    found = best_without_choice(capped)
    assert (found.allocation <= 1.1 * capped.status_quo + 1e-9).all()
    assert (found.allocation.sum(axis=1) <= capped.status_quo.sum(axis=1) + 1e-9).all()
    assert found.saving < best_without_choice(free).saving
    assert first_best(capped, draws=5).saving < first_best(free, draws=5).saving


def test_unbounded_support_never_grows_a_task_without_asking():
    problem = random_problem(np.random.default_rng(5), beliefs=Beliefs.lognormal(1.0, 0.5), beta=1.2)
    found = best_without_choice(problem)
    assert (found.allocation <= 1.2 * problem.status_quo + 1e-9).all()


def test_first_best_against_a_hand_made_pair():
    # known types: each agent minds one task twice as much, and the other agent does it better
    costs = Beliefs.degenerate([[2.0, 1.0], [1.0, 2.0]])
    problem = ReallocationProblem.from_arrays([[1, 1], [1, 1]], [[3, 1], [1, 3]], costs)
    found = first_best(problem, draws=2)
    assert_allclose(found.saving, 4.0, rtol=1e-9)  # each does two of what she does well
    assert_allclose(found.standard_error, 0, atol=1e-9, rtol=0)


# ---- Theorem 1, Proposition 1, Lemmas 2 and 3 --------------------------------------------------------------


def test_osp_theorem1_improves_if_and_only_if_condition_i():
    rng = np.random.default_rng(6)
    for _ in range(20):
        problem = random_problem(rng)
        found = theorem1(problem)
        assert found.applies
        assert found.improves is True
        assert found.optimal is True
        first, second = found.pair
        assert all(lemma2_conditions(problem, first, second, np.array(found.trade)).values())
        mechanism = bilateral_mechanism(problem.status_quo, first, second, np.array(found.trade))
        assert is_obviously_strategy_proof(mechanism.protocol)


def test_osp_theorem1_without_condition_i_there_is_nothing_to_gain():
    rng = np.random.default_rng(7)
    sigma = rng.integers(1, 5, (3, 2)).astype(float)
    same = ReallocationProblem.from_arrays(sigma, [[1.0, 2.0]] * 3, SQUARE)
    found = theorem1(same)
    assert (found.improves, found.optimal) == (False, False)
    assert (
        str(found.non_identical) == "performance differs between agents: no (all agents have the same costs)"
    )
    known = ReallocationProblem.from_arrays(sigma, rng.random((3, 2)), Beliefs.degenerate([1.0, 2.0]))
    assert theorem1(known).improves is False
    assert not theorem1(known).non_degenerate.holds


def test_osp_theorem1_part_iv_needs_full_dimension_and_no_slack():
    rng = np.random.default_rng(8)
    flat = Beliefs(*(np.array(x) for x in ([[0.5, 1.0]], [[1.5, 1.0]], [[1, 0]], np.full((1, 2, 2), np.nan))))
    problem = ReallocationProblem.from_arrays(rng.integers(1, 5, (3, 2)), rng.random((3, 2)), flat)
    found = theorem1(problem)
    assert found.improves is True
    assert found.optimal is None
    assert [c.name for c in found.conditions if not c.holds] == ["preferences vary in every task"]
    slack = ReallocationProblem.from_arrays(rng.integers(1, 5, (3, 2)), rng.random((3, 2)), SQUARE, beta=1.1)
    assert theorem1(slack).optimal is None
    assert not theorem1(slack).no_slack.holds


def test_osp_theorem1_assumptions_are_named_with_what_breaks_them():
    sigma = np.array([[1.0, 2.0], [2.0, 0.0], [1.0, 1.0]])
    low = np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.7]])
    problem = ReallocationProblem.from_arrays(
        sigma, [[1, 2], [2, 1], [1, 1]], Beliefs.uniform(low, 1.5), agents=["ann", "bob", "eve"]
    )
    found = theorem1(problem)
    assert found.common_support.broken_by == ("agent 'eve', task 'task2'",)
    assert found.full_support.broken_by == ("agent 'bob', task 'task2'",)
    assert not found.applies
    assert found.improves is True  # Proposition 1: ann and eve share both tasks
    assert set(found.pair) == {0, 2}
    unbounded = ReallocationProblem.from_arrays(sigma, [[1, 2], [2, 1], [1, 1]], Beliefs.lognormal(1.0, 0.5))
    assert not theorem1(unbounded).bounded_support.holds


def test_osp_proposition1_drop_any_condition_and_there_may_be_no_pair():
    full = np.ones((2, 2))
    good = ReallocationProblem.from_arrays(full, [[1, 2], [2, 1]], SQUARE)
    assert improving_pair(good) is not None
    assert improving_pair(ReallocationProblem.from_arrays(full, [[1, 2], [1, 2]], SQUARE)) is None
    known = Beliefs.degenerate([1.0, 1.0])
    assert improving_pair(ReallocationProblem.from_arrays(full, [[1, 2], [2, 1]], known)) is None
    apart = ReallocationProblem.from_arrays([[1, 0], [0, 1]], [[1, 2], [2, 1]], SQUARE)
    assert improving_pair(apart) is None


def test_osp_lemma2_each_condition_can_fail_alone():
    problem = ReallocationProblem.from_arrays([[2, 2], [2, 2]], [[1, 2], [2, 1]], SQUARE)
    good = lemma2_conditions(problem, 0, 1, np.array([1.0, -1.0]))
    assert all(good.values())
    failing = {
        "feasible": (problem, np.array([3.0, -3.0])),
        "saves": (problem, np.array([-1.0, 1.0])),
        "first": (
            ReallocationProblem.from_arrays(
                [[2, 2], [2, 2]],
                [[1, 2], [2, 1]],
                Beliefs.uniform([[2.0, 0.5], [0.5, 0.5]], [[3.0, 1.5], [1.5, 1.5]]),
            ),
            np.array([1.0, -1.0]),
        ),
        "second": (
            ReallocationProblem.from_arrays(
                [[2, 2], [2, 2]],
                [[1, 2], [2, 1]],
                Beliefs.uniform([[0.5, 0.5], [0.5, 2.0]], [[1.5, 1.5], [1.5, 3.0]]),
            ),
            np.array([1.0, -1.0]),
        ),
    }
    for name, (case, trade) in failing.items():
        result = lemma2_conditions(case, 0, 1, trade)
        assert [key for key, value in result.items() if not value] == [name]


def test_osp_lemma2_conditions_are_exactly_a_positive_expected_saving():
    rng = np.random.default_rng(9)
    seen = set()
    for _ in range(200):
        problem = random_problem(rng, n_agents=2)
        trade = rng.normal(size=3)
        conditions = lemma2_conditions(problem, 0, 1, trade)
        saving = (problem.costs[1] - problem.costs[0]) @ trade
        both = acceptance(problem.beliefs, np.array([0]), trade[None]) * acceptance(
            problem.beliefs, np.array([1]), -trade[None]
        )
        improves = saving > 0 and both[0] > 0
        assert improves == (conditions["saves"] and conditions["first"] and conditions["second"])
        seen.add(bool(improves))
    assert seen == {True, False}


def test_osp_lemma3_a_trade_is_found_on_every_one_of_300_random_boxes():
    rng = np.random.default_rng(10)
    for _ in range(300):
        n_tasks = int(rng.integers(2, 7))
        low = rng.uniform(0.2, 1.0, n_tasks)
        high = low + rng.uniform(0.01, 1.0, n_tasks) * (rng.random(n_tasks) < 0.5)
        if (high == low).all():
            high[0] += 0.1
        costs = rng.normal(size=(2, n_tasks)) * (rng.random((2, n_tasks)) < 0.7)
        if (costs[0] == costs[1]).all():
            costs[0, 0] += 1
        problem = ReallocationProblem.from_arrays(
            rng.uniform(1, 5, (2, n_tasks)), costs, Beliefs.uniform(low, high)
        )
        trade = lemma3_trade(problem, 0, 1)
        assert trade is not None
        assert all(lemma2_conditions(problem, 0, 1, trade).values())


# ---- bilateral trades --------------------------------------------------------------------------------------


def test_two_tasks_the_best_trade_is_the_best_rate():
    problem = ReallocationProblem.from_arrays([[1, 1], [1, 1]], [[1, 2], [2, 1]], SQUARE)
    (trade,) = best_bilateral_trades(problem).trades
    # by symmetry: γ = (1, -t) for the first; she gains where c1 < t c2, the other where t c2 < c1

    def saving(t):
        scale = min(1, 1 / t)
        both = probability(SQUARE, [1, -t]) * probability(SQUARE, [-1, t])
        return scale * (1 + t) * both

    best = max(saving(t) for t in np.append(1.0, np.linspace(0.4, 2.5, 4001)))
    assert trade.saving >= best * (1 - 2e-3)
    assert trade.saving <= best * (1 + 1e-6)


def test_trades_are_not_beaten_by_random_search():
    rng = np.random.default_rng(11)
    problem = random_problem(rng, n_agents=2, n_tasks=4)
    found = best_bilateral_trades(problem).trades[0]
    lower, upper = trade_bounds(problem, 0, 1)
    rows = [(0, 1, rng.uniform(lower, upper)) for _ in range(3000)]
    rival = score_trades(problem, rows)[0]
    assert found.saving >= rival.saving


def test_kernel_value_and_gradient_match_a_plain_reference():
    rng = np.random.default_rng(12)
    first, second = rng.uniform(0.5, 1.5, (2, 64, 3))
    gain = rng.normal(size=3)
    width = 0.07

    def reference(trade):
        wanted = 1 / (1 + np.exp(first @ trade / width))
        given = 1 / (1 + np.exp(-second @ trade / width))
        return np.log(gain @ trade) + np.log(wanted.mean()) + np.log(given.mean())

    gradient = np.zeros(3)
    for _ in range(20):
        trade = rng.normal(size=3)
        trade *= np.sign(gain @ trade)
        value = bilateral._smooth_value(trade, first, second, gain, width, gradient)
        assert_allclose(value, reference(trade), rtol=1e-10)
        step = 1e-6
        numeric = [
            (reference(trade + step * e) - reference(trade - step * e)) / (2 * step) for e in np.eye(3)
        ]
        assert_allclose(gradient, numeric, rtol=1e-5, atol=1e-6)
        hard = (gain @ trade) * (first @ trade < 0).mean() * (second @ trade > 0).mean()
        assert_allclose(bilateral._hard_values(trade[None], first, second, gain), [hard], rtol=1e-12)


def test_many_agents_every_pair_is_searched_and_little_is_lost_by_a_rough_look_first(monkeypatch):
    problem = random_problem(np.random.default_rng(16), n_agents=26)
    found = best_bilateral_trades(problem)
    pairs = {(t.first, t.second) for t in found.trades}
    assert len(pairs) == len(found.trades) > 300  # of 325: hardly any has nothing to trade
    monkeypatch.setattr(bilateral, "_PARTNERS", problem.n_agents)
    thorough = best_bilateral_trades(problem)
    assert_allclose(found.saving, thorough.saving, rtol=5e-3)
    assert_allclose(found.trades[0].saving, thorough.trades[0].saving, rtol=1e-9)


def matchings(pairs):
    """List all sets of disjoint pairs."""
    if not pairs:
        yield ()
        return
    head, *rest = pairs
    yield from matchings(rest)
    for tail in matchings([p for p in rest if not set(p) & set(head)]):
        yield (head, *tail)


def test_disjoint_pairs_are_the_best_matching():
    rng = np.random.default_rng(13)
    for _ in range(20):
        problem = random_problem(rng, n_agents=7, sizes=rng.integers(1, 4, 7))
        pairs = [p for p in itertools.combinations(range(7), 2) if rng.random() < 0.7]
        value = {p: float(rng.exponential()) for p in pairs}
        trades = tuple(BilateralTrade(a, b, np.zeros(3), 1.0, value[a, b]) for a, b in pairs)
        chosen = disjoint_pairs(problem, trades)
        weight = {p: value[p] * min(problem.sizes[p[0]], problem.sizes[p[1]]) for p in pairs}
        best = max(sum(weight[p] for p in m) for m in matchings(pairs))
        assert_allclose(sum(weight[t.first, t.second] for t in chosen), best, rtol=1e-6)
        ends = [j for t in chosen for j in (t.first, t.second)]
        assert len(ends) == len(set(ends))


def test_bilateral_menus_are_polarized_rays_at_full_extent():
    problem = random_problem(np.random.default_rng(14), n_agents=6, caps=Caps(task_growth=0.5))
    trades = best_bilateral_trades(problem)
    menus = bilateral_menus(problem, trades.disjoint)
    assert conflicting_rays(menus) == []
    assert len(trades.disjoint) == 3
    for trade in trades.disjoint:
        moved = problem.endowment[[trade.first, trade.second]] + np.array([trade.trade, -trade.trade])
        assert (moved >= -1e-9).all()
        assert (moved <= 1.5 * problem.endowment[[trade.first, trade.second]] + 1e-9).all()
    for change, j in zip(menus.changes, menus.ray_agents, strict=True):
        assert (problem.endowment[j] + change >= -1e-9).all()


def test_identical_agents_have_nothing_to_trade():
    problem = ReallocationProblem.from_arrays(
        np.ones((4, 3)), [[1.0, 2.0, 3.0]] * 4, Beliefs.uniform(0.5, 1.5)
    )
    found = value_of_choice(problem, draws=3)
    assert found.bilateral.trades == ()
    assert found.bilateral.saving == 0
    assert_allclose(found.no_choice.saving, 0, atol=1e-9, rtol=0)
    assert_allclose(found.first_best.saving, 0, atol=1e-9, rtol=0)
    assert "cannot lower that: all agents have the same costs" in found.words()
    assert bilateral_menus(problem, ()).n_rays == 0


def test_the_ladder_of_savings_and_its_words():
    problem = random_problem(np.random.default_rng(15), n_agents=6)
    found = value_of_choice(problem, draws=5)
    assert found.no_choice.saving <= found.bilateral.saving <= found.first_best.saving
    words = found.words()
    assert "Letting people choose can lower that" in words
    assert "No menu gives more than that" in words
    summary = found.to_dict()
    assert summary["choice_improves"] is True
    assert summary["bilateral_saving"] == found.bilateral.saving
    assert len(summary["bilateral_trades"]) == len(found.bilateral.disjoint)


def test_what_is_not_built_is_refused():
    problem = ReallocationProblem.from_arrays([[1, 1]], [[1, 1]], SQUARE, burden=[True, False])
    with pytest.raises(NotSupportedError):
        value_of_choice(problem)
