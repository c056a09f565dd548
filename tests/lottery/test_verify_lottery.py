"""For every check of lotteries, assignments and decompositions, a wrong answer that fails just that one."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from lottery_cases import random_lottery, totals_of

from fairlot.lottery import decompose, lottery_from_shares, market_lottery
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.lotteries import UNDECLARED, Assignment, CellSets, Decomposition, Lottery
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.verify.lottery import (
    REQUIRED,
    REQUIRED_OF_ASSIGNMENT,
    REQUIRED_OF_DECOMPOSITION,
    REQUIRED_OF_MARKET,
    _families,
    verify_assignment,
    verify_decomposition,
    verify_lottery,
)

AGENTS, GOODS = ("s1", "s2", "s3", "s4"), ("art", "bio", "law", "phy")
SHARES = np.array([[0.5, 0.5, 0.25, 0.75]] * 4)


def market(**changes):
    """Four agents with two goods each; sciences taper off after the first, and share a laboratory."""
    parts = {
        "values": np.tile([5.0, 4.0, 3.0, 2.0], (4, 1)),
        "capacities": [2, 2, 1, 3],
        "agents": AGENTS,
        "goods": GOODS,
        "quotas": [Quota("load", min=2, max=2), Quota("arts", goods=("art", "law"), max=1)],
        "tapers": [Taper("sciences", [0, -1], goods=("bio", "phy"))],
        "limits": [Limit("laboratory", 5, goods=("bio", "phy"))],
    }
    return PseudoMarket.from_arrays(**(parts | changes))


def shares(x=SHARES):
    return RandomAllocation(AGENTS, GOODS, sp.csr_array(x))


def failing(certificate, required):
    assert certificate.required == required
    assert sorted(check.name for check in certificate.checks) == sorted(required)
    assert all(check.witness for check in certificate.failed)
    return [check.name for check in certificate.failed]


def lottery_without(side, names):
    """Return the market's lottery without the sets whose names start so."""
    lottery = market_lottery(market(), shares())
    sets = getattr(lottery, side)
    out = [k for k, name in enumerate(sets.names) if name.startswith(names)]
    assert out
    parent, leaf = sets.parent.copy(), sets.leaf.copy()
    for k in reversed(out):
        parent[parent == k] = parent[k]
        leaf[leaf == k] = parent[k]
    kept = np.delete(np.arange(sets.n_sets), out)
    position = np.full(sets.n_sets + 1, -1)
    position[kept] = np.arange(len(kept))
    fewer = CellSets(
        position[parent[kept]],
        sets.lower[kept],
        sets.upper[kept],
        tuple(sets.names[k] for k in kept),
        position[leaf],
    )
    return replace(lottery, **{side: fewer})


def test_right_answers_pass():
    for guarantee in ("none", "utility"):
        lottery = market_lottery(market(), shares(), guarantee=guarantee)
        assert failing(verify_lottery(lottery, shares(), market=market()), REQUIRED_OF_MARKET) == []
        assert failing(verify_lottery(lottery, shares()), REQUIRED) == []


def test_planted_ids():
    lottery = market_lottery(market(), shares())
    more = RandomAllocation((*AGENTS, "s5"), GOODS, sp.csr_array(np.vstack([SHARES, np.zeros(4)])))
    assert failing(verify_lottery(lottery, more, market=market()), REQUIRED_OF_MARKET) == ["agents and goods"]
    twice = RandomAllocation((*AGENTS, "s4"), GOODS, sp.csr_array(np.vstack([SHARES, np.zeros(4)])))
    assert failing(verify_lottery(lottery, twice), REQUIRED) == ["agents and goods"]


@pytest.mark.parametrize("change", [1e-6, np.nan])
def test_planted_expectations(change):
    x = SHARES.copy()
    x[2, 1] += change
    lottery = market_lottery(market(), shares())
    certificate = verify_lottery(lottery, shares(x), market=market())
    assert failing(certificate, REQUIRED_OF_MARKET) == ["expectations"]
    assert certificate["expectations"].witness == "agent 's3', good 'bio'"
    assert verify_lottery(lottery, shares(x), tol=1e-5).passed == (change == 1e-6)


