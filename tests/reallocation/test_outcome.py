"""Outcomes: nobody loses, whatever is picked and whatever was believed; every check has its wrong answer."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from outcome_cases import random_case
from scipy.optimize import linprog

from fairlot.certificate import Status
from fairlot.errors import InvalidProblemError, NotSupportedError
from fairlot.lottery import draw_walk
from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.letters import letter, letters_document, menu_words, menus_document, number_words
from fairlot.reallocation.outcome import pick_positions, reallocate, reallocate_positions
from fairlot.reallocation.simulation import pick_myopically, simulate
from fairlot.verify.menus import participation_residuals
from fairlot.verify.reallocation import REQUIRED, verify_outcome

UNIFORM = Beliefs.uniform(0.5, 1.5)


def plain_cost(problem, menus, picks):
    """Solve Corollary 3's program with one variable per member, and the amounts themselves as variables."""
    member = np.repeat(np.arange(problem.n_agents), problem.sizes)
    n, n_tasks = len(member), problem.n_tasks
    cost, bounds, rows, right = [], [], [], []
    n_variables = n * n_tasks + n
    for m, j in enumerate(member):
        cost += problem.costs[j].tolist()
        remedial = picks[m] >= 0 and menus.remedial_rays[picks[m]]
        change = menus.changes[picks[m]] if picks[m] >= 0 else np.zeros(n_tasks)
        for i in range(n_tasks):
            if remedial:
                bounds.append((problem.endowment[j, i] + change[i], problem.endowment[j, i]))
            else:
                bounds.append((None, None))
                row = np.zeros(n_variables)
                row[m * n_tasks + i], row[n * n_tasks + m] = 1, -change[i]
                rows.append(row)
                right.append(problem.endowment[j, i])
    cost += [0.0] * n
    bounds += [(0, 1)] * n
    for i in range(n_tasks):
        row = np.zeros(n_variables)
        row[i : n * n_tasks : n_tasks] = 1
        rows.append(row)
        right.append(problem.counts[i])
    return linprog(cost, A_eq=np.array(rows), b_eq=right, bounds=bounds).fun


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_osp_corollary3_selection_is_ex_post_optimal(seed, groups):
    problem, menus, picks = random_case(np.random.default_rng(seed), groups=groups)
    outcome = reallocate(problem, menus, picks)
    assert outcome.status is Status.CERTIFIED, outcome.certificate.failed
    assert_allclose(outcome.cost, plain_cost(problem, menus, outcome.picks), rtol=1e-7, atol=1e-7)
    assert_allclose(outcome.saving, problem.status_quo_cost - outcome.cost, rtol=1e-12, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=60, deadline=None)
def test_osp_section31_robustness_never_above_the_status_quo_whatever_is_picked(seed, groups):
    rng = np.random.default_rng(seed)
    caps = Caps(rng.uniform(0, 0.5), rng.uniform(0, 0.5)) if rng.random() < 0.5 else None
    problem, menus, picks = random_case(rng, groups=groups, caps=caps)
    outcome = reallocate(problem, menus, picks)
    assert outcome.saving >= -1e-9 * np.abs(problem.costs * problem.status_quo).sum()
    assert_allclose(outcome.amounts.sum(axis=0), problem.counts, rtol=1e-9, atol=1e-9)
    # any belief at all: the menus do not look at it
    other = replace(problem, beliefs=Beliefs.lognormal(rng.uniform(0.1, 9.0), rng.uniform(0.1, 3.0)))
    assert_allclose(reallocate(other, menus, picks).cost, outcome.cost, rtol=1e-12)
    # participation, by brute force: types who gain from what they picked
    member = outcome.member_agents
    types = rng.dirichlet(np.full(problem.n_tasks, 0.4), size=(200,))
    before = types @ problem.status_quo[member].T
    after = types @ outcome.amounts.T
    picked = np.vstack([menus.changes, np.zeros(problem.n_tasks)])[outcome.picks]
    could_have = types @ picked.T <= 0
    assert (np.where(could_have, after - before, 0) <= 1e-9).all()


