"""From floats and fractions to exact lotteries."""

from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from lottery_cases import noisy_lottery, random_sets, totals_of
from numpy.testing import assert_allclose

from fairlot.errors import InvalidProblemError
from fairlot.lottery import CellSet, lottery_from_shares, repair_report
from fairlot.lottery.cells import Expectations
from fairlot.lottery.exact import FLOAT_DENOMINATOR, _imbalance, exact_lottery, prune
from fairlot.lottery.graph import circulation
from fairlot.model.lotteries import UNDECLARED, CellSets
from fairlot.model.shares import RandomAllocation


def test_fractions_are_kept_over_their_common_denominator():
    shares = [[Fraction(1, 3), Fraction(5, 2)], [Fraction(2, 3), 1]]
    lottery = lottery_from_shares(shares, agents=["b", "a"])
    assert lottery.agents == ("a", "b")
    assert lottery.denominator == 6
    assert lottery.numerators == [4, 6, 2, 15]


def test_a_denominator_of_more_than_62_bits_is_rounded():
    x = Fraction(1, 2**40 + 1) + Fraction(1, 3**25)
    shares = [[x, 1 - x], [1 - x, x]]
    lottery = lottery_from_shares(shares)
    assert lottery.denominator == FLOAT_DENOMINATOR
    assert lottery.agent_sets.totals(lottery.whole, lottery.fraction, lottery.denominator)[-1] == 2 * 2**52


@given(seed=st.integers(0, 10**9), noise=st.sampled_from([0.0, 1e-15, 1e-12, 2e-11]))
@settings(max_examples=300, deadline=None)
def test_totals_that_mean_integers_are_integers_and_the_change_is_noise(seed, noise):
    lottery, exact, given_ = noisy_lottery(seed, noise)
    assert len(exact) == lottery.n_cells
    d = lottery.denominator
    for sets in (lottery.agent_sets, lottery.good_sets):
        for meant, total in zip(totals_of(sets, exact), totals_of(sets, lottery.numerators), strict=True):
            assert abs(Fraction(total, d) - meant) < Fraction(1, 10**9)
            assert meant.denominator > 1 or total == meant * d
    change = np.abs(lottery.whole + lottery.fraction / d - given_.copies)
    assert change.max() <= 40 * max(noise, 1e-15)
    graph = circulation(lottery)
    assert not _imbalance(graph.n_nodes, graph.tail, graph.head, graph.flow, d).any()


