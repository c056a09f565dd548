"""lottery.json: canonical bytes, and what is refused."""

import json

import numpy as np
import pytest

from fairlot.errors import InvalidProblemError
from fairlot.model.lotteries import UNDECLARED, CellSets, Decomposition, Lottery


def example(**changes):
    """Two agents, two goods; ann holds one copy for certain; the last numerator exceeds the denominator."""
    parts = {
        "agents": ("ann", "bob"),
        "goods": ("art", "law"),
        "cell_agent": [0, 0, 1, 1],
        "cell_good": [0, 1, 0, 1],
        "whole": [0, 0, 0, 2],
        "fraction": [3, 1, 1, 3],
        "denominator": 4,
        "agent_sets": CellSets([-1, 0], [1, UNDECLARED], [1, 1], ("row of 'ann'", "é"), [1, 0, -1, -1]),
        "good_sets": CellSets([-1, -1], [UNDECLARED] * 2, [1, 3], ("art", "law"), [0, 1, 0, 1]),
    }
    return Lottery(**(parts | changes))


CANONICAL = (
    '{"agent_sets":[[-1,1,1,"row of \'ann\'"],[0,null,1,"é"]],"agents":["ann","bob"],'
    '"cells":[[0,0,3,1,0],[0,1,1,0,1],[1,0,1,-1,0],[1,1,11,-1,1]],"denominator":4,"format":1,'
    '"good_sets":[[-1,null,1,"art"],[-1,null,3,"law"]],"goods":["art","law"],"kind":"pseudomarket"}\n'
)


def test_canonical_bytes_and_back():
    lottery = example()
    assert lottery.to_json() == CANONICAL.encode()
    assert Lottery.from_json(lottery.to_json()).to_json() == lottery.to_json()
    assert lottery.expectations().of("bob") == {"art": 0.25, "law": 2.75}
    assert lottery.numerators == [3, 1, 1, 11]


def test_numerators_of_more_than_64_bits_survive():
    lottery = example(denominator=2**62, fraction=[3 << 60, 1 << 60, 1 << 60, 3 << 60])
    assert lottery.numerators[-1] == 11 << 60 > 2**63
    assert Lottery.from_json(lottery.to_json()).to_json() == lottery.to_json()
    totals = lottery.good_sets.totals(lottery.whole, lottery.fraction, lottery.denominator)
    assert totals == [4 << 60, 12 << 60, 16 << 60]


def test_terms_are_kept():
    lottery = example()
    ups = np.array([[1, 0, 0, 1], [0, 1, 1, 0]])
    terms = Decomposition([3, 1], np.packbits(ups, axis=1), lottery.whole)
    data = lottery.with_terms(terms).to_json()
    assert data.endswith(b'"terms":[[3,[1,0,0,3]],[1,[0,1,1,2]]]}\n')
    assert Lottery.from_json(data).to_json() == data
    assert Lottery.from_json(data).with_terms(None).to_json() == lottery.to_json()


def test_assignment_of_cells():
    assignment = example().assignment([1, 0, 0, 3])
    assert (assignment.of("ann"), assignment.of("bob")) == ({"art": 1}, {"law": 3})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"agents": ("bob", "ann")}, "agents"),
        ({"goods": ("art", "art")}, "goods"),
        ({"goods": ("art", "")}, "goods"),
        ({"goods": ("art", "\ud800")}, "UTF-8"),
        ({"denominator": 2**62 + 1}, "denominator"),
        ({"fraction": [3, 1, 1, 4]}, "cell 3: numerator"),
        ({"whole": [0, 0, 0, -1]}, "cell 3: numerator"),
        ({"cell_agent": [0, 0, 1, 2]}, "cell 3: position"),
        ({"cell_good": [0, 0, 0, 1]}, "cell 1: order"),
        ({"whole": [0, 0, 0]}, "different lengths"),
        ({"kind": "raffle"}, "kind"),
        ({"fraction": [3, 2, 1, 3]}, "row of 'ann': a declared bound does not hold"),
        ({"fraction": [2, 1, 1, 3]}, "row of 'ann': a declared bound does not hold"),
        ({"good_sets": CellSets([0, -1], [-1] * 2, [-1] * 2, ("a", "b"), [0] * 4)}, "parent of good set 0"),
        ({"good_sets": CellSets([-1], [-2], [-1], ("a",), [0] * 4)}, "lower bound of good set 0"),
        ({"good_sets": CellSets([-1], [-1], [-1], ("a",), [0, 0, 1, 0])}, "good set of cell 2"),
        ({"terms": Decomposition([4], np.zeros((1, 2)), [0, 0, 0, 2])}, "terms"),
    ],
)
def test_faults_of_a_lottery(changes, message):
    with pytest.raises(InvalidProblemError, match=message):
        example(**changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format"),
        ({"format": True}, "format"),
        ({"denominator": 0}, "denominator"),
        ({"denominator": 4.0}, "denominator"),
        ({"extra": 1}, "keys"),
        ({"agents": "ann"}, "agents"),
        ({"agents": ["ann", 3]}, "agents: entry 1"),
        ({"agents": ["ann", "\ud800"]}, "agents: entry 1"),
        ({"cells": [[0, 0, 3, 1]]}, "cells: entry 0"),
        ({"cells": [[0, 0, 3.0, 1, 0]]}, "cells: entry 0"),
        ({"cells": [[0, 0, 2**40, 1, 0]]}, "2\\^31"),
        ({"cells": [[2**63, 0, 1, 1, 0]]}, "64 bits"),
        ({"cells": [[0, 0, -1, 1, 0]]}, "cell 0: numerator"),
        ({"agent_sets": [[-1, 0, 1]]}, "agent_sets: entry 0"),
        ({"agent_sets": [[-1, -1, 1, "a"]]}, "agent_sets: entry 0"),
        ({"terms": [[4, [1]]]}, "terms"),
        ({"terms": [[4, [1, 0, 0, 5]]]}, "terms"),
    ],
)
def test_faults_of_a_file(change, message):
    document = json.loads(CANONICAL) | change
    with pytest.raises(InvalidProblemError, match=message):
        Lottery.from_json(json.dumps(document).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"a":1,"a":2}', b"[" * 20_000, b"9" * 5000])
def test_what_is_no_lottery_at_all(data):
    with pytest.raises(InvalidProblemError):
        Lottery.from_json(data)