def test_osp_section31_robustness_non_linear_preferences():
    """Agents who weigh the largest of their loads, or the square: the designer never pays more."""
    rng = np.random.default_rng(0)
    preferences = [
        lambda c, x: (c * x).max(axis=1),
        lambda c, x: (c * x**2).sum(axis=1),
        lambda c, x: np.sqrt(c * x).sum(axis=1),
        lambda c, x: rng.random(len(x)),
    ]
    for _ in range(10):
        problem, menus, _ = random_case(rng)
        for loss in preferences:
            picks = np.full(problem.n_agents, -1)
            for j in range(problem.n_agents):
                rays = np.arange(menus.starts[j], menus.starts[j + 1])
                bundles = problem.endowment[j] + np.vstack([np.zeros(problem.n_tasks), menus.changes[rays]])
                costs = rng.random(problem.n_tasks)
                best = int(loss(costs, np.maximum(bundles, 0)).argmin())
                picks[j] = -1 if best == 0 else rays[best - 1]
            outcome = reallocate_positions(problem, menus, picks)
            assert outcome.certificate.passed
            assert outcome.saving >= -1e-9


# ---- picks and menus ---------------------------------------------------------------------------------------


def swap(size=1, **changes):
    problem = ReallocationProblem.from_arrays(
        [[2, 2], [2, 2], [1, 1]],
        [[1, 3], [3, 1], [2, 2]],
        UNIFORM,
        agents=["ann", "bob", "eve"],
        tasks=["abuse", "neglect"],
        sizes=size,
        **changes,
    )
    menus = Menus.of(
        problem.agents,
        problem.tasks,
        [
            Menu("ann", (Ray("a", [1.5, -2]), Ray("b", [-2, 3]))),
            Menu("bob", (Ray("a", [-1.5, 2]),)),
            Menu("eve", (Ray("less", [-1, -1]),)),
        ],
    )
    return problem, menus


def test_blank_and_missing_picks_mean_keep():
    problem, menus = swap()
    assert pick_positions(problem, menus, {"ann": "", "bob": "keep"}).tolist() == [-1, -1, -1]
    assert pick_positions(problem, menus, {"ann": "b", "eve": "less"}).tolist() == [1, -1, 3]
    assert reallocate(problem, menus, {}).saving == 0


def test_a_saving_of_nothing_is_exactly_nothing():
    rng = np.random.default_rng(7)
    for groups in (False, True):
        problem, menus, _ = random_case(rng, n_agents=30, groups=groups)
        outcome = reallocate(problem, menus, {})
        assert outcome.saving == 0.0
        assert outcome.cost == problem.status_quo_cost
        assert_allclose(
            outcome.cost, (problem.costs[outcome.member_agents] * outcome.amounts).sum(), rtol=1e-12
        )


def test_picks_that_were_not_offered_are_all_named():
    problem, menus = swap()
    with pytest.raises(InvalidProblemError) as caught:
        reallocate(problem, menus, {"ann": "c", "zoe": "a", "bob": ["a", "a"]})
    said = [str(issue) for issue in caught.value.issues]
    assert said == [
        "pick of agent 'ann': found 'c', expected a or b or keep",
        "pick of an unknown agent: found 'zoe'",
        "picks of agent 'bob': found '2 picks', expected one per member (1)",
    ]


def test_menus_that_leave_the_orthant_or_break_a_cap_are_refused():
    problem, menus = swap()
    capped, _ = swap(caps=Caps(task_growth=0.5))
    with pytest.raises(InvalidProblemError, match=r"ray 'a' of agent 'ann'.*1\.5 times too large"):
        reallocate(capped, menus, {})
    far = Menus.of(problem.agents, problem.tasks, [Menu("ann", (Ray("a", [1, -4]),))])
    with pytest.raises(InvalidProblemError, match="2 times too large"):
        reallocate(problem, far, {})
    with pytest.raises(InvalidProblemError, match="the problem's agents and tasks"):
        reallocate(problem, Menus.of(["x"], ["y"], []), {})
    goods = replace(problem, burden=np.array([True, False]))
    with pytest.raises(NotSupportedError):
        reallocate(goods, menus, {})


def test_members_of_a_group_who_picked_alike_get_alike():
    problem, menus = swap(size=[3, 2, 1])
    outcome = reallocate(problem, menus, {"ann": ["a", "a", "keep"], "bob": ["a", "a"]})
    assert outcome.members == ("ann#1", "ann#2", "ann#3", "bob#1", "bob#2", "eve")
    assert_allclose(outcome.displacements[0], outcome.displacements[1], rtol=0)
    assert_allclose(outcome.displacements[2], 0, rtol=0)
    assert_allclose(outcome.displacements[0], [1.5, -2], rtol=1e-12)


