"""What lies gain: by the definition, for a mechanism in which none does, and as the market grows."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fairlot.baselines.mechanisms import BASELINES
from fairlot.baselines.outcome import Outcome
from fairlot.certificate import Status
from fairlot.errors import InvalidProblemError
from fairlot.io.problem import read_problem
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.simulation import misreports
from fairlot.simulation.misreports import BEST, simulate_misreports
from fairlot.simulation.playing import Drawing, Equilibrating, Played
from fairlot.simulation.replicas import replicate
from fairlot.simulation.reports import LIES, misreport, popularity
from fairlot.testing.strategies import pseudo_markets
from fairlot.verify.equilibrium import verify_equilibrium

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
RUN = {baseline.name: baseline.run for baseline in BASELINES}
ONE = [Quota("one", max=1)]


def unit(values: list[list[float]]) -> PseudoMarket:
    return PseudoMarket.from_arrays(values, capacities=1, quotas=ONE)


PAYS = unit([[4, 5, 7], [9, 0, 10], [5, 3, 7]])
"""Hylland and Zeckhauser's market: one seat each, equal budgets."""


def dictatorship(n_draws: int = 200, seed: int = 0) -> Drawing:
    return Drawing("serial-dictatorship", RUN["serial-dictatorship"], n_draws, seed)


@pytest.mark.parametrize("lie", LIES)
def test_lies_by_their_words(lie: str) -> None:
    market = PseudoMarket.from_arrays([[8, 5, 3, 2, 1], [1, 9, 9, 0, 0], [0, 9, 9, 0, 0]], capacities=1)
    popular = popularity(market)
    most = np.array([19.0, 19.0, 18.0])
    assert_allclose(popular, (market.values.toarray() / most[:, None]).mean(axis=0), rtol=1e-15)
    report = misreport(market, [0], lie, popular=popular, seed=3)
    matrix = report.values.toarray()
    assert_allclose(matrix[1:], market.values.toarray()[1:])
    noise = np.exp(0.5 * np.random.default_rng([3, 0]).standard_normal(5))
    expected = {
        "truncate": [8, 5, 3, 0, 0],
        "exaggerate": [80, 5, 3, 2, 1],
        "copy": [3, 8, 5, 2, 1],  # goods 2 and 3 are the most popular, then 1, 4, 5
        "drop-popular": [8, 0, 0, 2, 1],
        "perturb": noise * [8, 5, 3, 2, 1],
    }
    assert_allclose(matrix[0], expected[lie], rtol=1e-15)
    assert np.diff(report.values.indptr)[0] == np.count_nonzero(matrix[0])  # dropped is not acceptable


@pytest.mark.parametrize("lie", LIES)
def test_who_has_nothing_or_one_good_cannot_be_driven_out(lie: str) -> None:
    market = PseudoMarket.from_arrays([[np.nan, np.nan], [np.nan, 4.0], [1, 0]], capacities=1)
    report = misreport(market, [0, 1], lie, popular=popularity(market))
    assert np.diff(report.values.indptr).tolist() == [0, 1, 2]


def test_gain_by_definition_from_solving_twice() -> None:
    study = simulate_misreports(PAYS, lies=["truncate", "perturb"])
    honest = solve_equilibrium(PAYS)
    values = PAYS.values.toarray()
    before = (honest.shares.to_array() * values).sum(axis=1)  # type: ignore[union-attr]
    for run in study.runs:
        i = PAYS.agents.index(run.agent)
        lying = misreport(PAYS, [i], run.lie, popular=popularity(PAYS))
        found = solve_equilibrium(lying)
        after = (found.shares.to_array() * values).sum(axis=1)  # type: ignore[union-attr]
        change = (after - before) / values.max(axis=1)
        assert_allclose(run.gain, change[i], atol=1e-12)
        assert_allclose(run.others_gain, np.delete(change, i).mean(), atol=1e-12)
        assert_allclose([run.truth, run.told], np.array([before[i], after[i]]) / values[i].max(), atol=1e-12)
        assert run.unit == values[i].max()
        assert run.counts == (found.status is Status.CERTIFIED)


def test_a_lie_pays_in_a_small_market_and_not_in_a_larger_one() -> None:
    study = simulate_misreports(PAYS, lies=["perturb"], agents=["agent3"], replicas=(1, 2, 4))
    assert all(run.counts for run in study.runs)
    gains = [run.gain for run in study.runs]
    assert gains[0] > 0.01
    assert max(gains[1:]) < 1e-6


