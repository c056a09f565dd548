r"""Lotteries over integer assignments, as they are published, and what is drawn from them.

A *bihierarchy* (Budish, Che, Kojima, Milgrom, AER 2013) is a pair of laminar families of sets of cells
(agent, good), one on the agents' side and one on the goods' side. A lottery states exact expected copies
:math:`n_c / D` of every cell in integers. Its realisations give every cell, every set of either family and
the grand total either the floor or the ceiling of its expectation, so that integer bounds which the
expectations respect hold in every realisation.

Where agents' bounds cross there is no bihierarchy, and the lottery is its terms: assignments with integer
weights that add up to D, of which a draw takes one. The sets then only say what bounds every term keeps.

The published form is ``lottery.json``: canonical bytes, that is JSON in UTF-8 with sorted keys, separators
``,`` and ``:``, integers only, one trailing line feed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import UNBOUNDED, IntArray
from fairlot.model.lottery_json import FORMAT, parse_lottery
from fairlot.model.shares import RandomAllocation

Kind = Literal["pseudomarket", "reallocation"]
DrawnBy = Literal["walk", "terms"]
MAX_DENOMINATOR = 2**62
"""Twice any room of a cell still fits a signed 64-bit integer."""
UNDECLARED = -1
"""In ``CellSets.lower`` and ``upper``: no bound is declared."""
_LOW = 31  # numerators are summed in two halves of 31 bits, so that sums of 64 bits never overflow
_MAX_ISSUES = 20


@dataclass(frozen=True, eq=False)
class CellSets:
    """A laminar family of sets of cells: one side of a bihierarchy.

    Parameters
    ----------
    parent : IntArray, shape (n_sets,)
        Position of the smallest set that contains the set, less than its own; -1 at the top.
    lower, upper : IntArray, shape (n_sets,)
        Declared bounds in copies; :data:`UNDECLARED` where there is none.
    names : tuple of str
        How messages call each set.
    leaf : IntArray, shape (n_cells,)
        Position of the smallest set that holds each cell; -1 where none does.
    """

    parent: IntArray
    lower: IntArray
    upper: IntArray
    names: tuple[str, ...]
    leaf: IntArray

    def __post_init__(self) -> None:
        for name in ("parent", "lower", "upper", "leaf"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        object.__setattr__(self, "names", tuple(self.names))

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return len(self.names)

    def totals(self, whole: IntArray, fraction: IntArray, denominator: int) -> list[int]:
        """Sum cells of ``whole * denominator + fraction`` over every set, exactly.

        Returns
        -------
        list of int, length n_sets + 1
            The sets' totals in file order, then the grand total, so that position -1 is the top.
        """
        parts = np.zeros((3, self.n_sets + 1), dtype=np.int64)
        for row, values in zip(parts, (whole, fraction >> _LOW, fraction & (2**_LOW - 1)), strict=True):
            np.add.at(row, self.leaf, values)
        totals = [
            w * denominator + (high << _LOW) + low for w, high, low in zip(*parts.tolist(), strict=True)
        ]
        for child in range(self.n_sets - 1, -1, -1):
            totals[self.parent[child]] += totals[child]
        return totals

    def faults(self, side: str, n_cells: int) -> list[Issue]:
        """List what is wrong with the family's shape; ``side`` is "agent" or "good"."""
        n = self.n_sets
        if any(len(part) != n for part in (self.parent, self.lower, self.upper)) or len(self.leaf) != n_cells:
            return [Issue(f"{side} sets: arrays of different lengths")]
        issues = []
        checks = (
            (
                "parent",
                (self.parent < -1) | (self.parent >= np.arange(n)),
                self.parent,
                "-1 or an earlier set",
            ),
            ("lower bound", self.lower < UNDECLARED, self.lower, "an integer of at least 0"),
            ("upper bound", self.upper < UNDECLARED, self.upper, "an integer of at least 0"),
        )
        for what, wrong, found, expected in checks:
            issues += [
                Issue(f"{what} of {side} set {k} ({self.names[k]})", found=str(found[k]), expected=expected)
                for k in np.flatnonzero(wrong)
            ]
        issues += [
            Issue(f"{side} set of cell {k}", found=str(self.leaf[k]), expected=f"-1 or a position below {n}")
            for k in np.flatnonzero((self.leaf < -1) | (self.leaf >= n))
        ]
        return issues

    def breaches(self, totals: Sequence[int], denominator: int) -> list[Issue]:
        """List the sets whose expected totals are outside their declared bounds."""
        issues = []
        for name, lower, upper, total in zip(
            self.names, self.lower.tolist(), self.upper.tolist(), totals[:-1], strict=True
        ):
            if lower != UNDECLARED and total < lower * denominator:
                expected = f"at least {lower}"
            elif upper != UNDECLARED and total > upper * denominator:
                expected = f"at most {upper}"
            else:
                continue
            found = f"{total / denominator:.12g} expected copies"
            issues.append(Issue(f"{name}: a declared bound does not hold", found=found, expected=expected))
        return issues