def test_remedial_picks_give_away_task_by_task():
    problem, menus = swap()
    outcome = reallocate(problem, menus, {"ann": "a", "eve": "less"})
    # eve would be rid of one abuse; ann takes 1.5 for 2 neglect, which nobody takes
    assert_allclose(outcome.displacements, 0, atol=1e-12, rtol=0)
    taker = Menus.of(
        problem.agents,
        problem.tasks,
        [Menu("ann", (Ray("a", [1.0, -0.001]),)), Menu("eve", (Ray("less", [-1, -1]),))],
    )
    picks = {"ann": "a", "eve": "less"}
    assert reallocate(problem, taker, picks).saving == 0  # the 0.001 neglect finds nobody
    bob = Menu("bob", (Ray("a", [-0.5, 0.5]),))
    both = Menus.of(problem.agents, problem.tasks, [taker["ann"], bob, taker["eve"]])
    found = reallocate(problem, both, {**picks, "bob": "a"})
    assert found.certificate.passed
    assert found.saving > 0
    assert_allclose(found.displacements[2], [-0.5, -0.499], rtol=1e-9)


# ---- every check has a planted wrong answer ----------------------------------------------------------------


def planted():
    problem, menus = swap()
    outcome = reallocate(problem, menus, {"ann": "a", "bob": "a"})
    assert outcome.certificate.passed
    assert tuple(check.name for check in outcome.certificate.checks) == REQUIRED
    return problem, menus, outcome


def failed(problem, menus, picks, displacements, prices):
    return [c.name for c in verify_outcome(problem, menus, picks, displacements, prices).failed]


def test_wrong_answers_fail_exactly_their_check():
    problem, menus, outcome = planted()
    good = outcome.displacements
    given = (problem, menus, outcome.picks)
    assert failed(*given, good, outcome.prices) == []

    # someone else's rounding: one abuse too many for someone who does it at no cost
    free = replace(problem, costs=problem.costs * [[1, 1], [1, 1], [0, 0]])
    base = reallocate(free, menus, {"ann": "a", "bob": "a", "eve": "less"})
    lost = base.displacements.copy()
    lost[2] += [-0.5, 0]
    prices = base.prices
    assert "everything assigned" in failed(free, menus, base.picks, lost, prices)

    assert failed(*given, good, outcome.prices + 1.0) == ["best selection"]
    assert failed(*given, 0.5 * good, outcome.prices) == ["best selection"]
    with_nan = good.copy()
    with_nan[0, 0] = np.nan
    assert len(failed(*given, with_nan, outcome.prices)) >= 5


def test_wrong_answer_everything_assigned():
    problem, menus, outcome = planted()
    alone = outcome.displacements.copy()
    alone[1] = 0
    assert "everything assigned" in failed(problem, menus, outcome.picks, alone, outcome.prices)


def test_wrong_answer_within_the_chosen_sets_but_nobody_is_worse_off():
    # ann picked a and is given a little less work than on her ray; bob's ray takes the rest
    problem = ReallocationProblem.from_arrays([[2, 2], [2, 2]], np.ones((2, 2)), UNIFORM)
    menus = Menus.of(
        problem.agents,
        problem.tasks,
        [Menu("agent1", (Ray("a", [1, -1]),)), Menu("agent2", (Ray("a", [-0.9, 1]),))],
    )
    picks = np.array([0, 1])
    moved = np.array([[0.9, -1.0], [-0.9, 1.0]])
    assert failed(problem, menus, picks, moved, np.zeros(2)) == ["within the chosen sets"]


def test_wrong_answer_participation():
    # she picked to keep, and a case of the task she may mind more came for one of the other
    problem = ReallocationProblem.from_arrays([[2, 2], [2, 2]], np.ones((2, 2)), UNIFORM)
    menus = Menus.of(problem.agents, problem.tasks, [])
    moved = np.array([[1.0, -1.0], [-1.0, 1.0]])
    names = failed(problem, menus, np.array([-1, -1]), moved, np.ones(2))
    assert names == ["within the chosen sets", "participation"]
    # an endowment other than the status quo is not what she may insist on
    apart = replace(problem, endowment=np.array([[3.0, 1.0], [1.0, 3.0]]))
    assert failed(apart, menus, np.array([-1, -1]), np.zeros((2, 2)), np.ones(2)) == ["participation"]


