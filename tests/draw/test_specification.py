"""``docs/draw-specification.md`` against the code: its walk line by line, its tables key by key."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

from bihierarchies import lottery_bytes, terms_bytes

from fairlot.verify import draw as twin
from fairlot.verify.transcript import REQUIRED

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "draw-specification.md").read_text()


def walk_as_specified(lottery: twin.Lottery, happens: Callable[[int, int], bool]) -> list[int]:
    """Follow section 4 word by word, looking everything up anew at each step."""
    d = lottery.denominator
    agent_sets, good_sets = lottery.sides
    n_agent, n_good = len(agent_sets), len(good_sets)

    def total(side: int, position: int) -> int:
        below = {position}
        for k, row in enumerate(lottery.sides[side]):
            if row[0] in below:
                below.add(k)
        return sum(cell[2] for cell in lottery.cells if cell[3 + side] in below)

    def agent_node(position: int) -> int:
        return position + 1

    def good_node(position: int) -> int:
        return n_agent + 2 + position

    edges = [(agent_node(a), good_node(b), n) for _, _, n, a, b in lottery.cells]
    edges += [(agent_node(row[0]), agent_node(k), total(0, k)) for k, row in enumerate(agent_sets)]
    edges += [(good_node(k), good_node(row[0]), total(1, k)) for k, row in enumerate(good_sets)]
    edges += [(n_agent + 1, 0, sum(cell[2] for cell in lottery.cells))]
    f = [value % d for _, _, value in edges]

    def fractional_at(node: int) -> list[int]:
        return [e for e, (tail, head, _) in enumerate(edges) if node in (tail, head) and 0 < f[e] < d]

    for s in range(n_agent + n_good + 2):
        nodes, path = [s], list[int]()
        while choice := [e for e in fractional_at(nodes[-1]) if [e] != path[-1:]]:
            e = choice[0]
            tail, head, _ = edges[e]
            v = head if tail == nodes[-1] else tail
            path.append(e)
            if v not in nodes:
                nodes.append(v)
                continue
            first = nodes.index(v)
            along = {k: edges[path[k]][0] == nodes[k] for k in range(first, len(path))}
            a = min(d - f[path[k]] if along[k] else f[path[k]] for k in along)
            b = min(f[path[k]] if along[k] else d - f[path[k]] for k in along)
            c = a if happens(b, a + b) else -b
            for k in along:
                f[path[k]] += c if along[k] else -c
            end = next(k for k in along if f[path[k]] in (0, d))
            nodes, path = nodes[: end + 1], path[:end]
            for node in range(n_agent + n_good + 2):
                assert len(fractional_at(node)) != 1
    assert all(value in (0, d) for value in f)
    return [n // d + (f[k] == d) for k, (_, _, n, _, _) in enumerate(lottery.cells)]


def test_the_walk_is_the_one_specified() -> None:
    for k in range(150):
        lottery = twin.Lottery({"lottery.json": lottery_bytes(9000 + k, size=7)})
        seed = hashlib.sha256(f"specification {k}".encode()).digest()
        specified = walk_as_specified(lottery, twin.coins(seed))
        assert specified == twin.walk(lottery, twin.coins(seed))


def pick_as_specified(lottery: twin.Lottery, seed: bytes) -> list[int]:
    """Follow section 4a word by word, with the bits written out as text."""
    d = lottery.denominator
    b = len(f"{d - 1:b}") if d > 1 else 0
    bits = "".join(
        f"{int.from_bytes(hashlib.sha256(seed + k.to_bytes(8, 'big')).digest(), 'big'):0256b}"
        for k in range(40)
    )
    r = d
    while r >= d:
        r, bits = int(bits[:b] or "0", 2), bits[b:]
    before = 0
    for weight, copies in lottery.terms or []:
        if weight + before > r:
            return list(copies)
        before += weight
    raise AssertionError(r)


def test_the_pick_is_the_one_specified() -> None:
    for k in range(150):
        lottery = twin.Lottery({"lottery.json": terms_bytes(k)})
        seed = hashlib.sha256(f"pick {k}".encode()).digest()
        assert pick_as_specified(lottery, seed) == twin.pick(lottery, seed)


def test_every_key_and_every_check_is_on_the_page() -> None:
    keys = {*twin.TERMS, *twin.COMMITMENT, *twin.COMMITMENT["frozen"], *twin.TRANSCRIPT, *REQUIRED}
    documented = set(re.findall(r"`([a-z_ ]+)`", PAGE)) | set(re.findall(r'"([a-z_ ]+)"', PAGE))
    assert keys <= documented
    for constant in (twin.PROTOCOL, twin.CEREMONY, twin.QUICKNET):
        assert constant in PAGE
