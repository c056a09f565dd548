r"""Whether a valuation is what the theory asks for: monotone, M♮-concave, separable where bounds need it.

Everything is recomputed from values of bundles by the definitions. Residuals are in units of utility
unless said otherwise; where all values are exact, only 0 passes.

Of a valuation (:func:`verify_valuation`):

=====================  ==================================================================================
``domain``             some bundle has a value: 1 if none has
``values``             values are at least 0, or -inf: the largest miss; infinite where one is infinite
``monotonicity``       :math:`A \subset B` implies :math:`u(A) \le u(B)`: the largest fall
``exchange property``  for all A, B in the domain and j in A \\ B there is D in B \\ A, :math:`|D| \le 1`,
                       with :math:`u(A - j + D) + u(B - D + j) \ge u(A) + u(B)`: the largest shortfall;
                       infinite where every exchange leaves the domain
``coverage``           share of the cases of the two lines above that may violate them unseen: 0 if all were
                       looked at, else what the sample leaves possible with 99% confidence
=====================  ==================================================================================

Of demand (:func:`verify_substitutes`): ``price substitutes``, demand for other goods never falls when one
price rises, and ``coverage``. For quasilinear utility this is equivalent to M♮-concavity (Fujishige, Yang).

Of a hierarchical constraint (:func:`verify_constraint`): ``hierarchy`` counts pairs of sets that cross,
``modules`` is how far values are from adding up across a set, ``feasible`` is by how many goods the bundle
that comes nearest misses the bounds, and ``coverage``.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from itertools import combinations
from math import inf, lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from fairlot.certificate import Certificate, Check
from fairlot.model.valuations.base import Valuation
from fairlot.model.valuations.bounds import Bound

REQUIRED = ("domain", "values", "monotonicity", "exchange property", "coverage")
"""Names of the checks that make a valuation of the theory."""
REQUIRED_OF_SUBSTITUTES = ("price substitutes", "coverage")
"""Names of the checks that make goods substitutes."""
REQUIRED_OF_CONSTRAINT = ("hierarchy", "modules", "feasible", "coverage")
"""Names of the checks that make a hierarchical constraint modular."""
ALL_PAIRS = 9
"""Most goods of which all pairs of bundles are looked at."""
ALL_BUNDLES = 12
"""Most goods of which all bundles are looked at for modules."""
CONFIDENCE = 0.99
"""Of what ``coverage`` says of a sample."""
_EXACT = 2**50
_ENTRIES = 2**21
"""Bundles times prices looked at at once."""

Values = npt.NDArray[Any]
Masks = npt.NDArray[np.int64]


class _Known:
    """Values of bundles, by bitmask, as floats that are exact wherever the valuation's own are."""

    def __init__(self, valuation: Valuation, sampled: Sequence[Masks] = ()) -> None:
        self.n_goods = valuation.n_goods
        if sampled:
            self.masks = np.unique(np.concatenate(sampled))
        else:
            self.masks = np.arange(1 << self.n_goods, dtype=np.int64)
        given = [valuation.value(_goods(int(mask))) for mask in self.masks]
        exact = [v for v in given if isinstance(v, int | Fraction)]
        self.exact = all(isinstance(v, int | Fraction) or v == -inf for v in given)
        self.unit = lcm(*(v.denominator for v in exact)) if self.exact else 1
        self.scale = max((abs(float(v)) for v in given if v != -inf), default=0.0)
        dtype: Any = np.float64 if not self.exact or self.scale * self.unit < _EXACT else object
        whole = [int(v * self.unit) if self.exact and v != -inf else v for v in given]
        self.values: Values = np.array(whole, dtype=dtype)
        self._dense = not sampled

    def __call__(self, masks: Masks) -> Values:
        found: Values = self.values[masks if self._dense else np.searchsorted(self.masks, masks)]
        return found

    def told(self, amount: Any) -> float:
        """Return a residual in units of utility."""
        return inf if amount == inf else float(Fraction(amount) / self.unit if self.exact else amount)

    def tolerance(self, tol: float) -> float:
        """Return what rounding excuses: nothing where values are exact."""
        return 0.0 if self.exact else tol * self.scale