def test_wrong_answer_non_negative_and_caps():
    problem = ReallocationProblem.from_arrays([[1, 1], [1, 1]], np.ones((2, 2)), UNIFORM)
    far = Menus.of(
        problem.agents,
        problem.tasks,
        [Menu("agent1", (Ray("a", [2, -2]),)), Menu("agent2", (Ray("a", [-2, 2]),))],
    )
    moved = np.array([[2.0, -2.0], [-2.0, 2.0]])
    assert failed(problem, far, np.array([0, 1]), moved, np.ones(2)) == ["non-negative"]
    capped = replace(problem, caps=Caps(task_growth=0.5))
    near = replace(far, changes=far.changes / 2)
    assert failed(capped, near, np.array([0, 1]), moved / 2, np.ones(2)) == ["caps"]


def test_wrong_answer_cost_and_polarized_menus():
    problem, menus, _ = planted()
    worse = replace(problem, costs=problem.costs[:, ::-1].copy())
    moved = np.array([[1.5, -2.0], [-1.5, 2.0], [0, 0]])
    assert "cost" in failed(worse, menus, np.array([0, 2, -1]), moved, np.zeros(2))
    crossed = Menus.of(problem.agents, problem.tasks, [Menu("ann", (Ray("a", [1, -1.5]), Ray("b", [-1, 1])))])
    names = failed(problem, crossed, np.full(3, -1), np.zeros((3, 2)), np.zeros(2))
    assert names == ["polarized menus"]
    assert reallocate(problem, crossed, {"ann": "a"}).status is Status.UNCERTIFIED


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_participation_residual_is_the_worst_type_that_could_have_made_the_pick(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 5))
    ray = rng.integers(-3, 4, n).astype(float)
    displacement = ray * rng.random() + rng.integers(-1, 2, n) * (rng.random() < 0.7)
    if (ray > 0).all() or not ray.any():
        return
    worst = linprog(-displacement, A_ub=[ray], b_ub=[0], A_eq=[np.ones(n)], b_eq=[1]).fun
    found = participation_residuals(displacement[None], ray[None], np.array([False]))[0]
    assert_allclose(found, max(0.0, -worst), atol=1e-9, rtol=0)
    for_all = participation_residuals(displacement[None], ray[None], np.array([True]))[0]
    assert_allclose(for_all, max(0.0, displacement.max()), atol=1e-12, rtol=0)


# ---- the lottery and the letters ---------------------------------------------------------------------------


def test_the_draw_keeps_every_count_and_stays_within_one_of_the_average():
    rng = np.random.default_rng(5)
    for _ in range(5):
        problem, menus, picks = random_case(rng, n_agents=8, n_tasks=4, whole=True)
        outcome = reallocate(problem, menus, picks)
        lottery = outcome.lottery()
        drawn = draw_walk(lottery, seed=rng.bytes(32))
        member = [drawn.agents.index(name) for name in outcome.members]
        task = [drawn.goods.index(name) for name in problem.tasks]
        got = drawn.matrix.toarray()[np.ix_(member, task)]
        assert_allclose(got.sum(axis=0), problem.counts, rtol=0)
        assert (np.abs(got - outcome.amounts) < 1).all()
        assert (np.abs(got.sum(axis=1) - outcome.amounts.sum(axis=1)) < 1).all()


def test_transfers_are_paid_as_expected_and_not_drawn():
    problem, menus = swap(transfer=[False, True])
    outcome = reallocate(problem, menus, {"ann": "a", "bob": "a"})
    assert outcome.lottery().goods == ("abuse",)


def test_menus_in_words():
    problem, menus = swap()
    page = menu_words(problem, menus, "ann")
    assert "You now have 2 *abuse* and 2 *neglect* (4 instances in all)." in page
    assert "- `keep`: You may keep what you have." in page
    assert "- `b`: Have 2 fewer *abuse* and get 3 more *neglect* (or any smaller exchange" in page
    assert "Nobody can give you more than you accept here" in page
    assert "- `less`: Have less: up to 1 fewer *abuse* and 1 fewer *neglect*" in menu_words(
        problem, menus, "eve"
    )
    empty = Menus.of(problem.agents, problem.tasks, [])
    assert "nothing to choose this time" in menu_words(problem, empty, "bob")
    document = menus_document(problem, menus)
    assert [line for line in document.splitlines() if line.startswith("## ")] == [
        "## ann",
        "## bob",
        "## eve",
    ]


