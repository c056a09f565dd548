"""The walk of ``verify/draw.py``: equal to the compiled one, exact in expectation, rounding every set."""

from __future__ import annotations

import hashlib
import itertools
import math
import random
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from bihierarchies import document, lottery_bytes, terms_bytes
from javascript import NODE, ask, needs_node

from fairlot.lottery.pick import draw_term
from fairlot.lottery.protocol.canonical import assignment_csv, canonical_json
from fairlot.lottery.walk import draw_walk
from fairlot.model.lotteries import Lottery
from fairlot.verify import draw as twin


def seed_of(*parts: object) -> bytes:
    return hashlib.sha256(repr(parts).encode()).digest()


def test_both_implementations_give_the_same_bytes_on_random_bihierarchies() -> None:
    fractional = 0
    for k in range(400):
        data = lottery_bytes(k, size=4 + k // 12)
        lottery = Lottery.from_json(data)
        assert lottery.to_json() == data
        slow = twin.Lottery({"lottery.json": data})
        seed = seed_of("twins", k)
        compiled = assignment_csv(lottery, draw_walk(lottery, seed))
        assert slow.csv(twin.walk(slow, twin.coins(seed))) == compiled
        fractional += int((lottery.fraction > 0).sum())
    assert fractional > 10_000  # the sweep is not one of trivial cases


@needs_node
def test_javascript_gives_the_same_bytes_on_random_bihierarchies() -> None:
    requests: list[tuple[str, dict[str, Any]]] = []
    expected = []
    for k in range(400):
        data = lottery_bytes(k, size=4 + k // 12)
        public_seed, commitment = seed_of("public", k).hex(), seed_of("commitment", k).hex()
        requests.append(
            ("draw", {"lottery": data.hex(), "public_seed": public_seed, "commitment": commitment})
        )
        lottery = Lottery.from_json(data)
        seed = twin.inner_seed(public_seed, commitment)
        expected.append(assignment_csv(lottery, draw_walk(lottery, seed)))
    assert [bytes.fromhex(answer) for answer in ask(requests)] == expected


def test_all_three_implementations_pick_the_same_term() -> None:
    requests: list[tuple[str, dict[str, Any]]] = []
    expected = []
    for k in range(200):
        data = terms_bytes(k)
        public_seed, commitment = seed_of("public", k).hex(), seed_of("commitment", k).hex()
        requests.append(
            ("draw", {"lottery": data.hex(), "public_seed": public_seed, "commitment": commitment})
        )
        lottery, slow = Lottery.from_json(data), twin.Lottery({"lottery.json": data})
        assert lottery.to_json() == data
        seed = twin.inner_seed(public_seed, commitment)
        expected.append(slow.csv(twin.pick(slow, seed)))
        assert assignment_csv(lottery, draw_term(lottery, seed)) == expected[-1]
    assert len({hashlib.sha256(table).digest() for table in expected}) > 100
    if NODE is not None:
        assert [bytes.fromhex(answer) for answer in ask(requests)] == expected


def test_both_implementations_agree_on_dense_and_sparse_large_supports() -> None:
    for n, density in ((40, 1.0), (120, 0.05)):
        data = canonical_json(document(random.Random(n), n, n, density, 2**52))
        lottery, slow = Lottery.from_json(data), twin.Lottery({"lottery.json": data})
        seed = seed_of("large", n)
        assert slow.csv(twin.walk(slow, twin.coins(seed))) == assignment_csv(
            lottery, draw_walk(lottery, seed)
        )


def outcomes(lottery: twin.Lottery) -> dict[tuple[int, ...], Fraction]:
    """Return the exact distribution of a draw by following every result of every coin."""
    distribution: dict[tuple[int, ...], Fraction] = {}
    pending: list[tuple[bool, ...]] = [()]
    while pending:
        script = pending.pop()
        weight, asked = Fraction(1), 0

        def coin(a: int, s: int, script: tuple[bool, ...] = script) -> bool:
            nonlocal weight, asked
            assert 0 < a < s <= lottery.denominator
            answer = script[asked] if asked < len(script) else True
            if asked >= len(script):
                pending.append((*script, *[True] * (asked - len(script)), False))
            asked += 1
            weight *= Fraction(a, s) if answer else 1 - Fraction(a, s)
            return answer

        copies = tuple(twin.walk(lottery, coin))
        distribution[copies] = distribution.get(copies, Fraction(0)) + weight
    return distribution


@pytest.mark.parametrize("k", range(60))
def test_expectations_are_exact_and_every_set_is_rounded(k: int) -> None:
    rng = random.Random(1000 + k)
    data = document(rng, rng.randrange(1, 4), rng.randrange(1, 4), 0.8, rng.choice([2, 3, 5, 12]))
    lottery = twin.Lottery({"lottery.json": canonical_json(data)})
    d, expected = lottery.denominator, [cell[2] for cell in lottery.cells]
    distribution = outcomes(lottery)
    assert sum(distribution.values()) == 1
    for cell, n in enumerate(expected):
        assert sum(weight * copies[cell] for copies, weight in distribution.items()) == Fraction(n, d)
    for copies in distribution:
        assert all(n // d <= z <= -(-n // d) for n, z in zip(expected, copies, strict=True))
        for side in (0, 1):
            totals = zip(lottery.totals(side, expected), lottery.totals(side, list(copies)), strict=True)
            assert all(n // d <= z <= -(-n // d) for n, z in totals)


def binomial_p_value(successes: int, trials: int, p: Fraction) -> float:
    """Return the exact two-sided p-value: the probability of anything at most as likely as what was seen."""
    log = [
        math.lgamma(trials + 1)
        - math.lgamma(k + 1)
        - math.lgamma(trials - k + 1)
        + k * math.log(p)
        + (trials - k) * math.log1p(-p)
        for k in range(trials + 1)
    ]
    return min(1.0, sum(math.exp(value) for value in log if value <= log[successes] + 1e-9))


def test_frequencies_agree_with_expectations() -> None:
    trials, p_values = 200, []
    for k in range(24):
        lottery = Lottery.from_json(lottery_bytes(5000 + k, size=6))
        counts = [0] * lottery.n_cells
        for t in range(trials):
            matrix = draw_walk(lottery, seed_of("frequencies", k, t)).matrix.toarray()
            for cell, (i, j) in enumerate(zip(lottery.cell_agent, lottery.cell_good, strict=True)):
                counts[cell] += int(matrix[i, j]) - int(lottery.whole[cell])
        for cell, f in enumerate(lottery.fraction.tolist()):
            if f:
                p_values.append(binomial_p_value(counts[cell], trials, Fraction(f, lottery.denominator)))
            else:
                assert counts[cell] == 0
    assert len(p_values) > 50
    assert min(p_values) * len(p_values) > 1e-3  # Bonferroni


def test_frequencies_would_show_a_biased_coin() -> None:
    # A draw that pushes forward and back with equal probability misses expectations by far.
    data = canonical_json(document(random.Random(3), 4, 4, 1.0, 2**20))
    lottery = twin.Lottery({"lottery.json": data})
    trials, rng = 400, random.Random(0)
    copies = [twin.walk(lottery, lambda a, s: rng.random() < 0.5) for _ in range(trials)]
    p_values = []
    for cell, (_, _, n, _, _) in enumerate(lottery.cells):
        whole, f = divmod(n, lottery.denominator)
        if f:
            ups = sum(z[cell] - whole for z in copies)
            p_values.append(binomial_p_value(ups, trials, Fraction(f, lottery.denominator)))
    assert min(p_values) * len(p_values) < 1e-6


def scripted(bits: str) -> Callable[[int, int], bool]:
    """Return the coin of the standard-library twin on stated bits."""
    stream = iter(int(b) for b in bits)
    original = twin.bits
    try:
        twin.bits = lambda seed: stream  # type: ignore[assignment]
        return twin.coins(b"")
    finally:
        twin.bits = original


def test_a_coin_has_exactly_the_probability_asked_for() -> None:
    for a, s in ((1, 2), (1, 3), (2, 3), (3, 8), (5, 7), (1, 1024), (7, 10)):
        depth = 12
        true = undecided = 0
        for bits in itertools.product("01", repeat=depth):
            try:
                true += scripted("".join(bits))(a, s)
            except (StopIteration, RuntimeError):
                undecided += 1
        p = Fraction(a, s)
        assert Fraction(true, 2**depth) <= p <= Fraction(true + undecided, 2**depth)
        assert undecided <= 1
