r"""Bounds on sets of goods, and hierarchies of them.

A *hierarchical constraint* is :math:`C = \{(A_k, l_k, h_k)\}` on a laminar family of sets; a bundle B meets
it if :math:`l_k \le |A_k \cap B| \le h_k` for all k. With upper bounds alone it limits what all agents
together may consume: the production set of an economy.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import Forest, laminar_forest
from fairlot.model.valuations.expressions import Expression, goods_in, mask_of


@dataclass(frozen=True)
class Bound(Expression):
    r"""Bounds :math:`l \le |A \cap S| \le h` on the goods a bundle A has from a set S.

    Parameters
    ----------
    goods : iterable of int
        S; kept sorted.
    lower : int
        l, at least 0.
    upper : int, optional
        h, at least ``lower``; None where there is no upper bound.

    Raises
    ------
    InvalidProblemError
        If the bounds are no such integers, or the set is empty.

    Examples
    --------
    >>> Bound([2, 0], upper=1)
    Bound(goods=(0, 2), lower=0, upper=1)
    """

    kind: ClassVar[str] = "bound"
    goods: Collection[int]
    lower: int = 0
    upper: int | None = None

    def __post_init__(self) -> None:
        issues = []
        if not all(isinstance(j, int | np.integer) and j >= 0 for j in self.goods):
            issues.append(Issue("goods of a bound", found=repr(self.goods), expected="goods by number"))
            raise InvalidProblemError(issues)
        self._set(goods=tuple(sorted({int(j) for j in self.goods})))
        if not self.goods:
            issues.append(Issue("a bound on no goods", expected="at least one good"))
        if type(self.lower) is not int or self.lower < 0:
            issues.append(Issue("lower", found=repr(self.lower), expected="an integer of at least 0"))
        elif self.upper is not None and (type(self.upper) is not int or self.upper < self.lower):
            expected = f"an integer of at least {self.lower}, or None"
            issues.append(Issue("upper", found=repr(self.upper), expected=expected))
        if issues:
            raise InvalidProblemError(issues)

    @property
    def mask(self) -> int:
        """Bitmask of the set."""
        return mask_of(self.goods)

    def excess(self, bundle: int) -> int:
        """Count by how many goods the bundle with this bitmask misses the bounds."""
        count = (bundle & self.mask).bit_count()
        above = 0 if self.upper is None else count - self.upper
        return max(0, above, self.lower - count)


def check_hierarchy(bounds: Sequence[Bound], n_goods: int, name: str = "bound") -> list[Issue]:
    """List what keeps bounds from being a hierarchy on the goods: unknown goods, crossing sets."""
    issues = [
        Issue(f"{name} {k}", found=f"good {j}", expected=f"goods from 0 to {n_goods - 1}")
        for k, bound in enumerate(bounds)
        for j in bound.goods
        if j >= n_goods
    ]
    if issues:
        return issues
    forest = laminar_forest([np.array(bound.goods, dtype=np.int64) for bound in bounds], n_goods)
    if isinstance(forest, Forest):
        return []
    return [
        Issue(
            f"{name} {c.first} and {name} {c.second} cross: good {c.in_both} is in both, "
            f"{c.only_first} only in the first, {c.only_second} only in the second",
            expected="sets that are nested or disjoint",
        )
        for c in forest
    ]


def goods_mask(goods: Iterable[int], n_goods: int, name: str) -> tuple[int, ...]:
    """Check a set of goods and return it sorted.

    Raises
    ------
    InvalidProblemError
        If it names something that is no good.
    """
    listed = list(goods)
    unknown = [j for j in listed if not isinstance(j, int | np.integer) or not 0 <= j < n_goods]
    if unknown:
        raise InvalidProblemError(
            [Issue(name, found=repr(unknown[0]), expected=f"goods from 0 to {n_goods - 1}")]
        )
    return goods_in(mask_of(listed))
