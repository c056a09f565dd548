"""Draws: every set rounded, expectations exact, many draws in any order of walking."""

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lottery_cases import is_realisation, random_lottery

from fairlot.errors import InvalidProblemError
from fairlot.lottery import draw_walk, lottery_from_shares, sample, sampling
from fairlot.lottery.graph import circulation
from fairlot.lottery.walk import OUT_OF_BITS, happens, random_bytes, walk_part, workspace
from fairlot.verify.lottery import verify_assignment


def seed_of(*parts):
    return hashlib.sha256(repr(parts).encode()).digest()


@given(seed=st.integers(0, 10**9))
@settings(max_examples=200, deadline=None)
def test_the_graph_is_conserved_and_no_node_touches_one_fractional_edge(seed):
    graph = circulation(random_lottery(seed))
    net, touched = [0] * graph.n_nodes, [0] * graph.n_nodes
    for u, v, f in zip(graph.tail.tolist(), graph.head.tolist(), graph.flow.tolist(), strict=True):
        net[u] -= f
        net[v] += f
        touched[u] += f > 0
        touched[v] += f > 0
    assert all(total % graph.denominator == 0 for total in net)
    assert 1 not in touched


@given(seed=st.integers(0, 10**9), merge=st.booleans())
@settings(max_examples=300, deadline=None)
def test_every_draw_rounds_every_cell_and_set(seed, merge):
    lottery = random_lottery(seed, size=7, denominator=[None, 2**52, 2**62][seed % 3])
    original = sampling.MERGE_FROM
    sampling.MERGE_FROM = 0 if merge else 10**9
    try:
        draws = sample(lottery, 3, seed)
    finally:
        sampling.MERGE_FROM = original
    for copies in draws.tolist():
        assert is_realisation(lottery, copies)
    assert verify_assignment(lottery, draw_walk(lottery, seed_of(seed))).passed


@given(seed=st.integers(0, 10**9), share=st.sampled_from([0.3, 0.6, 0.9]))
@settings(max_examples=150, deadline=None)
def test_walking_on_a_part_conserves_and_leaves_a_forest(seed, share):
    graph = circulation(random_lottery(seed, size=7)).fractional()[1]
    rng = np.random.default_rng(seed)
    part = np.flatnonzero(rng.random(len(graph.flow)) < share).astype(np.int32)
    flow, d = graph.flow.copy(), graph.denominator
    work = workspace(graph.n_nodes, len(flow))
    for _ in range(2):  # the second time there is nothing left to do
        random = np.frombuffer(random_bytes(seed_of(seed), 64), dtype=np.uint8)
        left = part[(flow[part] > 0) & (flow[part] < d)]
        used = walk_part(left, graph.tail, graph.head, flow, d, random, 0, work)
    assert used == 0
    assert (np.delete(flow, part) == np.delete(graph.flow, part)).all()
    net, component = [0] * graph.n_nodes, list(range(graph.n_nodes))

    def find(v):
        while component[v] != v:
            v = component[v]
        return v

    for u, v, f in zip(graph.tail.tolist(), graph.head.tolist(), flow.tolist(), strict=True):
        assert 0 <= f <= d
        net[u] -= f
        net[v] += f
    assert all(total % d == 0 for total in net)
    for e in left.tolist():
        u, v = find(int(graph.tail[e])), find(int(graph.head[e]))
        assert u != v
        component[u] = v


def log_tails(successes, trials, p):
    """Return the two-sided exact binomial p-value: the weight of outcomes at most as likely as this one."""
    log = [
        math.log(math.comb(trials, k)) + k * math.log(p) + (trials - k) * math.log1p(-p)
        for k in range(trials + 1)
    ]
    return sum(math.exp(value) for value in log if value <= log[successes] + 1e-9)


@pytest.mark.parametrize("merge_from", [0, 10**9])
def test_frequencies_of_samples_agree_with_expectations(monkeypatch, merge_from):
    monkeypatch.setattr(sampling, "MERGE_FROM", merge_from)
    trials, p_values = 500, []
    for k in range(25):
        lottery = random_lottery(900 + k, size=6)
        ups = (sample(lottery, trials, seed=k) - lottery.whole).sum(axis=0)
        for up, f in zip(ups.tolist(), lottery.fraction.tolist(), strict=True):
            p_values.append(log_tails(up, trials, f / lottery.denominator) if f else float(up == 0))
    assert len(p_values) > 100
    assert min(p_values) * len(p_values) > 1e-3  # Bonferroni