@given(seed=st.integers(0, 10**9))
@settings(max_examples=300, deadline=None)
def test_shares_as_small_as_the_tolerance_are_repaired_too(seed):
    # Multiples of 0.4 tol: cells, sets and what is routed are all near the snapping threshold.
    rng = np.random.default_rng(seed)
    n, tol = int(rng.integers(2, 25)), 1e-9
    copies = rng.integers(0, 3, n) + 0.4 * tol * rng.integers(-7, 8, n)
    copies[rng.random(n) < 0.3] += 0.5
    copies = np.abs(copies)
    cells = np.array([(k // 5, k % 5) for k in range(n)])
    given_ = Expectations(tuple("abcde"), tuple("vwxyz"), cells[:, 0], cells[:, 1], copies)
    lottery = exact_lottery(given_, random_sets(rng, n, 5), random_sets(rng, n, 5), "reallocation", tol)
    expected = np.zeros(25)
    expected[5 * lottery.cell_agent + lottery.cell_good] = (
        lottery.whole + lottery.fraction / lottery.denominator
    )
    assert_allclose(expected[:n], copies, rtol=0, atol=60 * tol)


def test_many_shares_below_the_tolerance_do_not_move_a_row():
    # 400 shares of half the tolerance are 200 times the tolerance together.
    row = np.full(402, 5e-10)
    row[:2] = 0.5 - 200 * 5e-10
    assert abs(row.sum() - 1) < 1e-12
    lottery = lottery_from_shares(row[None, :], columns=False)
    assert sum(lottery.numerators) == lottery.denominator
    assert lottery.n_cells == 2


def test_noise_of_many_rows_is_spread_and_does_not_add_up_somewhere():
    # 300 rows lack 0.9e-9 each; one column alone has room for what they need together.
    rng = np.random.default_rng(0)
    x = np.column_stack([np.full((300, 3), 0.25), np.full(300, 0.25 - 9e-10)])
    x += 1e-13 * rng.normal(size=x.shape)
    x[:, 3] += 2e-4
    x[:, 0] -= 2e-4
    lottery = lottery_from_shares(x)
    change = np.abs(lottery.expectations().to_array() - x[np.argsort([f"agent{i + 1}" for i in range(300)])])
    assert change.max() < 1e-9
    assert (np.array(lottery.agent_sets.totals(lottery.whole, lottery.fraction, 2**52)) % 2**52 == 0).all()


def test_totals_are_snapped_relative_to_their_size():
    x = np.full((500, 1), 0.5 + 1e-10)  # 250 + 5e-8
    seats = CellSet("seats", upper=250)
    lottery = lottery_from_shares(x, good_sets=[seats])
    assert sum(lottery.numerators) == 250 * 2**52
    with pytest.raises(InvalidProblemError, match="seats"):
        lottery_from_shares(x + 1e-8, good_sets=[seats])


def test_a_bound_exceeded_within_the_tolerance_is_met_and_beyond_it_named():
    shares = np.array([[0.5, 0.5 + 2e-10], [0.5, 0.5]])
    seats = CellSet("seats of law", goods=("good2",), upper=1)
    lottery = lottery_from_shares(shares, good_sets=[seats])
    assert lottery.good_sets.names == ("good 'good1'", "good 'good2' and seats of law")
    assert lottery.good_sets.totals(lottery.whole, lottery.fraction, lottery.denominator)[1] == 2**52
    with pytest.raises(InvalidProblemError, match=r"seats of law: a declared bound .* at most 1"):
        lottery_from_shares(np.array([[0.5, 0.5 + 1e-6], [0.5, 0.5]]), good_sets=[seats])
    with pytest.raises(InvalidProblemError, match="two each: a declared bound"):
        lottery_from_shares(shares, agent_sets=[CellSet("two each", agents=("agent1",), lower=2)])


def test_a_lower_bound_on_cells_without_shares_is_named():
    with pytest.raises(InvalidProblemError, match="night shifts: a declared bound"):
        lottery_from_shares([[0.0, 1.0]], agent_sets=[CellSet("night shifts", goods=("good1",), lower=1)])


@pytest.mark.parametrize("bad", [-1e-3, np.nan, np.inf, 1e300])
def test_shares_that_are_none_are_named(bad):
    with pytest.raises(InvalidProblemError, match="agent 'agent1', good 'good2'"):
        lottery_from_shares([[0.5, bad], [0.5, 0.5]])


def test_negative_noise_is_no_share():
    lottery = lottery_from_shares([[0.5, 0.5, -1e-12], [0.5, 0.5, 1e-12]])
    assert lottery.n_cells == 4


def test_negative_fractions_are_refused_however_small():
    with pytest.raises(InvalidProblemError):
        lottery_from_shares([[Fraction(-1, 10**15), 1]])


def test_crossing_sets_are_named_with_cells_that_show_it():
    sets = [CellSet("mornings", goods=("good1", "good2")), CellSet("labs", goods=("good2", "good3"))]
    with pytest.raises(InvalidProblemError) as error:
        lottery_from_shares(np.full((1, 3), 1 / 3), good_sets=sets)
    message = str(error.value)
    assert "mornings and labs cross: agent 'agent1', good 'good2' is in both" in message
    assert "good 'good1' only in the first" in message
    # On different sides they may.
    lottery_from_shares(np.full((1, 3), 1 / 3), agent_sets=sets[:1], good_sets=sets[1:])


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (CellSet("s", agents=("nobody",)), "unknown agent"),
        (CellSet("s", goods=("nothing",)), "unknown good"),
        (CellSet("s", agents="agent1"), "agents"),
        (CellSet("s", cells=[("agent1", "x")]), "unknown good"),
        (CellSet("s", lower=-1), "lower bound"),
        (CellSet("s", upper=1.5), "upper bound"),
    ],
)
def test_faults_of_sets(one, message):
    with pytest.raises(InvalidProblemError, match=message):
        lottery_from_shares([[0.5, 0.5]], agent_sets=[one])


def test_faults_of_shares():
    for shares, options in (
        ([0.5, 0.5], {}),
        ([[0.5, 0.5]], {"agents": ["a", "b"]}),
        ([[0.5, 0.5]], {"goods": ["x", "x"]}),
        (np.array([[Fraction(1, 2), 0.5]], dtype=object), {}),
    ):
        with pytest.raises(InvalidProblemError):
            lottery_from_shares(shares, **options)


def test_sets_of_single_cells_and_of_products():
    diagonal = CellSet("diagonal", cells=[("agent1", "good1"), ("agent2", "good2")])
    block = CellSet("block", agents=("agent1",), goods=("good1", "good2"))
    lottery = lottery_from_shares(
        np.full((2, 3), 0.5), agent_sets=[diagonal], good_sets=[block], rows=False, columns=False
    )
    assert lottery.agent_sets.leaf.tolist() == [0, -1, -1, -1, 0, -1]
    assert lottery.good_sets.leaf.tolist() == [0, 0, -1, -1, -1, -1]


def test_sparse_frames_and_allocations_are_the_same_shares():
    dense = np.array([[0.25, 0.0], [0.75, 1.0]])
    names = {"agents": ("x", "y"), "goods": ("p", "q")}
    from_dense = lottery_from_shares(dense, **names).to_json()
    assert lottery_from_shares(sp.csr_array(dense), **names).to_json() == from_dense
    assert lottery_from_shares(RandomAllocation(**names, matrix=sp.csr_array(dense))).to_json() == from_dense


@given(seed=st.integers(0, 10**9))
@settings(max_examples=200, deadline=None)
def test_pruning_keeps_exactly_the_distinct_sets_with_cells(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 9))
    sets = random_sets(rng, n, 7)
    kept = np.flatnonzero(rng.random(n) < 0.7)

    def contents(family, cells):
        members = [set() for _ in range(family.n_sets)]
        for k, leaf in enumerate(family.leaf[cells].tolist()):
            while leaf >= 0:
                members[leaf].add(k)
                leaf = int(family.parent[leaf])
        return [frozenset(m) for m in members]

    pruned = contents(prune(sets, kept), np.arange(len(kept)))
    assert len(set(pruned)) == len(pruned)
    assert set(pruned) == set(contents(sets, kept)) - {frozenset()}