def test_the_gain_of_a_lie_shrinks_with_every_doubling_of_the_market() -> None:
    market = PseudoMarket.from_arrays([[5, 9, 1], [7, 6, 4], [5, 9, 6]], capacities=1)
    study = simulate_misreports(market, lies=["exaggerate"], agents=["agent1"], replicas=(1, 2, 4, 8))
    assert all(run.counts for run in study.runs)
    gains = [gain.mean for gain in study.gains()]
    assert gains[0] > 0.015
    assert all(after < 0.7 * before for before, after in pairwise(gains))
    assert gains[-1] > 0
    assert {run.unit for run in study.runs} == {15.0}


@given(pseudo_markets(), st.integers(0, 50))
@settings(max_examples=15, deadline=None)
def test_nobody_gains_in_any_order_of_a_serial_dictatorship(market: PseudoMarket, seed: int) -> None:
    """With distinct values and no constraint that ties agents' hands, order by order and not on average."""
    rng = np.random.default_rng(seed)
    values = rng.permutation(market.values.size + 1)[1:].astype(float)
    distinct = replace(
        market,
        values=sp.csr_array((values, market.values.indices, market.values.indptr), shape=market.values.shape),
        tapers=(),
        quotas=tuple(replace(quota, min=0) for quota in market.quotas),
        limits=(),
    )
    for order in range(5):
        study = simulate_misreports(distinct, agents=2, mechanism=dictatorship(1, order), seed=seed)
        assert all(run.gain <= 1e-12 and run.status == "drawn" and run.counts for run in study.runs)


def test_sampling_error_is_that_of_paired_draws() -> None:
    market = unit([[3, 2, 1], [3, 2, 1], [3, 1, 2]])
    (run,) = simulate_misreports(market, lies=["copy"], agents=["agent3"], mechanism=dictatorship(50)).runs
    draws = [
        RUN["serial-dictatorship"](report, 50, 0, None).draws.reshape(50, 3, 3)
        for report in (market, misreport(market, [2], "copy", popular=popularity(market)))
    ]
    change = ((draws[1] - draws[0])[:, 2] * [3, 1, 2]).sum(axis=1) / 3
    assert_allclose(run.gain, change.mean(), atol=1e-15)
    assert_allclose(run.sampling_error, change.std(ddof=1) / np.sqrt(50), atol=1e-15)


def test_shares_of_agents_lie_at_once() -> None:
    study = simulate_misreports(
        PAYS, lies=["exaggerate"], agents=0, shares=(0.6, 1.0), share_draws=2, mechanism=dictatorship(10)
    )
    assert [(run.share, run.draw, run.liars, run.agent) for run in study.runs] == [
        (0.6, 0, 2, ""),
        (0.6, 1, 2, ""),
        (1.0, 0, 3, ""),
        (1.0, 1, 3, ""),
    ]
    assert [(gain.share, gain.runs) for gain in study.gains()] == [(0.6, 2), (1.0, 2)]


def _uncertified(market: PseudoMarket, start: object = None) -> Played:
    return replace(Equilibrating()(market), status="uncertified", counts=False)


def test_what_is_not_certified_is_told_and_enters_no_mean() -> None:
    calls = []

    class Fails:
        name = "fails"

        def __call__(self, market: PseudoMarket, start: object = None) -> Played:
            calls.append(market)
            return _uncertified(market) if len(calls) == 3 else Equilibrating()(market)

    study = simulate_misreports(PAYS, lies=["perturb"], mechanism=Fails())
    assert [run.counts for run in study.runs] == [True, False, True]
    assert study.runs[1].status == "uncertified"
    (row,) = study.gains()
    assert (row.runs, row.left_out) == (2, 1)
    assert_allclose(row.mean, np.mean([study.runs[0].gain, study.runs[2].gain]), atol=1e-15)


def test_the_best_of_lies_is_each_agents_own_and_truth_is_among_them() -> None:
    study = simulate_misreports(PAYS, lies=["perturb", "copy"])
    best = study.gains()[-1]
    by_agent = {
        agent: max(0.0, *(run.gain for run in study.runs if run.agent == agent)) for agent in PAYS.agents
    }
    assert best.lie == BEST
    assert_allclose(best.mean, np.mean(list(by_agent.values())), atol=1e-15)


def test_an_agent_whose_run_does_not_count_has_no_best() -> None:
    study = simulate_misreports(PAYS, lies=["copy", "truncate"], mechanism=dictatorship(5))
    runs = [replace(run, counts=(run.lie, run.agent) != ("copy", "agent2")) for run in study.runs]
    assert [run.counts for run in misreports._best(runs)] == [True, False, True]


