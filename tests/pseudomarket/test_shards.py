"""Equilibria over shards: the joint road's, whoever owns the agents, and whoever is lost on the way."""

import os
import signal
import sys
import warnings
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fairlot.certificate import Status
from fairlot.crew import Crew
from fairlot.errors import InvalidProblemError
from fairlot.model.constraints import Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.progress import NullReporter
from fairlot.pseudomarket.sharded import solve_shards, split_market
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.testing import course_market, unit_demand

MARKETS = {
    "lower quotas": lambda: course_market(90, 12, 0, 1.3, departments=3),
    "limits": lambda: course_market(90, 12, 1, 0.9, departments=3, limits=True, acceptable=0.6),
    "tapers": lambda: course_market(90, 12, 2, 0.6, departments=3, tapers=True),
    "budgets": lambda: course_market(90, 12, 3, 0.9, majors=False, unequal_budgets=True),
    "unit demand": lambda: unit_demand(60, 8, 1),
}


@pytest.mark.parametrize("name", MARKETS)
@pytest.mark.parametrize("n_parts", [1, 4])
def test_shards_find_the_equilibrium_of_the_joint_road(name, n_parts):
    market = MARKETS[name]()
    whole = solve_equilibrium(market, method="joint")
    found = solve_shards(split_market(market, n_parts), engine="serial")
    assert found.status is Status.CERTIFIED
    assert found.n_agents == market.n_agents
    assert found.satiated == whole.satiated.sum()
    assert_allclose(found.prices, whole.prices, rtol=0, atol=1e-11)
    assert_allclose(found.row_prices, whole.row_prices, rtol=0, atol=1e-11)
    shares = np.vstack([part.matrix.toarray() for part in found.kept])
    assert_allclose(shares, whole.shares.matrix.toarray(), rtol=0, atol=1e-9)


def test_parts_of_a_market_bind_whom_the_market_binds():
    quotas = [Quota("load", max=2), Quota("mine", ["b", "c"], min=[0, 1, 0, 1], max={"agent2": 1})]
    tapers = [Taper("less", (0, -1), ["a", "b"], agents=["agent4"])]
    market = PseudoMarket.from_arrays(
        np.ones((4, 3)), 2, [1, 2, 3, 4], goods=["a", "b", "c"], quotas=quotas, tapers=tapers
    )
    first, second = split_market(market, 2)
    assert first.agents + second.agents == market.agents
    assert (len(first.tapers), len(second.tapers)) == (0, 1)
    assert_array_equal(np.concatenate([first.budgets, second.budgets]), market.budgets)
    for side in ("lower", "upper"):
        for k in range(2):
            both = [getattr(part.bound_sets[k], side) for part in (first, second)]
            assert_array_equal(np.concatenate(both), getattr(market.bound_sets[k], side))
    with pytest.raises(ValueError, match="n_parts is 5"):
        split_market(market, 5)


@pytest.fixture(params=["joblib", "dask", "ray"])
def workers(request):
    """An engine with two workers in processes of their own."""
    if request.param == "dask":
        distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cluster = distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
            )
            with cluster, distributed.Client(cluster):
                yield "dask"
    elif request.param == "ray":
        ray = pytest.importorskip("ray", reason="the extra ray is not installed")
        path = os.pathsep.join(sys.path)
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            runtime_env={"env_vars": {"PYTHONPATH": path}},
        )
        yield "ray"
        ray.shutdown()
    else:
        yield "joblib"


class Killer(NullReporter):
    """Kills a worker halfway down the path, once."""

    def __init__(self, monkeypatch):
        self.crews, self.stages, self.killed = [], [], 0
        enter = Crew.__enter__

        def entered(crew):
            self.crews.append(crew)
            return enter(crew)

        monkeypatch.setattr(Crew, "__enter__", entered)

    def stage(self, name):
        self.stages.append(name)

    def update(self, fraction=None, residual=None):
        if residual is not None and residual < 1e-4 and not self.killed:
            self.killed = self.crews[-1].processes[0]
            os.kill(self.killed, signal.SIGKILL)