def verify_valuation(
    valuation: Valuation, *, samples: int = 1_000, seed: int = 0, coverage: float = 1e-2, tol: float = 1e-9
) -> Certificate:
    r"""Check that a valuation is monotone and M♮-concave.

    All pairs of bundles are looked at up to :data:`ALL_PAIRS` goods. Beyond, ``samples`` random pairs are,
    of all sizes alike, one half drawn independently, the other half with a partner that differs by two to
    four goods, where violations are most likely to show; ``coverage`` then says what share of such pairs may
    be faulty.

    Parameters
    ----------
    valuation : Valuation
        Anything with values.
    samples : int
        Random pairs beyond enumeration.
    seed : int
        Of the random pairs.
    coverage : float
        Largest share of unseen violations that passes.
    tol : float
        What rounding of floats excuses, as a share of the largest value.

    Examples
    --------
    >>> from fairlot.model.valuations import Table, UnitDemand
    >>> verify_valuation(UnitDemand([5, 3])).passed
    True
    >>> print(verify_valuation(Table([0, 0, 0, 2])).failed[0].witness)
    A = {0, 1}, B = {}, j = 0: u(A) + u(B) = 2, the best exchange gives 0
    """
    n_goods = valuation.n_goods
    pairs: list[tuple[int | Masks, Masks]]
    if n_goods <= ALL_PAIRS:
        known = _Known(valuation)
        pairs = [(a, known.masks) for a in range(1 << n_goods)]
        unseen = _coverage(0, 0.0)
    else:
        first, second = _random_pairs(n_goods, samples, np.random.default_rng(seed))
        known = _Known(valuation, list(_neighbours(first, second, n_goods)))
        pairs = [(first, second)]
        unseen = _coverage(samples, coverage)
    values = known.values
    low = 0.0 if not (values == inf).any() else inf
    finite = values[(values != -inf) & (values != inf)]
    if len(finite) and low == 0 and finite.min() < 0:
        low = known.told(-finite.min())
    known.values = np.where(values == inf, -inf, values)
    checks = (
        Check("domain", float(not (values > -inf).any()), 0.0, "" if (values > -inf).any() else "all -inf"),
        Check("values", low, known.tolerance(tol), "" if low == 0 else _extreme(known, low)),
        _monotonicity(known, pairs, tol),
        _exchange(known, pairs, tol),
        unseen,
    )
    return Certificate(REQUIRED, checks)


def _extreme(known: _Known, low: float) -> str:
    at = known.values.argmax() if low == inf else np.where(known.values == -inf, inf, known.values).argmin()
    return f"u({_told(int(known.masks[at]))}) = {known.values[at] / known.unit:g}"


def _monotonicity(known: _Known, pairs: Sequence[tuple[Any, Masks]], tol: float) -> Check:
    worst, witness = 0.0, ""
    # Where all bundles are known each is its own partner; a sample is looked at in its first bundles.
    masks = known.masks if len(pairs) != 1 else np.asarray(pairs[0][0])
    for j in range(known.n_goods):
        smaller = masks[masks >> j & 1 == 0]
        before, after = known(smaller), known(smaller | 1 << j)
        inside = before != -inf
        fall = np.where(inside, before, 0) - np.where(inside, after, 0)
        if len(fall) and known.told(fall.max()) > worst:
            k = int(fall.argmax())
            worst = known.told(fall[k])
            witness = (
                f"u({_told(int(smaller[k]))}) = {before[k] / known.unit:g}, "
                f"with good {j} {after[k] / known.unit:g}"
            )
    return Check("monotonicity", worst, known.tolerance(tol), witness)


