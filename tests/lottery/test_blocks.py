"""The draw in blocks against a plain twin of its definition, and what it keeps."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest

from fairlot.errors import InvalidProblemError
from fairlot.lottery import lottery_from_shares
from fairlot.lottery.blocks import block_of_edges, draw_in_blocks
from fairlot.lottery.build import market_lottery
from fairlot.lottery.graph import circulation
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.testing import course_market


def bits(seed):
    counter = 0
    while True:
        for byte in hashlib.sha256(seed + counter.to_bytes(8, "big")).digest():
            yield from ((byte >> k) & 1 for k in range(7, -1, -1))
        counter += 1


def happens(b, s, source):
    while b:
        b *= 2
        digit, b = (1, b - s) if b >= s else (0, b)
        bit = next(source)
        if bit != digit:
            return bit < digit
    return False


def walk(edges, tail, head, flow, d, seed):
    """Walk by the words of the specification; return how many cycles there were."""
    source, live, cycles = bits(seed), [e for e in edges if 0 < flow[e] < d], 0
    for s in sorted({v for e in live for v in (tail[e], head[e])}):
        path, used = [s], []
        while True:
            at = path[-1]
            options = [e for e in live if at in (tail[e], head[e]) and (not used or e != used[-1])]
            if not options and not used:
                break
            if not options:
                live.remove(used.pop())
                path.pop()
                continue
            e = options[0]
            to = head[e] if tail[e] == at else tail[e]
            used.append(e)
            if to not in path:
                path.append(to)
                continue
            begin, cycles = path.index(to), cycles + 1
            along = {used[k]: tail[used[k]] == path[k] for k in range(begin, len(used))}
            a = min(d - flow[e] if up else flow[e] for e, up in along.items())
            b = min(flow[e] if up else d - flow[e] for e, up in along.items())
            push = a if happens(b, a + b, source) else -b
            for e, up in along.items():
                flow[e] += push if up else -push
            cut = next(k for k in range(begin, len(used)) if flow[used[k]] in (0, d))
            live = [e for e in live if 0 < flow[e] < d]
            used, path = used[:cut], path[: cut + 1]
    return cycles


def twin(lottery, seed, block):
    graph, of_edge = circulation(lottery), block_of_edges(lottery, block)
    d, flow = graph.denominator, graph.flow.tolist()
    tail, head = graph.tail.tolist(), graph.head.tolist()
    for b in range(int(of_edge.max()) + 1):
        edges = np.flatnonzero(of_edge == b).tolist()
        walk(edges, tail, head, flow, d, hashlib.sha256(seed + b"block" + b.to_bytes(8, "big")).digest())
        left = [e for e in edges if 0 < flow[e] < d]
        cells = [e for e in left if e < lottery.n_cells]
        outer = {v for e in left for v in (tail[e], head[e]) if v == 0 or v > lottery.agent_sets.n_sets}
        assert len(cells) <= max(0, 2 * (len(outer) - 1))
        assert len({lottery.cell_agent[e] for e in cells}) <= max(0, len(outer) - 1)
        # Nothing is open but a forest.
        assert walk(left, tail, head, flow.copy(), d, seed) == 0
    walk(range(len(flow)), tail, head, flow, d, seed)
    assert set(flow) <= {0, d}
    return [int(w) + (f == d) for w, f in zip(lottery.whole.tolist(), flow, strict=False)]


def lotteries():
    rng = np.random.default_rng(5)
    yield lottery_from_shares(rng.dirichlet(np.ones(4), 9))
    yield lottery_from_shares(rng.dirichlet(np.ones(3), 7), rows=False)
    market = course_market(24, 8, 1, 0.9, departments=2, limits=True)
    yield market_lottery(market, solve_equilibrium(market).shares)


@pytest.mark.parametrize("block", [1, 3, 100])
def test_blocks_draw_what_their_definition_says(block):
    for k, lottery in enumerate(lotteries()):
        seed = hashlib.sha256(bytes([k, block])).digest()
        drawn = draw_in_blocks(lottery, seed, block=block)
        table = drawn.matrix.toarray()
        copies = [int(table[i, j]) for i, j in zip(lottery.cell_agent, lottery.cell_good, strict=True)]
        assert copies == twin(lottery, seed, block)


def test_who_walks_does_not_matter():
    (_, _, lottery) = lotteries()
    seed = bytes(range(32))
    one, two = (draw_in_blocks(lottery, seed, block=5, n_jobs=n).matrix.toarray() for n in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_every_cell_keeps_its_expectation():
    shares = np.array([[Fraction(1, 3), Fraction(2, 3)], [Fraction(2, 3), Fraction(1, 3)]])
    lottery = lottery_from_shares(shares)
    first = sum(
        draw_in_blocks(lottery, hashlib.sha256(bytes([k // 256, k % 256])).digest(), block=1).matrix[0, 0]
        for k in range(900)
    )
    assert abs(first - 300) < 5 * np.sqrt(200)  # five standard deviations, of a fixed computation


def test_bad_arguments_are_refused():
    lottery = lottery_from_shares([[0.5, 0.5], [0.5, 0.5]])
    with pytest.raises(InvalidProblemError, match="agents in a block"):
        draw_in_blocks(lottery, bytes(32), block=0)
    with pytest.raises(InvalidProblemError, match="32 bytes"):
        draw_in_blocks(lottery, bytes(31))