def test_a_lost_worker_is_replaced_from_its_last_state(workers, monkeypatch):
    parts = split_market(course_market(80, 10, 4, 0.9, departments=3), 3)
    alone = solve_shards(parts, engine="serial")
    killer = Killer(monkeypatch)
    found = solve_shards(parts, engine=workers, n_jobs=2, reporter=killer)
    assert killer.killed not in (0, os.getpid())
    assert killer.stages.count("a worker was lost: from its last state") >= 1
    assert found.stats.parameters["workers_lost"] >= 1
    assert found.status is Status.CERTIFIED
    # It did not begin again: what was done before the loss was not done twice.
    assert found.stats.iterations < 1.5 * alone.stats.iterations
    assert_allclose(found.prices, alone.prices, rtol=0, atol=1e-12)


def test_parts_are_loaded_where_they_are_owned_and_no_bit_depends_on_it(tmp_path):
    one, two = (
        solve_shards(
            [partial(load, tmp_path, k) for k in range(2)], n_jobs=n_jobs, keep=partial(note, tmp_path)
        )
        for n_jobs in (1, 2)
    )
    for k in range(2):
        loaded, kept = ((tmp_path / f"{what}-{k}").read_text() for what in ("load", "keep"))
        assert loaded == kept != str(os.getpid())
    assert_array_equal(two.prices, one.prices)
    for share, other in zip(two.kept, one.kept, strict=True):
        assert_array_equal(share, other)


def load(folder, k):
    (folder / f"load-{k}").write_text(str(os.getpid()))
    return split_market(course_market(40, 8, 4, 0.9, departments=2), 2)[k]


def note(folder, number, market, prices, shares):
    (folder / f"keep-{number}").write_text(str(os.getpid()))
    assert shares.agents == market.agents
    return shares.matrix.toarray()


def test_parts_that_do_not_fit_are_refused():
    market = course_market(30, 6, 0, departments=2)
    one, other = split_market(market, 2)
    with pytest.raises(InvalidProblemError, match="agents in several parts: found '15'"):
        solve_shards([one, one], engine="serial")
    more = PseudoMarket.from_arrays(
        other.values, other.capacities + 1, agents=other.agents, goods=other.goods
    )
    with pytest.raises(InvalidProblemError, match="part 1: capacities differ from those of part 0"):
        solve_shards([one, more], engine="serial")
    with pytest.raises(InvalidProblemError, match="no parts"):
        solve_shards([])
    with pytest.raises(InvalidProblemError, match="engine: found 'threads'"):
        solve_shards([one], engine="threads")
    greedy = PseudoMarket.from_arrays([[1.0]], [1], quotas=[Quota("two", min=2)])
    with pytest.raises(InvalidProblemError, match=r"agent 'agent1': quota 'two'.*2 copies required, 1 poss"):
        solve_shards([greedy], engine="serial")
    crossing = PseudoMarket.from_arrays(
        np.ones((1, 3)),
        1,
        quotas=[Quota("x", ["good1", "good2"], max=1), Quota("y", ["good2", "good3"], max=1)],
    )
    with pytest.raises(InvalidProblemError, match="cross"):
        solve_shards([crossing], engine="serial")


def test_agents_who_want_nothing_get_nothing():
    market = PseudoMarket.from_arrays(np.zeros((4, 2)), 1, quotas=[Quota("one", max=1)])
    found = solve_shards(split_market(market, 2), engine="serial")
    assert found.status is Status.CERTIFIED
    assert_array_equal(found.prices, 0.0)


def test_limits_on_the_effort_end_it():
    parts = split_market(course_market(80, 10, 4, 0.9, departments=3), 2)
    assert solve_shards(parts, engine="serial", max_iter=5).status is Status.ITERATION_LIMIT
    assert solve_shards(parts, engine="serial", time_limit=1e-6).status is Status.TIME_LIMIT
