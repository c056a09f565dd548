"""Hard families, with `auto`: certified, or infeasible with a witness; counts over many in a slow sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from fairlot.certificate import Status
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.equilibrium import Equilibrium
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.testing import pseudo_markets, unit_demand

Maker = Callable[[np.random.Generator, int, int], PseudoMarket]
ONE = [Quota("one", max=1)]
TIED = [Quota("one", min=1, max=1)]


def identical(rng: np.random.Generator, n: int, n_goods: int) -> PseudoMarket:
    return PseudoMarket.from_arrays(
        np.tile(rng.random(n_goods), (n, 1)), rng.integers(1, 4, n_goods), quotas=ONE
    )


def identical_tied(rng: np.random.Generator, n: int, n_goods: int) -> PseudoMarket:
    values = np.tile(rng.integers(0, 5, n).astype(float), (n, 1))
    return PseudoMarket.from_arrays(values, 1, quotas=TIED)


def thin(rng: np.random.Generator, n: int, n_goods: int) -> PseudoMarket:
    values = rng.integers(0, 4, (n, n_goods)).astype(float)
    return PseudoMarket.from_arrays(values, rng.integers(1, 4, n_goods), quotas=ONE)


def thin_tied(rng: np.random.Generator, n: int, n_goods: int) -> PseudoMarket:
    return PseudoMarket.from_arrays(rng.integers(0, 10, (n, n)).astype(float), 1, quotas=TIED)


def rich_and_poor(rng: np.random.Generator, n: int, n_goods: int) -> PseudoMarket:
    budgets = 10 ** rng.uniform(-3, 3, n)
    return PseudoMarket.from_arrays(
        rng.random((n, n_goods)), rng.integers(1, 4, n_goods), budgets, quotas=ONE
    )


def one_good(rng: np.random.Generator, n: int, n_goods: int) -> PseudoMarket:
    return PseudoMarket.from_arrays(rng.random((n, 1)), int(rng.integers(1, n + 2)), quotas=ONE)


def one_agent(rng: np.random.Generator, n: int, n_goods: int) -> PseudoMarket:
    values = rng.random((1, n_goods))
    return PseudoMarket.from_arrays(values, rng.integers(1, 4, n_goods), quotas=[Quota("two", max=2)])


def plenty(rng: np.random.Generator, n: int, n_goods: int) -> PseudoMarket:
    values = rng.random((n, n_goods))
    return PseudoMarket.from_arrays(values, rng.integers(n, 2 * n, n_goods), quotas=[Quota("two", max=2)])


def limits_and_tapers(rng: np.random.Generator, n: int, n_goods: int) -> PseudoMarket:
    wing = [f"good{j + 1}" for j in range(max(1, n_goods // 2))]
    return PseudoMarket.from_arrays(
        rng.integers(1, 5, (n, n_goods)).astype(float),
        rng.integers(1, 4, n_goods),
        quotas=[Quota("three", max=3)],
        tapers=[Taper("more", (0, -1, -2))],
        limits=[Limit("wing", max(1, n // 2), wing)],
    )


FAMILIES: list[Maker] = [
    identical,
    identical_tied,
    thin,
    thin_tied,
    rich_and_poor,
    one_good,
    one_agent,
    plenty,
    limits_and_tapers,
]


def settled(found: Equilibrium) -> bool:
    """Certified, or refused with somebody named."""
    if found.status is Status.INFEASIBLE:
        return found.infeasibility is not None and bool(found.infeasibility.agents)
    return found.status is Status.CERTIFIED and found.certificate.passed


def made(family: Maker, seed: int) -> PseudoMarket:
    rng = np.random.default_rng(seed)
    return family(rng, int(rng.integers(2, 11)), int(rng.integers(2, 11)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("seed", range(2))
def test_hard_family_is_settled(family: Maker, seed: int) -> None:
    assert settled(solve_equilibrium(made(family, seed)))


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(pseudo_markets(lower=False))
def test_without_minimums_every_market_is_certified(market: PseudoMarket) -> None:
    """Theorem 1 promises an equilibrium, whatever the budgets."""
    assert settled(solve_equilibrium(market))


@pytest.mark.parametrize("kind", ["uniform", "binary"])
def test_unit_demand_takes_the_path_first(kind: str) -> None:
    found = solve_equilibrium(unit_demand(30, 30, 1, kind))
    assert settled(found)
    assert found.stats.method == "path"


@pytest.mark.slow
def test_sweep_over_hard_families() -> None:
    counts = Counter(
        (family.__name__, settled(solve_equilibrium(made(family, seed))))
        for family in FAMILIES
        for seed in range(25)
    )
    failed = {name: count for (name, good), count in counts.items() if not good}
    assert not failed, failed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_independent_uniform_values_at_200(seed: int) -> None:
    assert settled(solve_equilibrium(unit_demand(200, 200, seed, "uniform"), method="path"))
