"""Laminar forests against the definition."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlot.model.hierarchy import Forest, laminar_forest

SETS = st.lists(st.sets(st.integers(0, 5)), max_size=6)


def crosses(a: set[int], b: set[int]) -> bool:
    return bool(a & b) and not a <= b and not b <= a


@settings(max_examples=250, deadline=None)
@given(SETS)
def test_forest_or_crossing(sets: list[set[int]]) -> None:
    found = laminar_forest([np.array(sorted(s), dtype=np.int64) for s in sets], 6)
    crossing = [(a, b) for a in range(len(sets)) for b in range(a) if crosses(sets[a], sets[b])]
    if crossing:
        assert not isinstance(found, Forest)
        assert found
        for c in found:
            first, second = sets[c.first], sets[c.second]
            assert c.first < c.second
            assert c.in_both in first & second
            assert c.only_first in first - second
            assert c.only_second in second - first
        return
    assert isinstance(found, Forest)
    assert sorted(found.order.tolist()) == list(range(len(sets)))
    rank = {int(k): r for r, k in enumerate(found.order)}

    def encloses(outer: int, inner: int) -> bool:
        """Whether one set is above the other: larger, or equal and later in the sequence."""
        return sets[inner] < sets[outer] or (sets[inner] == sets[outer] and outer > inner)

    for k, members in enumerate(sets):
        above = [a for a in range(len(sets)) if a != k and members and encloses(a, k)]
        parent = found.parent[rank[k]]
        if not above:
            assert parent == -1
        else:
            assert parent > rank[k]
            nearest = int(found.order[parent])
            assert nearest in above
            assert all(a == nearest or encloses(a, nearest) for a in above)
    for item in range(6):
        holding = [k for k, members in enumerate(sets) if item in members]
        if not holding:
            assert found.leaf[item] == -1
        else:
            inner = int(found.order[found.leaf[item]])
            assert inner in holding
            assert all(k == inner or encloses(k, inner) for k in holding)


def test_no_sets_and_no_items() -> None:
    found = laminar_forest([], 0)
    assert isinstance(found, Forest)
    assert len(found.order) == len(found.leaf) == 0


def test_all_crossings_of_two_families_are_named() -> None:
    rows = [np.arange(3) + 3 * r for r in range(3)]
    columns = [np.arange(0, 9, 3) + c for c in range(3)]
    found = laminar_forest([*rows, *columns], 9)
    assert not isinstance(found, Forest)
    assert {c.second for c in found} | {c.first for c in found} >= {0, 1, 2} or len(found) >= 3