def _exchange(known: _Known, pairs: Sequence[tuple[Any, Masks]], tol: float) -> Check:
    worst, witness = 0.0, ""
    for firsts, seconds in pairs:
        a, b = np.broadcast_arrays(np.asarray(firsts, dtype=np.int64), seconds)
        together = known(a) + known(b)
        both = together != -inf
        for j in range(known.n_goods):
            rows = np.flatnonzero(both & (a >> j & 1 == 1) & (b >> j & 1 == 0))
            if not len(rows):
                continue
            held, less, more = together[rows], a[rows] ^ 1 << j, b[rows] | 1 << j
            best = known(less) + known(more)
            for k in range(known.n_goods):
                can = np.flatnonzero((b[rows] & ~a[rows]) >> k & 1 == 1)
                swapped = known(less[can] | 1 << k) + known(more[can] ^ 1 << k)
                best[can] = np.maximum(best[can], swapped)
            short = held - best
            if known.told(short.max()) > worst:
                at = int(short.argmax())
                worst = known.told(short[at])
                witness = (
                    f"A = {_told(int(a[rows[at]]))}, B = {_told(int(b[rows[at]]))}, j = {j}: u(A) + u(B) = "
                    f"{held[at] / known.unit:g}, the best exchange gives {best[at] / known.unit:g}"
                )
    return Check("exchange property", worst, known.tolerance(tol), witness)


def verify_substitutes(
    valuation: Valuation, *, samples: int = 2_000, seed: int = 0, coverage: float = 1e-2, tol: float = 1e-9
) -> Certificate:
    r"""Check the price substitutes condition at random prices.

    While the price of good j rises from low to high, everything else fixed, the demanded bundle changes
    from the best one with j to the best one without j. Goods are substitutes if nothing but j drops out:
    :math:`A \setminus \{j\} \subseteq B` for the two bundles. Each sample draws j, prices out some goods,
    prices in others, and draws two or three prices in the range of what the goods add. The residual is
    the least of the two margins by which A and B are best, where something else drops out.

    Parameters
    ----------
    valuation : Valuation
        At most :data:`~fairlot.model.valuations.MOST_ENUMERATED` goods.
    samples : int
        Random prices.
    seed : int
        Of the random prices.
    coverage : float
        Largest share of unseen violations that passes.
    tol : float
        Margins that pass, as a share of the largest value: closer than that, bundles count as tied.

    Raises
    ------
    NotSupportedError
        If there are too many goods to list all bundles.

    Examples
    --------
    >>> from fairlot.model.valuations import Table, UnitDemand
    >>> verify_substitutes(UnitDemand([5, 3])).passed
    True
    >>> verify_substitutes(Table([0, 0, 0, 2])).passed
    False
    """
    rng = np.random.default_rng(seed)
    n_goods = valuation.n_goods
    table = np.array([float(value) for value in valuation.table()])
    span = float(np.ptp(table[table > -inf])) or 1.0
    worst, witness = 0.0, ""
    at_once = max(1, _ENTRIES >> n_goods)
    for start in range(0, samples if n_goods else 0, at_once):
        prices, j = _random_prices(table, span, min(at_once, samples - start), rng)
        best, margin = _sides(table, prices, j)
        with_j, without = best
        bad = np.where(with_j & ~without == 1 << j, 0.0, np.minimum(*margin))
        k = int(bad.argmax())
        if bad[k] > worst:
            worst = float(bad[k])
            told = ", ".join(f"{price:.4g}" for i, price in enumerate(prices[k]) if i != j[k])
            witness = (
                f"with the other prices at ({told}) a rising price of good {j[k]} moves demand from "
                f"{_told(int(with_j[k]))} to {_told(int(without[k]))}"
            )
    check = Check("price substitutes", worst, tol * span, witness)
    return Certificate(REQUIRED_OF_SUBSTITUTES, (check, _coverage(samples, coverage)))


def _random_prices(
    table: Values, span: float, samples: int, rng: np.random.Generator
) -> tuple[Values, Masks]:
    """Draw prices, and for each the good whose price rises; its own is 0."""
    n_goods = len(table).bit_length() - 1
    rank = rng.random((samples, n_goods)).argsort(axis=1)
    live = rank < rng.integers(2, 4, (samples, 1))
    prices = np.where(rng.random(live.shape) < 0.5, 4.0, -4.0) * span
    goods = 1 << np.arange(n_goods, dtype=np.int64)
    base = (~live & (prices < 0)) @ goods
    prices[live] = rng.uniform(-0.2, 1.1, int(live.sum())) * span
    # Differences of values in the sample's face are where demand changes: aim near them.
    ends = rng.integers(0, 1 << n_goods, (2, *live.shape), dtype=np.int64) & (live @ goods)[:, None]
    ends = table[ends | base[:, None]]
    known = (ends > -inf).all(axis=0)
    step = np.abs(np.where(known, ends[0], 0.0) - np.where(known, ends[1], 0.0))
    near = live & known & (rng.random(live.shape) < 0.5)
    prices = np.where(near, step + rng.normal(0, 0.05 * span, live.shape), prices)
    j = rank.argmin(axis=1).astype(np.int64)
    prices[np.arange(samples), j] = 0.0
    return prices, j


