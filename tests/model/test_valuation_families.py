"""The families of the slides ("Examples of M♮-concave utilities") and those beside them."""

import pickle
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fairlot.model.valuations
from fairlot.errors import InvalidProblemError, NotSupportedError
from fairlot.model.valuations import (
    Additive,
    AssignmentValuation,
    Bound,
    Cardinality,
    Constrained,
    GraphicMatroid,
    LaminarConcave,
    LaminarMatroid,
    LinearMatroid,
    LowerBound,
    Oracle,
    Table,
    TransversalMatroid,
    UniformMatroid,
    UnitDemand,
    Valuation,
    WeightedRank,
)
from fairlot.testing import table_by_definition, valuations
from fairlot.verify.valuations import verify_valuation

NEG = float("-inf")


def bundles(n: int) -> list[tuple[int, ...]]:
    return [b for k in range(n + 1) for b in combinations(range(n), k)]


def test_pm_example_unit_demand() -> None:
    u = UnitDemand([4, 7, 1])
    assert all(u.value(b) == max((u.values[j] for j in b), default=0) for b in bundles(3))
    assert verify_valuation(u).passed


def test_pm_example_concave_of_cardinality() -> None:
    f = [0, 5, 8, 8]
    u = Cardinality(f)
    assert all(u.value(b) == f[len(b)] for b in bundles(3))
    assert verify_valuation(u).passed
    with pytest.raises(InvalidProblemError, match="gains 1 from 0 to 1, then 2"):
        Cardinality([0, 1, 3])


@pytest.mark.parametrize("prime", [None, 2, 3, 7])
def test_pm_example_rank_of_rows(prime: int | None) -> None:
    rows = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], [2, 2, 0]])
    u = WeightedRank(LinearMatroid(rows, prime))
    for b in bundles(4):
        expected = np.linalg.matrix_rank(rows[list(b)]) if b else 0
        if prime == 2:  # 1 + 1 = 0: the last row vanishes, the first three are dependent
            expected = min(2, len(set(b) - {3}))
        assert u.value(b) == expected
    assert verify_valuation(u).passed


def test_linear_matroid_reads_fractions_and_refuses_what_is_no_field() -> None:
    half = Fraction(1, 2)
    assert LinearMatroid([[half, 1], [1, 2]]).rank([0, 1]) == 1
    assert LinearMatroid([[half, 1], [1, 2]], prime=3).rank([0, 1]) == 1
    with pytest.raises(InvalidProblemError, match="a prime number") as caught:
        LinearMatroid([[0.5], [1, 2]], prime=4)
    assert len(caught.value.issues) == 3
    with pytest.raises(InvalidProblemError, match="no denominator divisible by 2"):
        LinearMatroid([[half]], prime=2)


def test_pm_example_edges_without_cycles() -> None:
    """On the complete graph with four vertices a bundle's rank is its vertices minus its components."""
    u = WeightedRank(GraphicMatroid.complete(4))
    edges = list(combinations(range(4), 2))
    for b in bundles(6):
        part = list(range(4))
        for j in b:
            x, y = (part[v] for v in edges[j])
            part = [x if p == y else p for p in part]
        assert u.value(b) == 4 - len(set(part))
    assert verify_valuation(u).passed


def test_a_graph_of_networkx_will_do() -> None:
    class Graph:
        edges = (("a", "b"), ("b", "c"), ("c", "a"))

    assert GraphicMatroid(Graph()) == GraphicMatroid([(0, 1), (1, 2), (2, 0)])  # type: ignore[arg-type]
    networkx = pytest.importorskip("networkx", reason="an optional library")
    graph = networkx.complete_graph(4)
    assert GraphicMatroid(graph) == GraphicMatroid.complete(4)
    multigraph = networkx.MultiGraph([(0, 1), (0, 1)])
    assert GraphicMatroid(multigraph).rank([0, 1]) == 1


