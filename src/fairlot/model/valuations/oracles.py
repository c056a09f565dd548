"""Any Python callable as a valuation, with a spot-checked claim that it is M♮-concave."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from random import Random
from typing import Any, ClassVar

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.valuations.base import Valuation
from fairlot.model.valuations.bounds import goods_mask
from fairlot.model.valuations.expressions import (
    INFINITY,
    Expression,
    Number,
    goods_in,
    mask_of,
    number,
    rounding,
)
from fairlot.model.valuations.simple import Table


@dataclass(frozen=True)
class Oracle(Valuation):
    r"""A Python callable as a valuation that is claimed to be M♮-concave.

    The claim is spot-checked when the object is made: of random pairs of bundles near which the exchange
    property could fail, ``spot_checks`` are tried. :func:`fairlot.verify_valuation` checks more.

    Two oracles are equal if their callables are. JSON holds the table of values.

    Parameters
    ----------
    function : callable
        From a frozenset of goods to a number; ``-inf`` outside the domain. Asked once per bundle, so it
        must always give the same answer.
    size : int
        Number of goods.
    start : collection of int, optional
        A bundle of the domain; default the empty one, else all goods.
    spot_checks : int
        Pairs of bundles tried; 0 trusts the claim.
    seed : int
        Of the random pairs.

    Raises
    ------
    InvalidProblemError
        If the start is outside the domain, or the claim is found wrong; with the witness (A, B, j).

    Examples
    --------
    >>> u = Oracle(lambda bundle: min(len(bundle), 2), size=3)
    >>> u.value([0, 1, 2])
    2
    >>> Oracle(lambda bundle: 2 if len(bundle) >= 2 else 0, size=3)
    Traceback (most recent call last):
    ...
    fairlot.errors.InvalidProblemError: not M♮-concave: good 0 cannot leave [0, 1] for []
    """

    kind: ClassVar[str] = "oracle"
    function: Callable[[frozenset[int]], Any]
    size: int
    start: Collection[int] | None = None
    spot_checks: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        self._set(_known={})
        if self.start is not None:
            self._set(start=goods_mask(self.start, self.size, "start"))
        starts = [0, (1 << self.size) - 1] if self.start is None else [mask_of(self.start)]
        usable = [mask for mask in starts if self._value(mask) > -INFINITY]
        if not usable:
            expected = "a bundle of the domain as `start`"
            raise InvalidProblemError([Issue("start", found=str(self.start), expected=expected)])
        self._set(_first=usable[0])
        failure = _spot_check(self, Random(self.seed))
        if failure is not None:
            raise InvalidProblemError([failure])

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.size

    def _value(self, mask: int) -> Number:
        known: dict[int, Number] = self._known  # type: ignore[attr-defined]
        if mask not in known:
            known[mask] = number(self.function(frozenset(goods_in(mask))), f"value of {list(goods_in(mask))}")
        return known[mask]

    def _some_bundle(self) -> int:
        first: int = self._first  # type: ignore[attr-defined]
        return first

    def _as_written(self) -> Expression:
        return Table.of(self)


def exchange_failure(valuation: Valuation, first: int, second: int) -> int | None:
    """Return a good of the first bundle that cannot be exchanged with the second; None if all can."""
    value = valuation._value
    held = (value(first), value(second))
    if -INFINITY in held:
        return None
    total = sum(held)
    spare = rounding(held)
    for j in goods_in(first & ~second):
        less, more = first ^ 1 << j, second | 1 << j
        options = [(less, more)] + [(less | 1 << k, more ^ 1 << k) for k in goods_in(second & ~first)]
        if all(value(a) + value(b) < total - spare for a, b in options):
            return j
    return None


def _spot_check(oracle: Oracle, random: Random) -> Issue | None:
    """Try pairs of bundles of all sizes, half of them two to four goods apart: there it fails if anywhere."""
    goods = range(oracle.size)
    for check in range(oracle.spot_checks):
        first, second = (mask_of(random.sample(goods, random.randint(0, oracle.size))) for _ in range(2))
        if check % 2:
            second = first ^ mask_of(random.sample(goods, min(oracle.size, random.choice((2, 3, 4)))))
        for a, b in ((first, second), (second, first)):
            j = exchange_failure(oracle, a, b)
            if j is not None:
                found = f"{list(goods_in(a))} for {list(goods_in(b))}"
                return Issue(f"not M♮-concave: good {j} cannot leave {found}")
    return None
