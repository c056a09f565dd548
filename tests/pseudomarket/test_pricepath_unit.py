"""The closed form for agents under one bound against the general kernels, and against differences."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fairlot.model.constraints import Limit, Quota
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import compile_market
from fairlot.pseudomarket.pricepath import wants_one_bound
from fairlot.pseudomarket.pricepath.clearing import Clearing, Position, UnitClearing
from fairlot.pseudomarket.pricepath.layout import Layout, lay_out
from fairlot.pseudomarket.pricepath.solve import _start
from fairlot.testing import course_market, unit_demand


def market(seed: int) -> PseudoMarket:
    """Quotas of one or two, minimums, zero values, unacceptable pairs, a limit, rich and poor."""
    rng = np.random.default_rng(seed)
    n, n_goods = 7, 6
    values = rng.uniform(0.1, 1.0, (n, n_goods))
    values[rng.random(values.shape) < 0.3] = np.nan
    values[:, 0] = 0.0
    most = rng.integers(1, 3, n)
    least = np.where((rng.random(n) < 0.4) & (most == 1), 1, 0)
    return PseudoMarket.from_arrays(
        values,
        [n, 1, 1, 2, 1, 1],
        rng.uniform(0.5, 2.0, n),
        per_agent=2,
        quotas=[Quota("one", min=least.tolist(), max=most.tolist())],
        limits=[Limit("wing", 2, ["good2", "good3"])] if seed % 2 else [],
    )


def settled(layout: Layout, kind: type[Clearing], mu: float) -> tuple[Clearing, Position]:
    clearing, position = kind(layout, 2.0), _start(layout, None)
    position.q = np.random.default_rng(0).uniform(0.2, 0.8, len(position.q))
    while position.mu > mu:
        position.mu = max(mu, 0.3 * position.mu)
        assert clearing.settle(position, 1e-9)
    return clearing, position


@pytest.mark.parametrize("mu", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("seed", range(6))
def test_closed_form_agrees_with_factorised_agents(seed: int, mu: float) -> None:
    compiled = compile_market(market(seed))
    assert wants_one_bound(compiled)
    rng = np.random.default_rng(seed)
    layout = lay_out(compiled, rng=rng)
    slow, there = settled(layout, Clearing, mu)
    fast, here = settled(layout, UnitClearing, mu)
    for name in ("x", "z", "room", "toll"):
        assert_allclose(getattr(here.state, name), getattr(there.state, name), rtol=1e-6, atol=1e-12)
    assert_allclose(fast.surplus(here), slow.surplus(there), atol=1e-7)
    known, by_mu = slow.differentiate(there)
    found, by_mu_found = fast.differentiate(here)
    assert_allclose(found, known, rtol=1e-5, atol=1e-6 * np.abs(known).max())
    assert_allclose(by_mu_found, by_mu, rtol=1e-5, atol=1e-7)
    q_step = 0.01 * rng.standard_normal(len(here.q))
    step, slow_step = fast.new_step(), slow.new_step()
    assert_allclose(
        fast.respond(here, q_step, -0.1, step), slow.respond(there, q_step, -0.1, slow_step), rtol=1e-4
    )
    for name in ("x", "z", "room", "toll"):
        scale = np.abs(getattr(slow_step, name)).max()
        assert_allclose(getattr(step, name), getattr(slow_step, name), rtol=1e-4, atol=1e-6 * scale)


def test_wide_and_narrow_agents_sum_to_the_same_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = lay_out(compile_market(market(3)))
    wide, here = settled(layout, UnitClearing, 1e-2)
    monkeypatch.setattr("fairlot.pseudomarket.pricepath.clearing._DENSE_SHARE", 2.0)
    narrow, _ = settled(layout, UnitClearing, 1e-2)
    for known, found in zip(wide.differentiate(here), narrow.differentiate(here), strict=True):
        assert_allclose(found, known, rtol=1e-11, atol=1e-13)


def test_agents_in_chunks_sum_to_the_same_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = lay_out(compile_market(market(4)))
    whole, here = settled(layout, UnitClearing, 1e-2)
    monkeypatch.setattr("fairlot.pseudomarket.pricepath.clearing._DENSE_ENTRIES", 15)
    parts, _ = settled(layout, UnitClearing, 1e-2)
    for known, found in zip(whole.differentiate(here), parts.differentiate(here), strict=True):
        assert_allclose(found, known, rtol=1e-11, atol=1e-13)


def test_what_counts_as_one_bound() -> None:
    assert wants_one_bound(compile_market(unit_demand(5, 3)))
    assert not wants_one_bound(compile_market(course_market(12, 6, departments=2, load=2)))
    forced = PseudoMarket.from_arrays(
        [[1.0, np.nan], [1.0, 2.0]], 2, quotas=[Quota("one", min=1, max=1), Quota("two", ["good1"], max=1)]
    )
    assert not wants_one_bound(compile_market(forced))
    copies = PseudoMarket.from_arrays([[1.0, 2.0]], 3, quotas=[Quota("two", max=2)])
    assert not wants_one_bound(compile_market(copies))  # at most one copy of each is a bound too
