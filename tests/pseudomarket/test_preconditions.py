"""Feasibility and the hypotheses of Theorems 1 and 2, against enumeration."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlot.errors import InvalidProblemError
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.flows import flow_exists
from fairlot.pseudomarket.preconditions import Severity, _witness, check_market, feasible_assignment

GOODS = ("a", "b", "c", "d")


def bundles(market: PseudoMarket, i: int, *, with_minimums: bool) -> list[tuple[int, ...]]:
    """All bundles of acceptable goods of agent i within her quotas."""
    accepted = set(market.values.indices[market.values.indptr[i] : market.values.indptr[i + 1]].tolist())
    found = []
    for bundle in product((0, 1), repeat=market.n_goods):
        held = {j for j, copies in enumerate(bundle) if copies}
        counts = [(len(held & set(bound.goods.tolist())), bound) for bound in market.bound_sets]
        if held <= accepted and all(
            count <= bound.upper[i] and (count >= bound.lower[i] or not with_minimums)
            for count, bound in counts
        ):
            found.append(bundle)
    return found


def enumerated_feasible(market: PseudoMarket, needy: set[int]) -> bool:
    rows, supply = market.supply_sets
    choices = [bundles(market, i, with_minimums=i in needy) for i in range(market.n_agents)]
    return any((rows @ np.sum(assignment, axis=0) <= supply).all() for assignment in product(*choices))


@st.composite
def markets(draw: st.DrawFn) -> PseudoMarket:
    n = draw(st.integers(1, 3))
    cells = draw(st.lists(st.sampled_from([np.nan, 0.0, 1.0, 2.0]), min_size=4 * n, max_size=4 * n))
    low = draw(st.integers(0, 2))
    inner = draw(st.integers(0, 1))
    quotas = [
        Quota("load", min=low, max=draw(st.integers(low, 4))),
        Quota("ab", goods=("a", "b"), min=inner, max=draw(st.integers(inner, 2))),
        Quota("a", goods=("a",), max=draw(st.integers(0, 1))),
    ]
    limits = [Limit("bc", max=draw(st.integers(0, 3)), goods=("b", "c"))]
    capacities = draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    return PseudoMarket.from_arrays(
        np.reshape(cells, (n, 4)), capacities, goods=GOODS, quotas=quotas, limits=limits
    )


@settings(max_examples=150, deadline=None)
@given(markets())
def test_feasible_assignment_agrees_with_enumeration(market: PseudoMarket) -> None:
    trouble = feasible_assignment(market)
    assert (trouble is None) == enumerated_feasible(market, set(range(market.n_agents)))
    if trouble is not None:
        assert trouble.required > trouble.available
        named = {market.agents.index(agent) for agent in trouble.agents}
        assert not enumerated_feasible(market, named), "the agents named must clash by themselves"


def test_hall_witness_names_agents_and_seats() -> None:
    market = PseudoMarket.from_arrays(
        [[1, 2, np.nan], [1, 2, np.nan], [3, 3, np.nan]], [1, 1, 3], quotas=[Quota("load", min=1)]
    )
    trouble = feasible_assignment(market)
    assert trouble is not None
    assert (trouble.agents, trouble.required, trouble.available) == (("agent1", "agent2", "agent3"), 3, 2)
    assert trouble.sets == ("quota 'load'", "capacity of 'good1'", "capacity of 'good2'")


def findings(market: PseudoMarket) -> dict[str, Severity]:
    return {finding.name: finding.severity for finding in check_market(market)}


def test_pm_theorem1_needs_no_equal_budgets() -> None:
    market = PseudoMarket.from_arrays(np.ones((2, 2)), [1, 1], [1.0, 2.0], quotas=[Quota("load", max=1)])
    assert findings(market)["existence"] is Severity.OK


def test_pm_theorem2_asks_for_equal_budgets_and_one_bundle_more_than_agents() -> None:
    load = [Quota("load", min=1, max=1)]
    enough = PseudoMarket.from_arrays(np.ones((2, 3)), [1, 1, 1], quotas=load)
    assert findings(enough)["feasibility condition"] is Severity.OK
    scarce = PseudoMarket.from_arrays(np.ones((2, 2)), [1, 1], quotas=load)
    assert findings(scarce)["feasibility condition"] is Severity.WARNING
    unequal = PseudoMarket.from_arrays(np.ones((2, 3)), [1, 1, 1], [1.0, 2.0], quotas=load)
    assert findings(unequal)["equal budgets"] is Severity.WARNING


def test_crossing_quotas_are_a_warning_with_both_sets_named() -> None:
    market = PseudoMarket.from_arrays(
        np.ones((1, 3)),
        1,
        quotas=[Quota("A", goods=("good1", "good2")), Quota("B", goods=("good2", "good3"))],
    )
    found = {finding.name: finding for finding in check_market(market)}
    assert found["crossing quotas"].severity is Severity.WARNING
    assert "quota 'A' and quota 'B' cross: 'good2' is in both" in found["crossing quotas"].text
    assert all(finding.severity is not Severity.FAULT for finding in found.values())


def test_crossing_limits_are_refused() -> None:
    with pytest.raises(InvalidProblemError, match="limit '01' and limit '12' cross"):
        PseudoMarket.from_arrays(
            np.ones((2, 3)),
            1,
            limits=[Limit("01", 1, ("good1", "good2")), Limit("12", 1, ("good2", "good3"))],
        )


def test_quota_inside_a_taper_is_no_module_and_still_accepted() -> None:
    market = PseudoMarket.from_arrays(
        np.ones((1, 3)),
        1,
        quotas=[Quota("one", goods=("good1", "good2"), max=1)],
        tapers=[Taper("less", (0.0, -0.5))],
    )
    (text,) = [f.text for f in check_market(market) if f.name == "M♮-concave utilities"]
    assert "is not a module" in text


def test_facts_that_surprise_are_said() -> None:
    market = PseudoMarket.from_arrays([[0, 0, np.nan], [np.nan] * 3, [1, 1, np.nan]], [1, 0, 1])
    names = [finding.name for finding in check_market(market) if not finding.passed]
    assert names == [
        "goods nobody accepts",
        "goods without seats",
        "agents who accept nothing",
        "agents who want nothing",
    ]


@settings(max_examples=150, deadline=None)
@given(markets())
def test_the_flow_says_what_the_linear_program_says(market: PseudoMarket) -> None:
    families = market.families
    needy = np.zeros(market.n_agents, dtype=bool)
    needy[families.agent[families.lower > 0]] = True
    if needy.any() and not families.infeasible:
        assert flow_exists(market, needy) == (_witness(market, needy) is None)
