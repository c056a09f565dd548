"""Beliefs: quantiles held to distribution functions, and to the textbook's moments."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from scipy.stats import qmc

from fairlot.model.beliefs import FAMILIES, Beliefs

CASES = {
    "degenerate": Beliefs.degenerate([2.0]),
    "uniform": Beliefs.uniform([0.5], [1.5]),
    "triangular": Beliefs.triangular([1.0], [4.0], mode=1.5),
    "beta": Beliefs.beta([0.25], [2.25], a=0.5, b=0.5),
    "lognormal": Beliefs.lognormal(median=[1.0], sigma=0.5),
    "normal": Beliefs.normal(mean=[1.0], sd=0.5, low=0.2, high=3.0),
}
SAME = {
    "uniform": stats.uniform(0.5, 1.0),
    "triangular": stats.triang(0.5 / 3, 1.0, 3.0),
    "beta": stats.beta(0.5, 0.5, 0.25, 2.0),
    "lognormal": stats.lognorm(0.5),
    "normal": stats.truncnorm(-1.6, 4.0, 1.0, 0.5),
}


def test_every_family_has_a_case():
    assert CASES.keys() == FAMILIES.keys()


@pytest.mark.parametrize("family", SAME)
def test_quantiles_and_distribution_match_scipy(family):
    beliefs, peer = CASES[family], SAME[family]
    u = np.linspace(1e-6, 1 - 1e-6, 501)
    assert_allclose(beliefs.types(u[:, None, None])[:, 0, 0], peer.ppf(u), rtol=1e-9, atol=1e-12)
    x = peer.ppf(u)
    assert_allclose(beliefs.cumulative(x[:, None, None])[:, 0, 0], peer.cdf(x), rtol=0, atol=1e-9)


@pytest.mark.parametrize("family", CASES)
def test_draws_stay_in_the_box(family):
    beliefs = CASES[family]
    u = np.concatenate([[0.0, 1 - 1e-16], qmc.Sobol(1, seed=1).random(256)[:, 0]])
    drawn = beliefs.types(u[:, None, None])
    assert (drawn >= beliefs.low).all()
    assert (drawn <= beliefs.high).all()
    assert_allclose(beliefs.cumulative(np.array([[1e9]])), 1.0, rtol=0, atol=0)
    assert_allclose(beliefs.cumulative(np.array([[0.0]])), 0.0, rtol=0, atol=0)


def test_tails_far_from_the_mean_keep_their_precision():
    far = Beliefs.normal(mean=[0.0], sd=1.0, low=12.0, high=np.inf)
    drawn = far.types(np.array([0.1, 0.5, 0.9])[:, None, None])[:, 0, 0]
    assert_allclose(drawn, stats.truncnorm(12, np.inf).ppf([0.1, 0.5, 0.9]), rtol=1e-6)
    assert_allclose(far.cumulative(drawn[:, None, None])[:, 0, 0], [0.1, 0.5, 0.9], rtol=1e-9)


def test_samples_are_whole_types():
    samples = np.array([[[1.0, 10.0]], [[2.0, 20.0]]])
    beliefs = Beliefs.from_samples(samples)
    assert_allclose(beliefs.low, [[1, 10]], rtol=0)
    assert_allclose(beliefs.high, [[2, 20]], rtol=0)
    drawn = beliefs.types(np.random.default_rng(0).random((100, 1, 2)))
    assert_allclose(drawn[..., 1], 10 * drawn[..., 0], rtol=0)
    assert set(drawn[:, 0, 0].tolist()) == {1.0, 2.0}


def test_families_mix_within_one_agent_and_rows_can_be_taken():
    uniform, lognormal = Beliefs.uniform([1, 2], [3, 4]), Beliefs.lognormal([5.0, 6.0], 0.5)
    both = Beliefs(
        *(np.vstack([getattr(uniform, n), getattr(lognormal, n)]) for n in ("low", "high", "family")),
        np.vstack([uniform.parameters, lognormal.parameters]),
    )
    u = np.full((2, 2), 0.5)
    assert_allclose(both.types(u), [[2, 3], [5, 6]], rtol=1e-12)
    assert_allclose(both.of([1]).types(u[:1]), [[5, 6]], rtol=1e-12)


@pytest.mark.parametrize(
    ("beliefs", "infinite"),
    [
        (Beliefs.uniform([0.0], [1.0]), True),
        (Beliefs.uniform([0.1], [1.0]), False),
        (Beliefs.beta([0.0], [1.0], 0.5, 0.5), True),
        (Beliefs.beta([0.0], [1.0], 1.5, 0.5), False),
        (Beliefs.triangular([0.0], [1.0], mode=0.0), True),
        (Beliefs.triangular([0.0], [1.0], mode=0.5), False),
        (Beliefs.lognormal([1.0], 0.5), False),
        (Beliefs.normal([1.0], 0.5), True),
        (Beliefs.from_samples([[[0.1]], [[0.2]]]), False),
    ],
)
def test_mean_of_the_reciprocal_is_judged_by_the_family(beliefs, infinite):
    assert beliefs.infinite_reciprocal_pairs.tolist() == [[infinite]]