def _sides(table: Values, prices: Values, j: Masks) -> tuple[list[Masks], list[Values]]:
    """Find the best bundle with good j and the best without, and by how much each is best."""
    masks = np.arange(len(table), dtype=np.int64)
    surplus = table - prices @ (masks >> np.arange(prices.shape[1])[:, None] & 1)
    holds = masks >> j[:, None] & 1 == 1
    best, margin = [], []
    for side in (holds, ~holds):
        here = np.where(side, surplus, -inf)
        best.append(here.argmax(axis=1))
        top = here.max(axis=1)
        here[np.arange(len(here)), best[-1]] = -inf
        known = top > -inf
        margin.append(np.where(known, np.where(known, top, 0.0) - here.max(axis=1), 0.0))
    return best, margin


def verify_constraint(
    valuation: Valuation,
    bounds: Sequence[Bound],
    *,
    samples: int = 2_000,
    seed: int = 0,
    coverage: float = 1e-2,
    tol: float = 1e-9,
) -> Certificate:
    r"""Check that bounds are a hierarchical constraint that is modular for a valuation.

    A set S is a module if u is separable across it: :math:`u(A) + u(C) = u(A \cap S \cup C \setminus S) +
    u(C \cap S \cup A \setminus S)` for one C of the domain and all A; with :math:`u(\emptyset) = 0` and C
    empty that is :math:`u(A) = u(A \cap S) + u(A \setminus S)`. The set of all goods need not be looked at.

    Parameters
    ----------
    valuation : Valuation
        u.
    bounds : sequence of Bound
        The :math:`(A_k, l_k, h_k)`.
    samples, seed, coverage, tol
        As in :func:`verify_valuation`, for random bundles beyond
        :data:`ALL_BUNDLES` goods.

    Examples
    --------
    >>> from fairlot.model.valuations import Bound, UnitDemand
    >>> print(verify_constraint(UnitDemand([5, 3, 1]), [Bound([0, 1], upper=1)]).failed[0].witness)
    bound 0 on {0, 1}: u({0, 2}) = 5, its parts 6
    """
    n_goods = valuation.n_goods
    crossing = [
        (k, m)
        for (k, s), (m, t) in combinations(enumerate(set(bound.goods) for bound in bounds), 2)
        if s & t and not s <= t and not t <= s
    ]
    told = "; ".join(
        f"{_told_set(bounds[k].goods)} and {_told_set(bounds[m].goods)} cross" for k, m in crossing
    )
    listed = n_goods <= ALL_BUNDLES
    if listed:
        masks = np.arange(1 << n_goods, dtype=np.int64)
    else:
        masks = np.random.default_rng(seed).integers(0, 1 << n_goods, samples, dtype=np.int64)
    start = _member_of_domain(valuation)
    worst, witness, tolerance = 0.0, "", 0.0
    for k, bound in enumerate(bounds):
        inside = bound.mask
        if inside == (1 << n_goods) - 1 or start is None:
            continue
        left, right = masks & inside | start & ~inside, start & inside | masks & ~inside
        known = _Known(valuation, [masks, left, right, np.array([start])])
        whole = known(masks) + known(np.array([start]))
        parts = known(left) + known(right)
        out = np.maximum(whole, parts) == -inf
        gap = np.abs(np.where(out, 0, whole) - np.where(out, 0, parts))
        at = int(gap.argmax())
        tolerance = max(tolerance, known.tolerance(tol))
        if known.told(gap[at]) > worst:
            worst = known.told(gap[at])
            offset = known(np.array([start]))[0]
            witness = (
                f"bound {k} on {_told(inside)}: u({_told(int(masks[at]))}) = "
                f"{(whole[at] - offset) / known.unit:g}, its parts {(parts[at] - offset) / known.unit:g}"
            )
    missing = _nearest(valuation, bounds, masks)
    return Certificate(
        REQUIRED_OF_CONSTRAINT,
        (
            Check("hierarchy", float(len(crossing)), 0.0, told),
            Check("modules", worst, tolerance, witness),
            Check(
                "feasible", missing, 0.0, "" if missing == 0 else "no bundle of the domain meets the bounds"
            ),
            _coverage(0 if listed else samples, 0.0 if listed else coverage),
        ),
    )