def test_planted_declared_bounds():
    lottery = market_lottery(market(), shares())
    for name, bound in (("lower", 3), ("upper", 1)):
        wrong = getattr(lottery.agent_sets, name).copy()
        wrong[0] = bound
        sets = replace(lottery.agent_sets, **{name: wrong})
        broken = replace(lottery)
        object.__setattr__(broken, "agent_sets", sets)  # the model itself refuses such a lottery
        certificate = verify_lottery(broken, shares(), market=market())
        assert failing(certificate, REQUIRED_OF_MARKET) == ["declared bounds"]
        assert certificate["declared bounds"].residual == 1


def test_planted_unacceptable_pair():
    values = market().values.toarray()
    values[1, 0] = np.nan
    lottery = market_lottery(market(), shares())
    certificate = verify_lottery(lottery, shares(), market=market(values=values))
    assert failing(certificate, REQUIRED_OF_MARKET) == ["acceptable pairs"]
    assert certificate["acceptable pairs"].residual == 0.5


def test_planted_copies_per_agent():
    free = market(quotas=[], tapers=[], limits=[], capacities=[9] * 4, per_agent=[2] * 4)
    x = SHARES * 2
    x[0, 3] = 1.25
    lottery = market_lottery(free, shares(x))
    strict = market(quotas=[], tapers=[], limits=[], capacities=[9] * 4, per_agent=[2, 2, 2, 1])
    x[1:, 3] = 1.0
    lottery = market_lottery(free, shares(x))
    certificate = verify_lottery(lottery, shares(x), market=strict)
    assert failing(certificate, REQUIRED_OF_MARKET) == ["copies per agent"]
    assert certificate["copies per agent"].witness == "agent 's1', good 'phy'"


def test_planted_quotas():
    lottery = lottery_without("agent_sets", "quota 'arts'")
    certificate = verify_lottery(lottery, shares(), market=market())
    assert failing(certificate, REQUIRED_OF_MARKET) == ["quotas"]
    assert certificate["quotas"].residual == 1
    lottery = lottery_without("agent_sets", "agent")  # their loads
    assert failing(verify_lottery(lottery, shares(), market=market()), REQUIRED_OF_MARKET) == ["quotas"]


def test_planted_lower_bound_of_someone_without_cells():
    lottery = lottery_from_shares([[0.5], [0.0]], agents=["a", "b"], goods=["x"])
    needs = PseudoMarket.from_arrays([[1.0], [1.0]], [1], agents=["a", "b"], goods=["x"])
    given_ = RandomAllocation(("a", "b"), ("x",), sp.csr_array([[0.5], [0.0]]))
    assert verify_lottery(lottery, given_, market=needs).passed
    needs = replace(needs, quotas=(Quota("one", min=1, agents=("b",)),))
    certificate = verify_lottery(lottery, given_, market=needs)
    assert failing(certificate, REQUIRED_OF_MARKET) == ["quotas"]
    assert certificate["quotas"].witness == "quota 'one' of agent 'b'"


def test_planted_tapers():
    # 0.9 expected copies of two sciences without a set of their own may be two.
    bent = market(quotas=[Quota("load", max=4)], limits=[])
    x = SHARES * [1, 0.8, 1, 0.6]
    lottery = lottery_from_shares(x, agents=AGENTS, goods=GOODS)
    assert failing(verify_lottery(lottery, shares(x), market=bent), REQUIRED_OF_MARKET) == ["tapers"]


def test_planted_capacities():
    lottery = lottery_without("good_sets", "capacity of good 'law'")
    certificate = verify_lottery(lottery, shares(), market=market())
    assert failing(certificate, REQUIRED_OF_MARKET) == ["capacities"]
    assert certificate["capacities"].residual == 3
    assert certificate["capacities"].witness == "good 'law'"


