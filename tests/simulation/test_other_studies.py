"""Preference draws, budgets and withdrawals against the same by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fairlot.baselines.mechanisms import BASELINES
from fairlot.errors import InvalidProblemError
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.simulation.budgets import simulate_budgets
from fairlot.simulation.playing import Drawing
from fairlot.simulation.preferences import redraw, simulate_preferences
from fairlot.simulation.withdrawal import simulate_withdrawals, without_agent

ONE = [Quota("one", max=1)]
MARKET = PseudoMarket.from_arrays([[5, 3, 1], [4, 4, 2], [1, 2, 5]], capacities=1, quotas=ONE)


def solved_utility(market: PseudoMarket, values: np.ndarray) -> np.ndarray:
    found = solve_equilibrium(market)
    assert found.certificate.passed
    assert found.shares is not None
    return np.asarray((found.shares.to_array() * values).sum(axis=1) / values.max(axis=1))


def test_a_draw_of_values_by_definition() -> None:
    study = simulate_preferences(MARKET, spreads=[0.3], draws=2, seed=4)
    old = solve_equilibrium(MARKET).shares
    assert old is not None
    for k, draw in enumerate(study.draws):
        noise = np.random.default_rng([4, k]).standard_normal(9).reshape(3, 3)
        values = MARKET.values.toarray() * np.exp(0.3 * noise - 0.045)
        fresh = replace(MARKET, values=redraw(MARKET, 0.3, k, 4).values)
        assert_allclose(fresh.values.toarray(), values, rtol=1e-14)
        again = solved_utility(fresh, values)
        kept = (old.to_array() * values).sum(axis=1) / values.max(axis=1)
        assert draw.counts
        assert_allclose([draw.kept, draw.worst_kept], [kept.mean(), kept.min()], atol=1e-9)
        assert_allclose([draw.again, draw.worst_again], [again.mean(), again.min()], atol=1e-9)
        assert_allclose(draw.better_again, (again > kept + 1e-6).mean())
    (row,) = study.tastes()
    assert_allclose(row.kept, np.mean([draw.kept for draw in study.draws]), rtol=1e-14)
    assert (row.draws, row.left_out) == (2, 0)


def test_values_are_drawn_around_what_was_reported() -> None:
    market = PseudoMarket.from_arrays(np.full((100, 100), 2.0), capacities=1)
    drawn = redraw(market, 0.5, 0, 0).values.data
    assert_allclose(drawn.mean(), 2.0, rtol=0.02)
    assert_allclose(np.log(drawn).std(), 0.5, rtol=0.03)
    assert redraw(PseudoMarket.from_arrays([[0.0, 1.0]], 1), 0.5, 0, 0).values.data[0] == 0


def test_other_mechanisms_see_drawn_values_too() -> None:
    run = next(baseline.run for baseline in BASELINES if baseline.name == "probabilistic-serial")
    study = simulate_preferences(MARKET, draws=2, mechanism=Drawing("probabilistic-serial", run))
    assert (study.mechanism, study.truth) == ("probabilistic-serial", "stated")
    assert (
        study.records()
        == simulate_preferences(MARKET, draws=2, mechanism=Drawing("probabilistic-serial", run)).records()
    )


def test_more_money_buys_its_part_of_one_good() -> None:
    """With one good wanted by all, shares are in proportion to budgets."""
    market = PseudoMarket.from_arrays([[1.0]] * 4, capacities=1, budgets=[9, 1, 1, 1])
    study = simulate_budgets(
        market, ratios=[1, 5], seniority={"agent1": 0, "agent2": 0, "agent3": 1, "agent4": 3}
    )
    rows = study.classes()
    assert [(row.ratio, row.tier) for row in rows] == [
        (1.0, "0"),
        (1.0, "1"),
        (1.0, "3"),
        (5.0, "0"),
        (5.0, "1"),
        (5.0, "3"),
    ]
    budgets = np.array([1, 1, 7 / 3, 5])
    share = budgets / budgets.sum()
    assert_allclose([row.utility for row in rows[3:]], [share[0], share[2], share[3]], atol=1e-9)
    assert_allclose(
        [row.gain for row in rows[3:]], np.array([share[0], share[2], share[3]]) - 0.25, atol=1e-9
    )
    assert_allclose([row.utility_share for row in rows[3:]], [2 * share[0], share[2], share[3]], atol=1e-9)
    assert_allclose([row.money_share for row in rows[3:]], [2 * share[0], share[2], share[3]], atol=1e-12)
    assert_allclose([row.gain for row in rows[:3]], 0, atol=1e-9)


def test_seniority_of_many_values_is_cut_into_quarters() -> None:
    market = PseudoMarket.from_arrays([[1.0, 2.0]] * 8, capacities=2, quotas=ONE)
    study = simulate_budgets(market, ratios=[2], seniority=[3, 1, 4, 1.5, 9, 2, 9, 5])
    assert [(row.tier, row.agents) for row in study.rows] == [
        ("1 to 1.5", 2),
        ("2 to 3", 2),
        ("4 to 5", 2),
        ("9", 2),
    ]


def test_without_seniority_classes_are_dealt() -> None:
    market = PseudoMarket.from_arrays([[1.0]] * 8, capacities=2)
    study = simulate_budgets(market, ratios=[1, 3], draws=2, seed=1)
    assert len(study.rows) == 3 * 4
    assert {row.agents for row in study.rows} == {2}
    assert [round(row.budget, 3) for row in study.classes()[4:]] == [1, 1.667, 2.333, 3]
    assert study.records() == simulate_budgets(market, ratios=[1, 3], draws=2, seed=1).records()


def test_withdrawals_by_solving_without() -> None:
    study = simulate_withdrawals(MARKET, agents=["agent1"], goods=["good3"])
    values = MARKET.values.toarray()
    before = solved_utility(MARKET, values)
    leaver, good = study.withdrawals
    rest = PseudoMarket.from_arrays(values[1:], capacities=1, quotas=ONE)
    assert_allclose(leaver.utility_change[1:], solved_utility(rest, values[1:]) - before[1:], atol=1e-8)
    assert np.isnan(leaver.utility_change[0])
    fewer = PseudoMarket.from_arrays(values[:, :2], capacities=1, quotas=ONE)
    after = solved_utility(fewer, values[:, :2]) * values[:, :2].max(axis=1) / values.max(axis=1)
    assert_allclose(good.utility_change, after - before, atol=1e-8)
    assert good.losers >= 1
    assert np.isnan(good.price_change[2])
    assert leaver.counts
    assert good.counts
    assert len(study.records()) == 2 * (3 + 3)


def test_who_leaves_is_bound_by_nothing() -> None:
    market = PseudoMarket.from_arrays(
        [[2, 1], [1, 2]],
        capacities=1,
        quotas=[Quota("must", min=1, max=1), Quota("own", ("good1",), max=1, agents=("agent1",))],
        tapers=[Taper("taper", (0, -1))],
        limits=[Limit("limit", 2)],
    )
    rest = without_agent(market, 0)
    assert np.diff(rest.values.indptr).tolist() == [0, 2]
    assert [bound.lower.tolist() for bound in rest.bound_sets] == [[0, 1], [0, 0], [0, 0]]
    (gone,) = simulate_withdrawals(market, agents=["agent1"], goods=0).withdrawals
    assert gone.counts


def test_a_withdrawal_that_leaves_nothing_feasible_is_a_row_that_says_so() -> None:
    market = PseudoMarket.from_arrays([[2, 1], [1, 2]], capacities=1, quotas=[Quota("must", min=1, max=1)])
    study = simulate_withdrawals(market, agents=0, goods=["good1"])
    (gone,) = study.withdrawals
    assert (gone.status, gone.counts) == ("infeasible", False)
    assert np.isnan(gone.mean)
    assert {row["change"] for row in study.records()} == {None}


def test_faults_of_options_are_told_together() -> None:
    with pytest.raises(InvalidProblemError) as caught:
        simulate_preferences(MARKET, spreads=[0, np.nan], draws=0)
    assert len(caught.value.issues) == 3
    with pytest.raises(InvalidProblemError) as caught:
        simulate_budgets(MARKET, ratios=[0.5], draws=0)
    assert len(caught.value.issues) == 2
    for seniority in ([1, 1, 1], [1, 2], [1, np.inf, 2], {"agent1": 2}):
        with pytest.raises(InvalidProblemError):
            simulate_budgets(MARKET, seniority=seniority)  # type: ignore[arg-type]
    with pytest.raises(InvalidProblemError) as caught:
        simulate_withdrawals(MARKET, agents=["x"], goods=-1)
    assert [issue.found for issue in caught.value.issues] == ["x", "-1"]