def test_pruning_joins_bounds_and_names():
    sets = CellSets([-1, 0, 1], [UNDECLARED, 1, 2], [5, UNDECLARED, 3], ("all", "some", "few"), [2, 2])
    joined = prune(sets, np.arange(2))
    assert (joined.names, joined.lower.tolist(), joined.upper.tolist()) == (
        ("all and some and few",),
        [2],
        [3],
    )


def test_the_report_names_what_changed_most():
    row = np.array([[0.5, 0.5 + 4e-10, 0.0], [0.0, 0.0, 1e-10]])
    shares = RandomAllocation(("b", "a"), ("x", "y", "z"), sp.csr_array(row))
    lottery = lottery_from_shares(shares, columns=False)
    report = repair_report(shares, lottery)
    assert report.cell in {("b", "x"), ("b", "y")}
    # What the row has too much is taken from both of its cells.
    assert_allclose(report.largest_change, 2e-10, rtol=1e-6)
    assert_allclose(report.total_change, 5e-10, rtol=1e-6)
    assert_allclose(report.largest_set_change, 4e-10, rtol=1e-6)
    assert report.set_name == "agent 'b'"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("big", [1e8, 5e8, 2e9])
def test_totals_of_very_many_copies_stay_what_they_are(big, seed):
    shares = np.random.default_rng(seed).random((8, 6))
    for _ in range(300):
        shares *= 8 * big / 6 / shares.sum(axis=0)
        shares *= (big / shares.sum(axis=1))[:, None]
    given = RandomAllocation([f"a{i}" for i in range(8)], [f"g{j}" for j in range(6)], sp.csr_array(shares))
    lottery = lottery_from_shares(given)
    totals = lottery.agent_sets.totals(lottery.whole, lottery.fraction, lottery.denominator)
    assert sorted(total / lottery.denominator for total in totals if total) == [big] * 8 + [8 * big]
