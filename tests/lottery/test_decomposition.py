"""Decompositions: exact, short, by largest steps."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lottery_cases import is_realisation, random_lottery

from fairlot.lottery import decompose, lottery_from_shares
from fairlot.lottery.graph import circulation
from fairlot.verify.lottery import verify_decomposition


def mixture(n, n_terms, seed):
    """Average random permutations of n with random weights."""
    rng = np.random.default_rng(seed)
    shares = np.zeros((n, n))
    for weight in rng.dirichlet(np.ones(n_terms)):
        shares[np.arange(n), rng.permutation(n)] += weight
    return shares


@given(seed=st.integers(0, 10**9))
@settings(max_examples=300, deadline=None)
def test_weighted_assignments_are_the_lottery_exactly(seed):
    lottery = random_lottery(seed, size=7, denominator=[None, 2**52, 2**62][seed % 3])
    terms = decompose(lottery)
    assert sum(terms.weights.tolist()) == lottery.denominator
    assert (np.diff(terms.weights) <= 0).all()
    published = [0] * lottery.n_cells
    for t, weight in enumerate(terms.weights.tolist()):
        copies = terms.copies(t).tolist()
        assert is_realisation(lottery, copies)
        published = [n + weight * z for n, z in zip(published, copies, strict=True)]
    assert published == lottery.numerators
    assert verify_decomposition(lottery, terms).passed


@given(seed=st.integers(0, 10**9))
@settings(max_examples=200, deadline=None)
def test_no_more_terms_than_the_dimension_and_one(seed):
    lottery = random_lottery(seed, size=6, denominator=2**52)
    graph = circulation(lottery).fractional()[1]
    # Dimension of the cycle space of the fractional edges: edges less nodes plus components.
    component = list(range(graph.n_nodes))

    def find(v):
        while component[v] != v:
            v = component[v]
        return v

    cycles = 0
    for u, v in zip(graph.tail.tolist(), graph.head.tolist(), strict=True):
        u, v = find(u), find(v)
        cycles += u == v
        component[u] = v
    assert decompose(lottery).n_terms <= cycles + 1


@given(seed=st.integers(0, 10**9))
@settings(max_examples=80, deadline=None)
def test_every_weight_is_the_best_by_enumeration(seed):
    lottery = random_lottery(seed, size=3)
    free = np.flatnonzero(lottery.fraction).tolist()
    roundings = []
    for bits in itertools.product((0, 1), repeat=len(free)):
        copies = lottery.whole.tolist()
        for cell, bit in zip(free, bits, strict=True):
            copies[cell] += bit
        if is_realisation(lottery, copies):
            roundings.append(bits)
    rest, remaining = lottery.denominator, [int(lottery.fraction[cell]) for cell in free]
    terms = decompose(lottery)

    # Sets count as well as cells: their totals too must be rounded by what remains.
    graph = circulation(lottery)
    for t, weight in enumerate(terms.weights.tolist()):
        copies = (terms.copies(t) - lottery.whole)[free].tolist()
        assert tuple(copies) in roundings
        assert weight == max(room(graph, lottery, remaining, rest, bits, free) for bits in roundings)
        remaining = [r - weight * z for r, z in zip(remaining, copies, strict=True)]
        rest -= weight
    assert rest == 0


def room(graph, lottery, remaining, rest, bits, free):
    """Return the largest weight of a rounding: no cell and no set total leaves [0, rest] beyond its floor."""
    least = [r if z else rest - r for r, z in zip(remaining, bits, strict=True)]
    d = lottery.denominator
    for sets in (lottery.agent_sets, lottery.good_sets):
        zeros = np.zeros(lottery.n_cells, dtype=np.int64)
        up, part = zeros.copy(), zeros.copy()
        up[free], part[free] = bits, remaining
        floors = [n // d for n in sets.totals(zeros, lottery.fraction, d)]
        for floor, left, z in zip(
            floors, sets.totals(zeros, part, d), sets.totals(up, zeros, 1), strict=True
        ):
            r = left - floor * rest  # what remains of the total's own fractional part
            least.append(r if z > floor else rest - r)
    return min([*least, rest])


def test_few_terms_for_mixtures_of_few_permutations():
    for seed in range(3):
        lottery = lottery_from_shares(mixture(40, 10, seed))
        assert decompose(lottery).n_terms <= 25


def test_a_certain_lottery_has_one_term():
    lottery = lottery_from_shares([[1.0, 2.0]])
    terms = decompose(lottery)
    assert (terms.n_terms, terms.weights.tolist()) == (1, [lottery.denominator])
    assert terms.copies(0).tolist() == [1, 2]
    assert decompose(lottery_from_shares([[0.0]])).n_terms == 1


def test_terms_travel_with_the_file():
    lottery = lottery_from_shares(mixture(5, 3, 0))
    terms = decompose(lottery)
    again = type(lottery).from_json(lottery.with_terms(terms).to_json())
    assert again.terms.weights.tolist() == terms.weights.tolist()
    assert verify_decomposition(lottery, again.terms).passed


def test_progress_is_told():
    told = []

    class Listener:
        def stage(self, name):
            told.append(name)

        def update(self, fraction=None, residual=None):
            told.append(fraction)

    decompose(lottery_from_shares(mixture(5, 3, 0)), reporter=Listener())
    assert told[0] == "decomposition"
    assert told[-1] == pytest.approx(1.0, abs=0)
    assert told[1:] == sorted(told[1:])