def _records(seed: int, n_jobs: int = 1) -> list[dict[str, object]]:
    return simulate_misreports(
        PAYS, agents=2, shares=[0.5], share_draws=1, seed=seed, n_jobs=n_jobs, mechanism=dictatorship(9)
    ).records()


def test_seeds_repeat_a_study() -> None:
    assert _records(1) == _records(1)
    assert _records(1) != _records(2)


@pytest.mark.slow
def test_workers_do_not_matter() -> None:
    assert _records(1) == _records(1, n_jobs=2)


@given(pseudo_markets(), st.integers(2, 3))
@settings(max_examples=15, deadline=None)
def test_replicas_repeat_everybody_and_everything(market: PseudoMarket, n: int) -> None:
    copied = replicate(market, n)
    assert copied.n_agents == n * market.n_agents
    assert_allclose(copied.capacities, n * market.capacities)
    assert_allclose(copied.values.toarray(), np.tile(market.values.toarray(), (n, 1)))
    for many, one in zip(copied.bound_sets, market.bound_sets, strict=True):
        assert_allclose(many.lower, np.tile(one.lower, n))
        assert_allclose(many.upper, np.tile(one.upper, n))
    assert [bound for _, bound in copied.limit_sets] == [n * bound for _, bound in market.limit_sets]


def test_an_equilibrium_repeated_is_one_of_the_replica() -> None:
    market = PseudoMarket.from_arrays(
        [[5, 3, 1], [4, 4, 2], [1, 2, 5]],
        capacities=[1, 1, 2],
        quotas=[Quota("load", max={"agent1": 1, "agent2": 2, "agent3": 2})],
        tapers=[Taper("second", (0, -1), agents=("agent2",))],
        limits=[Limit("both", 1, ("good1", "good2"))],
    )
    found = solve_equilibrium(market)
    assert found.shares is not None
    copied = replicate(market, 3)
    shares = sp.csr_array(sp.vstack([found.shares.matrix] * 3))
    again = replace(found.shares, agents=copied.agents, matrix=shares)
    assert found.prices is not None
    assert verify_equilibrium(copied, found.prices, again, row_prices=found.row_prices).passed


def test_ids_of_copies_are_new() -> None:
    market = PseudoMarket.from_arrays([[1], [1]], capacities=1, agents=["a", "a#2"])
    assert replicate(market, 2).agents == ("a", "a#2", "a##2", "a#2##2")


def test_faults_are_told_together() -> None:
    with pytest.raises(InvalidProblemError) as caught:
        simulate_misreports(PAYS, lies=["bribe"], agents=["x"], shares=[0, 2], share_draws=0, replicas=[0])
    assert len(str(caught.value).splitlines()) == 6


def test_a_market_without_an_outcome_is_a_fault() -> None:
    market = PseudoMarket.from_arrays([[1.0], [1.0]], capacities=1, quotas=[Quota("must", min=1, max=1)])
    with pytest.raises(InvalidProblemError, match="equilibrium has no outcome"):
        simulate_misreports(market)
    crossing = PseudoMarket.from_arrays(
        [[1, 1, 1]], 1, quotas=[Quota("a", ("good1", "good2"), max=1), Quota("b", ("good2", "good3"), max=1)]
    )
    with pytest.raises(InvalidProblemError):
        simulate_misreports(crossing)


def test_a_mechanism_that_fails_on_a_lie_is_a_run_that_says_so() -> None:
    def breaks(market: PseudoMarket, n_draws: int, seed: int, time_limit: float | None) -> Outcome:
        if market is not PAYS:
            raise ValueError("too clever\nby half")
        return Outcome(np.zeros((1, 9), dtype=np.int64))

    study = simulate_misreports(PAYS, lies=["copy"], agents=["agent1"], mechanism=Drawing("breaks", breaks))
    assert (study.runs[0].status, study.runs[0].counts) == ("failed: too clever", False)
    assert study.records()[0]["gain"] is None
    assert np.isnan(study.gains()[0].mean)


@pytest.mark.slow
def test_gains_vanish_with_replicas_of_student_projects() -> None:
    if not DATA.is_dir():
        pytest.skip(f"no data at {DATA}")
    market = read_problem(DATA / "glasgow-1")
    assert isinstance(market, PseudoMarket)
    study = simulate_misreports(market, agents=12, replicas=(1, 4))
    best = [gain for gain in study.gains() if gain.lie == BEST]
    assert best[0].mean > best[1].mean
    assert best[1].mean < 0.005