@dataclass(frozen=True, eq=False)
class Assignment:
    """Copies of each good that each agent gets.

    Parameters
    ----------
    agents, goods : tuple of str
        Names of rows and columns.
    matrix : scipy.sparse.csr_array of int, shape (n_agents, n_goods)
        Copies, at least 0.

    Examples
    --------
    >>> Assignment(("ann", "bob"), ("art", "law"), sp.csr_array([[1, 0], [0, 2]])).of("bob")
    {'law': 2}
    """

    agents: tuple[str, ...]
    goods: tuple[str, ...]
    matrix: sp.csr_array

    def __post_init__(self) -> None:
        matrix = sp.csr_array(self.matrix, copy=True)
        whole = matrix.astype(np.int64)
        if matrix.shape != (len(self.agents), len(self.goods)):
            expected = f"shape {(len(self.agents), len(self.goods))}"
            raise InvalidProblemError([Issue("assignment", found=f"shape {matrix.shape}", expected=expected)])
        if (whole.data != matrix.data).any() or (whole.data < 0).any():
            raise InvalidProblemError([Issue("assignment: copies must be integers of at least 0")])
        whole.sum_duplicates()
        whole.eliminate_zeros()
        for part in (whole.data, whole.indices, whole.indptr):
            part.flags.writeable = False
        object.__setattr__(self, "matrix", whole)

    def of(self, agent: str) -> dict[str, int]:
        """Return the agent's copies by good, those she has none of left out."""
        row = self.agents.index(agent)
        span = slice(self.matrix.indptr[row], self.matrix.indptr[row + 1])
        return {
            self.goods[j]: int(copies)
            for j, copies in zip(self.matrix.indices[span], self.matrix.data[span], strict=True)
        }