def _member_of_domain(valuation: Valuation) -> int | None:
    everything = (1 << valuation.n_goods) - 1
    for mask in (0, everything):
        if valuation.value(_goods(mask)) != -inf:
            return mask
    return next((m for m in range(everything) if valuation.value(_goods(m)) != -inf), None)


def _nearest(valuation: Valuation, bounds: Sequence[Bound], masks: Masks) -> float:
    """Count by how many goods the bundle of the domain that comes nearest misses the bounds."""

    def excess(mask: int) -> float:
        held = set(_goods(mask))
        if valuation.value(tuple(held)) == -inf:
            return inf
        counts = [(len(held.intersection(bound.goods)), bound) for bound in bounds]
        above = sum(max(0, n - bound.upper) for n, bound in counts if bound.upper is not None)
        return above + sum(max(0, bound.lower - n) for n, bound in counts)

    everything = (1 << valuation.n_goods) - 1
    if len(masks) > everything:
        return min(excess(int(mask)) for mask in masks)
    # Of a sample only the best end is sure: go on from there, and from all goods, one good at a time.
    found = []
    for here in (min(map(int, masks[:100]), key=excess), everything):
        best = excess(here)
        while best > 0:
            nearest = min((here ^ 1 << j for j in range(valuation.n_goods)), key=excess)
            if excess(nearest) >= best:
                break
            best, here = excess(nearest), nearest
        found.append(best)
    return min(found)


def _coverage(samples: int, tolerance: float) -> Check:
    """Say what share of violations a sample without one leaves possible; no sample: all was looked at."""
    if not samples:
        return Check("coverage", 0.0, tolerance)
    share = 1 - (1 - CONFIDENCE) ** (1 / samples)
    told = f"{samples} random cases: with {CONFIDENCE:.0%} confidence at most {share:.2g} of all violate"
    return Check("coverage", share, tolerance, told)


def _random_pairs(n_goods: int, samples: int, rng: np.random.Generator) -> tuple[Masks, Masks]:
    rank = rng.random((2, samples, n_goods)).argsort(axis=2)
    sizes = rng.integers(0, n_goods + 1, (2, samples, 1))
    first, second = (rank < sizes) @ (1 << np.arange(n_goods, dtype=np.int64))
    for k in range(0, samples, 2):
        apart = rng.permutation(n_goods)[: rng.integers(2, 5)]
        second[k] = first[k] ^ int(sum(1 << int(j) for j in apart))
    return first, second


def _neighbours(first: Masks, second: Masks, n_goods: int) -> list[Masks]:
    """List the bundles that exchanges between the pairs, and additions to the first, lead to."""
    found = [first, second]
    goods = 1 << np.arange(n_goods, dtype=np.int64)
    for j in goods:
        found.append(first | j)
        rows = (first & j > 0) & (second & j == 0)
        less, more = first[rows] ^ j, second[rows] | j
        found += [less, more]
        for k in goods:
            can = (second[rows] & k > 0) & (first[rows] & k == 0)
            found += [less[can] | k, more[can] ^ k]
    return found


def _goods(mask: int) -> tuple[int, ...]:
    return tuple(j for j in range(mask.bit_length()) if mask >> j & 1)


def _told(mask: int) -> str:
    return _told_set(_goods(mask))


def _told_set(goods: Collection[int]) -> str:
    return "{" + ", ".join(map(str, goods)) + "}"