def test_planted_limits():
    # 2.5 expected copies of two goods are 5 together, or up to 6 without a set of their own.
    x = np.array([[0.5, 0.625, 0.25, 0.625]] * 4)
    limited = market(capacities=[2, 3, 1, 3])
    assert verify_lottery(market_lottery(limited, shares(x)), shares(x), market=limited).passed
    lottery = market_lottery(replace(limited, limits=()), shares(x))
    certificate = verify_lottery(lottery, shares(x), market=limited)
    assert failing(certificate, REQUIRED_OF_MARKET) == ["limits"]
    assert certificate["limits"].residual == 1


def doubled():
    """Return a lottery whose sets leave room for two copies to change places."""
    free = np.full(2, UNDECLARED)
    return Lottery(
        ("a", "b"),
        ("x", "y"),
        [0, 0, 1, 1],
        [0, 1, 0, 1],
        [1, 1, 0, 0],
        [0, 0, 1, 1],
        2,
        CellSets([-1, -1], free, free, ("of a", "of b"), [0, 0, 1, 1]),
        CellSets([-1, -1], free, free, ("of x", "of y"), [0, 1, 0, 1]),
    )


@pytest.mark.parametrize(
    ("copies", "failed"),
    [
        ([1, 1, 1, 0], []),
        ([1, 1, 0, 1], []),
        ([2, 0, 0, 1], ["cells"]),
        ([1, 1, 1, 1], ["agent sets", "grand total"]),
        ([0, 1, 1, 1], ["cells", "agent sets"]),
    ],
)
def test_planted_assignments(copies, failed):
    lottery = doubled()
    certificate = verify_assignment(lottery, lottery.assignment(copies))
    assert failing(certificate, REQUIRED_OF_ASSIGNMENT) == failed


def test_planted_assignments_of_sets_and_total_alone():
    free = np.full(1, UNDECLARED)
    halves = {"whole": [0] * 4, "fraction": [1] * 4}
    none = CellSets([], [], [], (), [-1] * 4)
    pair = CellSets([-1], free, free, ("pair",), [0, 0, -1, -1])
    for sides, copies, failed in (
        ({"agent_sets": pair, "good_sets": none}, [1, 1, 0, 0], ["agent sets"]),
        ({"agent_sets": none, "good_sets": pair}, [1, 1, 0, 0], ["good sets"]),
        ({"agent_sets": none, "good_sets": none}, [1, 1, 1, 0], ["grand total"]),
    ):
        lottery = Lottery(
            ("a", "b"), ("x", "y"), [0, 0, 1, 1], [0, 1, 0, 1], **halves, denominator=2, **sides
        )
        certificate = verify_assignment(lottery, lottery.assignment(copies))
        assert failing(certificate, REQUIRED_OF_ASSIGNMENT) == failed


def test_planted_assignment_elsewhere_and_of_others():
    lottery = lottery_from_shares([[0.5, 0.0], [0.5, 1.0]], agents=["a", "b"], goods=["x", "y"])
    elsewhere = Assignment(("b", "a"), ("y", "x"), sp.csr_array([[0, 0], [1, 1]]))
    certificate = verify_assignment(lottery, elsewhere)
    assert "cells" in failing(certificate, REQUIRED_OF_ASSIGNMENT)
    assert certificate["cells"].witness == "agent 'a', good 'y' is no cell of the lottery"
    right = Assignment(("b", "a"), ("y", "x"), sp.csr_array([[1, 0], [0, 1]]))
    assert verify_assignment(lottery, right).passed
    others = Assignment(("b", "a", "c"), ("y", "x"), sp.csr_array([[1, 0], [0, 1], [0, 0]]))
    assert failing(verify_assignment(lottery, others), REQUIRED_OF_ASSIGNMENT) == ["agents and goods"]