@pytest.mark.parametrize(
    "matroid",
    [
        UniformMatroid(5, 2),
        LaminarMatroid(5, [([0, 1], 1), ([0, 1, 2, 3], 2)]),
        GraphicMatroid([(0, 1), (1, 2), (2, 0), (0, 0), (2, 3)]),
        LinearMatroid([[1, 0], [0, 1], [1, 1], [0, 0], [2, 0]]),
        TransversalMatroid(5, [[0, 1, 2], [2, 3], [3]]),
    ],
    ids=lambda m: m.kind,
)
def test_matroids_satisfy_the_axioms(matroid: UniformMatroid) -> None:
    independent = {frozenset(b) for b in bundles(5) if matroid.independent(b)}
    assert frozenset() in independent
    for a in independent:
        assert all(a - {j} in independent for j in a)
        for b in independent:
            if len(a) < len(b):
                assert any(a | {j} in independent for j in b - a)


def test_transversal_matroid_by_trying_all_matchings() -> None:
    sets = [(0, 1), (1, 2), (2,)]
    matroid = TransversalMatroid(4, sets)

    def placed(goods: tuple[int, ...], free: frozenset[int]) -> bool:
        return not goods or any(goods[0] in sets[k] and placed(goods[1:], free - {k}) for k in free)

    for b in bundles(4):
        assert matroid.independent(b) == placed(b, frozenset(range(3)))


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(2, 4))
def test_values_demands_and_json_of_every_family_and_operation(data: st.DataObject, n_goods: int) -> None:
    """Against tables by definition and enumeration of demand: exact, ties and lexicographic ends included."""
    u = data.draw(valuations(n_goods, depth=2))
    assert list(u.table()) == table_by_definition(u)
    assert all(isinstance(v, int | Fraction) or v == NEG for v in u.table())
    prices = data.draw(st.lists(st.fractions(-1, 4, max_denominator=2), min_size=n_goods, max_size=n_goods))
    alpha = data.draw(st.sampled_from([0, 1, Fraction(1, 2), 2]))
    demanded = u.demand_set(prices, alpha)
    cost = {b: sum(prices[j] for j in b) for b in demanded}
    worth = {b: u.value(b) - alpha * sum(prices[j] for j in b) for b in map(frozenset, bundles(n_goods))}
    assert set(demanded) == {b for b, w in worth.items() if w == max(worth.values())}
    assert u.demand(prices, alpha) in cost
    assert cost[u.cheapest_demand(prices, alpha)] == min(cost.values())
    assert cost[u.dearest_demand(prices, alpha)] == max(cost.values())
    again = Valuation.from_json(u.to_json())
    assert again == u
    assert hash(again) == hash(u)
    assert again.to_json() == u.to_json()
    assert pickle.loads(pickle.dumps(u)) == u
    names = vars(fairlot.model.valuations) | {"Fraction": Fraction, "inf": float("inf")}
    assert eval(repr(u), names) == u


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_family_and_operation_is_monotone_and_m_natural_concave(data: st.DataObject) -> None:
    certificate = verify_valuation(data.draw(valuations(data.draw(st.integers(2, 4)), depth=2)))
    assert certificate.passed, certificate.failed


def test_assignment_valuations_of_huge_and_tiny_numbers_are_exact() -> None:
    huge, tiny = 10**30, Fraction(1, 10**30)
    u = AssignmentValuation([[huge, huge + 1], [huge, 0]])
    assert u.value([0, 1]) == 2 * huge + 1
    assert AssignmentValuation([[1, 1 + tiny], [1, 0]]).value([0, 1]) == 2 + tiny
    assert u.demand([huge + 1, 0]) == {1}


def test_floats_and_numpy_numbers_go_in() -> None:
    u = Additive(np.array([0.1, 0.2]))
    assert u.value([0, 1]) == 0.1 + 0.2
    assert all(type(v) is float for v in u.values)
    assert type(Additive(np.array([1, 2])).value([0])) is int
    assert verify_valuation(AssignmentValuation(np.random.default_rng(1).random((3, 5)))).passed


def test_demand_of_a_table_is_right_even_where_goods_are_complements() -> None:
    """Example 1: no single good is worth its price, two are."""
    u = Table([0 if mask.bit_count() < 2 else 2 for mask in range(8)])
    assert len(u.demand([Fraction(2, 3)] * 3)) == 2
    assert u.cheapest_demand([1, 1, 1]) == frozenset()
    assert len(u.dearest_demand([1, 1, 1])) == 2