@dataclass(frozen=True, eq=False)
class Decomposition:
    r"""A lottery written out: integer assignments :math:`Z_t` with weights :math:`\lambda_t / D`.

    Parameters
    ----------
    weights : IntArray, shape (n_terms,)
        Positive integers whose sum is the lottery's denominator.
    packed : uint8 array, shape (n_terms, ceil(n_cells / 8))
        Bit k of a row (``numpy.packbits`` order) says whether cell k is rounded up.
    whole : IntArray, shape (n_cells,)
        Copies that every term has.
    """

    weights: IntArray
    packed: npt.NDArray[np.uint8]
    whole: IntArray

    def __post_init__(self) -> None:
        for name in ("weights", "whole"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        packed = np.array(self.packed, dtype=np.uint8)
        packed.flags.writeable = False
        object.__setattr__(self, "packed", packed)

    @property
    def n_terms(self) -> int:
        """Number of assignments."""
        return len(self.weights)

    def copies(self, term: int) -> IntArray:
        """Return the copies of every cell in one term."""
        bits = np.unpackbits(self.packed[term], count=len(self.whole))
        return self.whole + bits


@dataclass(frozen=True, eq=False)
class Lottery:
    r"""Exact expected copies :math:`(w_c D + f_c) / D` of cells, and the bihierarchy they respect.

    Parameters
    ----------
    agents, goods : tuple of str
        Ids in ascending order of code points.
    cell_agent, cell_good : IntArray, shape (n_cells,)
        Positions of each cell's agent and good; cells are sorted by (agent, good).
    whole : IntArray, shape (n_cells,)
        Copies :math:`w_c` that every realisation has.
    fraction : IntArray, shape (n_cells,)
        :math:`0 \le f_c < D`: one more copy with probability :math:`f_c / D`.
    denominator : int
        :math:`D`, from 1 to 2^62; 2^52 where the expectations came as floating-point numbers.
    agent_sets, good_sets : CellSets
        The two laminar families. The grand total is an implicit set on top of either.
    kind : "pseudomarket" or "reallocation"
        What the cells mean; in the latter, goods are tasks.
    terms : Decomposition, optional
        The lottery written out: for reading, unless draws take a term.
    drawn_by : "walk" or "terms"
        Whether a draw rounds cells and sets by a walk over cycles, or takes one of the terms.

    Raises
    ------
    InvalidProblemError
        Listing every fault: of shape, of order, every set whose declared bounds the expectations break, and,
        if draws take a term, what makes the terms another lottery.
    """

    agents: tuple[str, ...]
    goods: tuple[str, ...]
    cell_agent: IntArray
    cell_good: IntArray
    whole: IntArray
    fraction: IntArray
    denominator: int
    agent_sets: CellSets
    good_sets: CellSets
    kind: Kind = "pseudomarket"
    terms: Decomposition | None = None
    drawn_by: DrawnBy = "walk"

    def __post_init__(self) -> None:
        for name in ("agents", "goods"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("cell_agent", "cell_good", "whole", "fraction"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        issues = self._faults()
        if not issues:
            for sets in (self.agent_sets, self.good_sets):
                totals = sets.totals(self.whole, self.fraction, self.denominator)
                issues += sets.breaches(totals, self.denominator)
        if not issues and self.drawn_by == "terms":
            issues += self._faults_of_terms()
        if issues:
            raise InvalidProblemError(issues)

    @property
    def n_cells(self) -> int:
        """Number of cells: pairs with positive expected copies."""
        return len(self.whole)

    @property
    def numerators(self) -> list[int]:
        """Expected copies of each cell times the denominator, as Python integers of any size."""
        d = self.denominator
        return [w * d + f for w, f in zip(self.whole.tolist(), self.fraction.tolist(), strict=True)]

    def expectations(self) -> RandomAllocation:
        """Return the expected copies as floating-point numbers, rounded to nearest."""
        expected = self.whole + self.fraction / self.denominator
        return RandomAllocation(self.agents, self.goods, self._matrix(expected))

    def assignment(self, copies: npt.ArrayLike) -> Assignment:
        """Return the assignment that gives each cell the stated copies, shape (n_cells,)."""
        return Assignment(self.agents, self.goods, self._matrix(np.asarray(copies, dtype=np.int64)))

    def with_terms(self, terms: Decomposition | None) -> Lottery:
        """Return the lottery with its decomposition attached, or without one."""
        return replace(self, terms=terms)

    def to_json(self) -> bytes:
        """Return the canonical bytes of ``lottery.json``."""
        cells = zip(
            self.cell_agent.tolist(),
            self.cell_good.tolist(),
            self.numerators,
            self.agent_sets.leaf.tolist(),
            self.good_sets.leaf.tolist(),
            strict=True,
        )
        document: dict[str, Any] = {
            "format": FORMAT,
            "kind": self.kind,
            "denominator": self.denominator,
            "agents": self.agents,
            "goods": self.goods,
            "cells": list(cells),
            "agent_sets": _rows(self.agent_sets),
            "good_sets": _rows(self.good_sets),
        }
        if self.drawn_by == "terms":
            document["draw"] = self.drawn_by
        if self.terms is not None:
            weights = self.terms.weights.tolist()
            document["terms"] = [[w, self.terms.copies(t).tolist()] for t, w in enumerate(weights)]
        text = json.dumps(
            document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Lottery:
        """Read ``lottery.json``.

        Raises
        ------
        InvalidProblemError
            Listing the faults found.
        """
        document = parse_lottery(data)
        columns = list(zip(*document["cells"], strict=True)) or [()] * 5
        agent, good, numerators, agent_leaf, good_leaf = columns
        denominator = document["denominator"]
        divided = [divmod(n, denominator) for n in numerators]
        whole = [w for w, _ in divided]
        if any(w > UNBOUNDED for w in whole):
            raise InvalidProblemError([Issue("cells: more than 2^31 - 1 copies in one cell")])
        try:
            lottery = cls(
                agents=tuple(document["agents"]),
                goods=tuple(document["goods"]),
                cell_agent=np.array(agent, dtype=np.int64),
                cell_good=np.array(good, dtype=np.int64),
                whole=np.array(whole, dtype=np.int64),
                fraction=np.array([f for _, f in divided], dtype=np.int64),
                denominator=denominator,
                agent_sets=_cell_sets(document["agent_sets"], agent_leaf),
                good_sets=_cell_sets(document["good_sets"], good_leaf),
                kind=document["kind"],
            )
            terms = _terms(document["terms"], lottery) if "terms" in document else None
            return replace(lottery, terms=terms, drawn_by=document.get("draw", "walk"))
        except OverflowError:
            raise InvalidProblemError([Issue("a number needs more than 64 bits")]) from None

    def _matrix(self, data: npt.NDArray[Any]) -> sp.csr_array:
        shape = (len(self.agents), len(self.goods))
        indptr = np.searchsorted(self.cell_agent, np.arange(shape[0] + 1))
        return sp.csr_array((data, self.cell_good, indptr), shape=shape)

    def _faults(self) -> list[Issue]:
        issues = []
        if self.kind not in get_args(Kind):
            expected = " or ".join(get_args(Kind))
            issues.append(Issue("kind", found=str(self.kind), expected=expected))
        d = self.denominator
        if type(d) is not int or not 1 <= d <= MAX_DENOMINATOR:
            issues.append(Issue("denominator", found=str(d), expected="an integer from 1 to 2^62"))
            return issues
        for noun, ids in (("agents", self.agents), ("goods", self.goods)):
            if not ids or "" in ids or any(a >= b for a, b in pairwise(ids)):
                issues.append(
                    Issue(f"{noun}", expected="at least one id; unique, not empty, ascending by code point")
                )
        for texts in (self.agents, self.goods, self.agent_sets.names, self.good_sets.names):
            try:
                "".join(texts).encode()
            except UnicodeEncodeError:
                issues.append(Issue("an id or a name cannot be written in UTF-8"))
        n = self.n_cells
        if any(len(part) != n for part in (self.cell_agent, self.cell_good, self.fraction)):
            issues.append(Issue("cells: arrays of different lengths"))
            return issues
        a, g = self.cell_agent, self.cell_good
        outside = (a < 0) | (a >= len(self.agents)) | (g < 0) | (g >= len(self.goods))
        disorder = np.zeros(n, dtype=bool)
        disorder[1:] = (a[1:] < a[:-1]) | ((a[1:] == a[:-1]) & (g[1:] <= g[:-1]))
        empty = (self.whole < 0) | (self.whole > UNBOUNDED) | (self.fraction < 0) | (self.fraction >= d)
        empty |= (self.whole == 0) & (self.fraction == 0)
        for message, wrong, expected in (
            ("position", outside, "positions of an agent and a good"),
            ("order", disorder, "cells in ascending order of (agent, good), none twice"),
            ("numerator", empty, "at least 1 and at most (2^31 - 1) * denominator"),
        ):
            issues += [
                Issue(f"cell {k}: {message}", expected=expected) for k in np.flatnonzero(wrong)[:_MAX_ISSUES]
            ]
        issues += self.agent_sets.faults("agent", n)[:_MAX_ISSUES]
        issues += self.good_sets.faults("good", n)[:_MAX_ISSUES]
        if self.terms is not None and (
            len(self.terms.whole) != n or self.terms.packed.shape != (self.terms.n_terms, -(-n // 8))
        ):
            issues.append(Issue("terms: arrays of wrong shape"))
        return issues

    def _faults_of_terms(self) -> list[Issue]:
        """List what keeps the terms from being the lottery."""
        if self.terms is None:
            return [Issue("terms: missing, though draws take one of them")]
        weights = self.terms.weights.tolist()
        issues = []
        if sum(weights) != self.denominator or min(weights, default=0) < 1:
            expected = f"positive ones that add up to the denominator, {self.denominator}"
            issues.append(Issue("weights of terms", found=str(sum(weights)), expected=expected))
        up = [0] * self.n_cells
        for term, weight in enumerate(weights):
            copies = self.terms.copies(term)
            for cell in np.flatnonzero(copies > self.whole).tolist():
                up[cell] += weight
            for sets in (self.agent_sets, self.good_sets):
                broken = sets.breaches(sets.totals(copies, np.zeros_like(copies), 1), 1)
                issues += [
                    Issue(f"term {term}: {one.message}", None, None, None, one.found, one.expected)
                    for one in broken[:_MAX_ISSUES]
                ]
        wrong = np.flatnonzero(np.array(up, dtype=np.int64) != self.fraction)
        issues += [
            Issue(f"cell {k}: terms expect {up[k]} over {self.denominator}", expected=str(self.fraction[k]))
            for k in wrong[:_MAX_ISSUES].tolist()
        ]
        return issues


def _frozen(values: npt.ArrayLike) -> IntArray:
    array = np.array(values, dtype=np.int64)
    array.flags.writeable = False
    return array


def _ints(values: Sequence[int]) -> IntArray:
    # With the type stated, NumPy raises OverflowError instead of choosing a wider type.
    return np.array(values, dtype=np.int64)


def _rows(sets: CellSets) -> list[list[int | str | None]]:
    bounds = ([None if b == UNDECLARED else b for b in part.tolist()] for part in (sets.lower, sets.upper))
    return [list(row) for row in zip(sets.parent.tolist(), *bounds, sets.names, strict=True)]


def _cell_sets(rows: list[list[Any]], leaf: Sequence[int]) -> CellSets:
    parent, low, high, names = list(zip(*rows, strict=True)) or [()] * 4
    lower, upper = ([UNDECLARED if b is None else b for b in part] for part in (low, high))
    return CellSets(_ints(parent), _ints(lower), _ints(upper), tuple(names), _ints(leaf))


def _terms(rows: list[tuple[int, list[int]]], lottery: Lottery) -> Decomposition:
    copies = np.array([copies for _, copies in rows], dtype=np.int64).reshape(len(rows), lottery.n_cells)
    up = copies - lottery.whole
    if ((up < 0) | (up > 1)).any():
        raise InvalidProblemError([Issue("terms", expected="each cell's expectation rounded down or up")])
    weights = np.array([weight for weight, _ in rows], dtype=np.int64)
    return Decomposition(weights, np.packbits(up.astype(np.uint8), axis=1), lottery.whole)