def planted_terms(weights, rows, lottery):
    return Decomposition(weights, np.packbits(np.array(rows), axis=1), lottery.whole)


@pytest.mark.parametrize(
    ("weights", "rows", "failed"),
    [
        ([1, 1], [[0, 0, 1, 0], [0, 0, 0, 1]], []),
        ([1], [[0, 0, 1, 0]], ["weights", "expectations"]),
        ([2, 0], [[0, 0, 1, 0], [0, 0, 0, 1]], ["weights", "expectations"]),
        ([2], [[0, 0, 1, 0]], ["expectations"]),
        ([1, 1], [[0, 0, 1, 1], [0, 0, 0, 0]], ["agent sets", "grand total"]),
    ],
)
def test_planted_decompositions(weights, rows, failed):
    lottery = doubled()
    certificate = verify_decomposition(lottery, planted_terms(weights, rows, lottery))
    assert failing(certificate, REQUIRED_OF_DECOMPOSITION) == failed


def test_planted_decompositions_of_weights_order_length_and_cells():
    lottery = lottery_from_shares(np.full((1, 2), 0.5), rows=False, columns=False)
    up, down = [1, 0], [0, 1]
    d = lottery.denominator
    for weights, rows, failed in (
        ([d // 4, d // 2, d // 4], [up, down, up], ["order"]),
        ([d // 4] * 4, [up, down, up, down], ["length"]),
        ([d // 2, d // 2, 0], [up, down, up], ["weights"]),
    ):
        terms = planted_terms(weights, rows, lottery)
        assert failing(verify_decomposition(lottery, terms), REQUIRED_OF_DECOMPOSITION) == failed
    certain = lottery_from_shares([[1.0, 1.0]], rows=False, columns=False)
    terms = Decomposition([d // 2, d // 2], np.packbits([[1, 0], [0, 1]], axis=1), [0, 0])
    certificate = verify_decomposition(certain, terms)
    assert set(failing(certificate, REQUIRED_OF_DECOMPOSITION)) >= {"cells"}
    assert failing(verify_decomposition(lottery, decompose(lottery)), REQUIRED_OF_DECOMPOSITION) == []


@given(seed=st.integers(0, 10**9))
@settings(max_examples=150, deadline=None)
def test_totals_agree_with_slow_sums_and_reach_is_what_sets_leave_open(seed):
    lottery = random_lottery(seed)
    for family in _families(lottery):
        assert family.totals == totals_of(family.sets, lottery.numerators)
        assert family.sums(lottery.whole).tolist() == totals_of(family.sets, lottery.whole.tolist())
        rng = np.random.default_rng(seed)
        inside = rng.random(lottery.n_cells) < 0.7
        label = rng.integers(0, 2, lottery.n_cells)
        least, most = family.reach(inside, label, 2)
        assert (least.tolist(), most.tolist()) == slow_reach(family.sets, lottery, inside, label)


def slow_reach(sets, lottery, inside, label):
    """Cover each label's cells by the largest sets within them, walking up from each cell."""
    d, members = lottery.denominator, [set() for _ in range(sets.n_sets)]
    for cell, leaf in enumerate(sets.leaf.tolist()):
        while leaf >= 0:
            members[leaf].add(cell)
            leaf = int(sets.parent[leaf])
    bounds = []
    for one in range(2):
        wanted = {cell for cell in range(lottery.n_cells) if inside[cell] and label[cell] == one}
        left, low, high = set(wanted), 0, 0
        pieces = [m for m in members if m and m <= wanted] + [{cell} for cell in wanted]
        for piece in sorted(pieces, key=len, reverse=True):
            if piece <= left:
                left -= piece
                n = sum(lottery.numerators[cell] for cell in piece)
                low, high = low + n // d, high - (-n // d)
        bounds.append((low, high))
    return [low for low, _ in bounds], [high for _, high in bounds]