def test_tables_by_bundles_and_their_refusals() -> None:
    u = Table.from_bundles(2, {(0,): 10, (1,): 8, (0, 1): 11})
    assert u.table() == (NEG, 10, 8, 11)
    assert u.demand([9, 1]) == {1}
    assert Table.of(UnitDemand([1, 2])).table() == (0, 1, 2, 2)
    for values in ((), (1, 2, 3), (NEG, NEG), (0, float("inf"))):
        with pytest.raises(InvalidProblemError):
            Table(values)
    with pytest.raises(InvalidProblemError, match="nan"):
        Table((0, float("nan")))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: UnitDemand([-1]),
        lambda: UnitDemand([float("inf")]),
        lambda: UnitDemand(["a"]),
        lambda: UnitDemand([True]),
        lambda: AssignmentValuation([]),
        lambda: AssignmentValuation([[1], [1, 2]]),
        lambda: LaminarConcave(2, [([0], [0, 1, 2])]),
        lambda: LaminarConcave(3, [([0, 1], [0, 1, 1]), ([1, 2], [0, 1, 1])]),
        lambda: WeightedRank(UniformMatroid(2, 1), [1]),
        lambda: UniformMatroid(2, -1),
        lambda: LaminarMatroid(2, [Bound([0], lower=1, upper=1)]),
        lambda: LaminarMatroid(3, [([0, 1], 1), ([1, 2], 1)]),
        lambda: GraphicMatroid([(0,)]),
        lambda: TransversalMatroid(2, [[5]]),
        lambda: Bound([]),
        lambda: Bound([0], 2, 1),
        lambda: Bound([0], -1),
        lambda: Bound([-1]),
        lambda: UnitDemand([1]).value([1]),
        lambda: UnitDemand([1]).demand([1, 2]),
        lambda: UnitDemand([1]).demand([1], -1),
        lambda: UnitDemand([1]).demand([float("nan")]),
        lambda: Valuation.from_json(b"{"),
        lambda: Valuation.from_json(b'{"kind":"magic"}'),
        lambda: Valuation.from_json(b'{"kind":"additive"}'),
        lambda: Valuation.from_json(Bound([0]).to_json()),
        lambda: Valuation.from_json(b'{"kind":"additive","values":["1/0"]}'),
    ],
)
def test_what_is_no_valuation_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidProblemError):
        wrong()  # type: ignore[operator]


def test_an_oracle_is_asked_once_per_bundle_and_its_claim_spot_checked() -> None:
    asked: list[frozenset[int]] = []

    def value(bundle: frozenset[int]) -> int:
        asked.append(bundle)
        return min(len(bundle), 2)

    u = Oracle(value, size=20)
    assert len(u.demand([1] * 20, Fraction(1, 2))) == 2
    assert len(asked) == len(set(asked))
    with pytest.raises(InvalidProblemError, match=r"not M♮-concave: good \d+ cannot leave"):
        Oracle(lambda b: 2 if len(b) >= 2 else 0, size=6)
    assert Oracle(lambda b: 2 if len(b) >= 2 else 0, size=12, spot_checks=0).value([0, 1]) == 2
    late = Oracle(lambda b: NEG if len(b) != 2 else sum(b), size=4, start=[0, 1])
    assert late.demand([0, 0, 0, 0]) == {2, 3}
    with pytest.raises(InvalidProblemError, match="a bundle of the domain"):
        Oracle(lambda b: NEG if len(b) != 2 else 1, size=4)
    written = Oracle(lambda b: min(len(b), 2), size=3)
    assert Valuation.from_json(written.to_json()) == Table(written.table())
    with pytest.raises(NotSupportedError, match="20 goods"):
        u.to_json()


def test_demand_of_thirty_goods_needs_no_enumeration() -> None:
    rng = np.random.default_rng(0)
    u = AssignmentValuation(rng.integers(1, 50, (8, 30)).tolist())
    prices = rng.integers(0, 30, 30).tolist()
    found = u.demand(prices)
    surplus = u.value(found) - sum(prices[j] for j in found)
    # By linear programming duality: no matching of units to goods has a greater surplus.
    from scipy.optimize import linear_sum_assignment

    gain = np.maximum(np.array(u.units) - prices, 0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    assert surplus == gain[rows, columns].sum()
    capped = Constrained(LowerBound(Additive(rng.integers(1, 9, 30).tolist()), 2), [Bound(range(30), 0, 4)])
    assert len(capped.cheapest_demand([1] * 30)) == 4