def test_total_of_a_set_has_the_smallest_variance():
    # Each row of 10 halves sums to 5 in every draw; two rows at 0.5 each sum to floor or ceiling.
    lottery = lottery_from_shares(np.full((3, 10), 0.45), columns=False)
    rows = sample(lottery, 400, 3).reshape(400, 3, 10).sum(axis=2)
    assert set(rows.ravel().tolist()) == {4, 5}
    assert log_tails(int((rows[:, 0] == 5).sum()), 400, 0.5) > 1e-4


def test_more_draws_continue_fewer_and_seeds_differ():
    lottery = lottery_from_shares(np.full((6, 6), 1 / 6))
    many = sample(lottery, 20, seed=4)
    assert (sample(lottery, 7, seed=4) == many[:7]).all()
    assert (sample(lottery, 20, seed=5) != many).any()
    assert sample(lottery, 0, seed=4).shape == (0, 36)
    with pytest.raises(InvalidProblemError):
        sample(lottery, -1, seed=4)


def test_a_draw_needs_a_seed_of_32_bytes():
    lottery = lottery_from_shares([[0.5, 0.5]])
    for seed in (b"", bytes(31), bytes(33), "0" * 32, 7):
        with pytest.raises(InvalidProblemError, match="seed"):
            draw_walk(lottery, seed)


def test_running_out_of_bits_is_told_and_more_bits_give_the_same_draw():
    graph = circulation(lottery_from_shares(np.full((9, 9), 1 / 9))).fractional()[1]
    edges, results = np.arange(len(graph.flow), dtype=np.int32), []
    for blocks in (0, 1, 2, 3, 50):
        flow, work = graph.flow.copy(), workspace(graph.n_nodes, len(edges))
        random = np.frombuffer(random_bytes(bytes(32), blocks), dtype=np.uint8)
        used = walk_part(edges, graph.tail, graph.head, flow, graph.denominator, random, 0, work)
        results.append((used, flow.tolist() if used != OUT_OF_BITS else None))
    assert results[0][0] == OUT_OF_BITS
    done = [result for result in results if result[0] != OUT_OF_BITS]
    assert len(done) >= 2
    assert all(result == done[0] for result in done)


def test_running_out_of_bits_while_sampling_starts_the_draw_again(monkeypatch):
    lottery = lottery_from_shares(np.full((12, 12), 1 / 12))
    draws = sample(lottery, 4, seed=1)
    monkeypatch.setattr(sampling, "random_bytes", lambda own, blocks: random_bytes(own, max(blocks - 5, 0)))
    assert (sample(lottery, 4, seed=1) == draws).all()


def test_an_event_happens_as_often_as_stated_bit_string_by_bit_string():
    # Over all strings of 12 bits, the undecided ones aside, 5/12 is met up to 2^-12.
    for b, s in ((5, 12), (1, 2), (3, 4), (1, 2**62 - 1), (2**62 - 2, 2**62 - 1)):
        true, undecided = 0, 0
        for k in range(2**12):
            random = np.frombuffer(int.to_bytes(k << 4, 2, "big") + b"", dtype=np.uint8)
            answer, at = happens(b, s, random, 0)
            if at == OUT_OF_BITS or at > 12:
                undecided += 1
            else:
                true += answer
        assert Fraction(true, 2**12) <= Fraction(b, s) <= Fraction(true + undecided, 2**12)
        assert undecided <= 1


def test_lotteries_without_chance_and_without_cells():
    certain = lottery_from_shares([[1.0, 2.0], [0.0, 0.0]])
    assert draw_walk(certain, bytes(32)).matrix.toarray().tolist() == [[1, 2], [0, 0]]
    nothing = lottery_from_shares([[0.0]])
    assert draw_walk(nothing, bytes(32)).matrix.nnz == 0
    assert sample(nothing, 2, 0).shape == (2, 0)