def test_letters_in_words():
    problem, menus = swap()
    outcome = reallocate(problem, menus, {"ann": "a", "bob": "a"})
    text = letter(outcome, "ann")
    assert "You had 2 *abuse* and 2 *neglect* (4 instances in all)." in text
    assert "You picked `a`: Have 2 fewer *neglect* and get 1.5 more *abuse*" in text
    assert "You get 100% of that exchange." in text
    assert "| abuse | 2 | 3.5 | +1.5 |" in text
    assert "less than one per task" in text
    assert "You kept what you had" in letter(outcome, "eve")
    alone = reallocate(problem, menus, {"ann": "a"})
    assert "It was not needed this time" in letter(alone, "ann")
    assert letters_document(outcome).count("## ") == 3


def test_numbers_in_words():
    given = [0.0, 1.0, 2.999, 0.5, 12.346, 0.0004, 1e-12, 1000000.0, -2.5]
    expected = ["0", "1", "3", "0.5", "12.35", "0.0004", "1e-12", "1000000", "-2.5"]
    assert [number_words(x) for x in given] == expected


# ---- simulation --------------------------------------------------------------------------------------------


def test_simulated_picks_are_myopically_optimal():
    rng = np.random.default_rng(6)
    problem, menus, _ = random_case(rng)
    owners = np.repeat(np.arange(problem.n_agents), 50)
    types = problem.beliefs.of(owners).types(rng.random((len(owners), problem.n_tasks)))
    picks = pick_myopically(menus, owners, types, problem.endowment[owners])
    for m, j in enumerate(owners):
        rays = np.arange(menus.starts[j], menus.starts[j + 1])
        gains = menus.changes[rays] @ types[m]
        expected = rays[gains.argmin()] if len(rays) and gains.min() < -1e-9 else -1
        assert picks[m] == expected


def test_reading_5_an_exact_tie_keeps():
    problem, menus = swap()
    tie = np.array([[3.0, 2.0]])  # for b, 2 × 3 = 3 × 2; she loses by a
    assert pick_myopically(menus, np.array([0]), tie, problem.endowment[:1]).tolist() == [-1]


def test_simulation_saves_in_every_draw_and_more_with_replicas():
    problem, menus = swap()
    one = simulate(problem, menus, draws=200, seed=1)
    many = simulate(problem, menus, draws=40, replicas=50, seed=1)
    assert (one.savings >= 0).all()
    assert one.standard_error > 0
    assert many.mean > one.mean
    assert many.savings.std() < one.savings.std()
    assert (one.load_changes <= 1e-12).all()
    again = simulate(problem, menus, draws=200, seed=1, n_jobs=2)
    assert_allclose(again.savings, one.savings, rtol=0)
    assert_allclose(one.acceptances[3], 1.0, rtol=0)  # everybody would have less


def test_osp_proposition3_replicas_approach_the_large_market():
    """Two agents, two tasks, mirror images: U[.5, 1.5] and rates 3/2, each picked with probability 3/16."""
    problem = ReallocationProblem.from_arrays(
        np.ones((2, 2)), [[0.0, 1.0], [1.0, 0.0]], Beliefs.uniform(0.5, 1.5)
    )
    menus = Menus.of(
        problem.agents,
        problem.tasks,
        [Menu("agent1", (Ray("a", [1.0, -1.0]),)), Menu("agent2", (Ray("a", [-1.0, 1.0]),))],
    )
    limit = 2 * 0.5  # half of either side trades one for one, saving 2
    shortfall = []
    for replicas in (1, 10, 100, 1000):
        mean = simulate(problem, menus, draws=60, replicas=replicas, seed=2).mean
        shortfall.append(1 - mean / limit)
    assert (np.diff(shortfall) < 0).all()
    assert shortfall[-1] < 0.03


def test_reading_7_a_lucky_draw_may_beat_the_large_market():
    problem = ReallocationProblem.from_arrays(
        np.ones((2, 2)), [[0.0, 1.0], [1.0, 0.0]], Beliefs.uniform(0.5, 1.5)
    )
    menus = Menus.of(
        problem.agents,
        problem.tasks,
        [Menu("agent1", (Ray("a", [1.0, -1.0]),)), Menu("agent2", (Ray("a", [-1.0, 1.0]),))],
    )
    found = simulate(problem, menus, draws=400, seed=3)
    assert (found.savings > 1.0).mean() > 0.15  # both agree in a quarter of the draws, and save 2
    assert found.mean < 1.0
