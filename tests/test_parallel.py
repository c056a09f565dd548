"""pmap: the same list by every engine, errors as raised, workers on one thread."""

import os
import pickle
import sys
import warnings
from functools import partial

import pytest
from numpy.testing import assert_array_equal

from fairlot.errors import InvalidProblemError, Issue, MissingExtraError
from fairlot.parallel import ENGINES, pmap


def square(x):
    return x * x


def refuse(limit, x):
    if x >= limit:
        raise InvalidProblemError([Issue("too large", found=str(x))])
    return x


def threads(_):
    return [os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "OPENBLAS", "MKL")], os.getpid()


class Fractions:
    def __init__(self):
        self.seen = []

    def stage(self, name):
        raise AssertionError(name)

    def update(self, fraction=None, residual=None):
        self.seen.append(fraction)


@pytest.fixture(params=ENGINES)
def engine(request):
    """Every engine, dask on a local cluster of two processes, ray on two."""
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
        ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
        yield "ray"
        ray.shutdown()
    else:
        yield request.param


def test_pmap_is_the_list_of_results_in_order_and_raises_what_was_raised(engine):
    found = Fractions()
    items = list(range(23))
    assert pmap(square, items, engine=engine, n_jobs=2, reporter=found) == [x * x for x in items]
    assert_array_equal(found.seen, [(k + 1) / 23 for k in items])
    assert pmap(square, [], engine=engine, n_jobs=2) == []
    with pytest.raises(InvalidProblemError, match="too large: found '5'") as caught:
        pmap(partial(refuse, 5), items, engine=engine, n_jobs=2)
    assert caught.value.issues == (Issue("too large", found="5"),)
    assert caught.value.__notes__ == ["item 5 of 23"]
    limits, processes = zip(*pmap(threads, items, engine=engine, n_jobs=2), strict=True)
    if engine == "serial":
        assert set(processes) == {os.getpid()}
    else:
        assert os.getpid() not in processes
        assert all(limit[0] == "1" for limit in limits)


def test_one_worker_of_joblib_is_this_process():
    assert pmap(threads, [0], n_jobs=2)[0][1] == os.getpid()


def test_an_unknown_engine_and_no_worker_are_refused():
    with pytest.raises(InvalidProblemError) as caught:
        pmap(square, [1], engine="threads", n_jobs=0)
    assert [issue.found for issue in caught.value.issues] == ["threads", "0"]


@pytest.mark.parametrize(("engine", "module"), [("dask", "distributed"), ("ray", "ray")])
def test_an_engine_that_is_not_installed_names_its_extra(monkeypatch, engine, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'fairlot\[{engine}\]'"):
        pmap(square, [1, 2], engine=engine)


@pytest.mark.parametrize(
    "error", [InvalidProblemError([Issue("a", row=3), Issue("b")]), MissingExtraError("x", "dask")]
)
def test_errors_survive_pickling(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
