"""Polynomials in one variable with fractions for coefficients: where they are not negative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from fairlot.pseudomarket.bundles.rational import solve_system

Polynomial = tuple[Fraction, ...]
"""Coefficients, the constant first; () is 0."""

_WIDTH = Fraction(1, 2**64)
_SAME = Fraction(1, 2**50)
_DENOMINATOR = 10**6
_ZERO = Fraction(0)


@dataclass(frozen=True)
class Ends:
    """A closed range of numbers.

    Parameters
    ----------
    low, high : Fraction
        Its ends.
    exact : bool
        Whether they are exact, not merely close.
    """

    low: Fraction
    high: Fraction
    exact: bool

    @staticmethod
    def union(ranges: Sequence[Ends]) -> list[Ends]:
        """Join ranges that touch."""
        joined: list[Ends] = []
        for here in sorted(ranges, key=lambda ends: (ends.low, ends.high)):
            if joined and here.low <= joined[-1].high + _SAME:
                last = joined[-1]
                longer = here if here.high > last.high else last
                joined[-1] = Ends(last.low, longer.high, last.exact and longer.exact)
            else:
                joined.append(here)
        return joined


def through(at: Sequence[Fraction], values: Sequence[Fraction]) -> Polynomial:
    """Return the polynomial of least degree through some points.

    Examples
    --------
    >>> at = [Fraction(0), Fraction(1), Fraction(2)]
    >>> [str(c) for c in through(at, [Fraction(1), Fraction(2), Fraction(5)])]
    ['1', '0', '1']
    """
    powers = [[x**k for k in range(len(at))] for x in at]
    solved = solve_system(powers, values, len(at))
    coefficients = list(solved.point) if solved else []
    while coefficients and not coefficients[-1]:
        coefficients.pop()
    return tuple(coefficients)


def value(polynomial: Polynomial, x: Fraction) -> Fraction:
    """Evaluate a polynomial."""
    total = _ZERO
    for c in reversed(polynomial):
        total = total * x + c
    return total


def roots(polynomial: Polynomial, low: Fraction, high: Fraction) -> list[tuple[Fraction, bool]]:
    """Find the roots between two numbers, each with whether it is exact; 0 has none.

    Between the roots of its derivative a polynomial is monotone, so that a change of sign brackets one.
    Roots of even order are found where they are rational.

    Examples
    --------
    >>> parabola = (Fraction(-1), Fraction(0), Fraction(4))
    >>> [(str(x), exact) for x, exact in roots(parabola, Fraction(0), Fraction(1))]
    [('1/2', True)]
    """
    if len(polynomial) < 2:
        return []
    if len(polynomial) == 2:
        root = -polynomial[0] / polynomial[1]
        return [(root, True)] if low <= root <= high else []
    slope = tuple(k * c for k, c in enumerate(polynomial))[1:]
    stops = [(low, True), *roots(slope, low, high), (high, True)]
    found = [(x, True) for x, exact in stops if exact and value(polynomial, x) == 0]
    for (a, _), (b, _) in pairwise(stops):
        left, right = value(polynomial, a), value(polynomial, b)
        if left * right < 0:
            found.append(_bisect(polynomial, a, b, left > 0))
    return sorted(set(found))


def _bisect(polynomial: Polynomial, low: Fraction, high: Fraction, falls: bool) -> tuple[Fraction, bool]:
    while high - low > _WIDTH:
        middle = (low + high) / 2
        here = value(polynomial, middle)
        if here == 0:
            return middle, True
        if (here > 0) == falls:
            low = middle
        else:
            high = middle
    guess = ((low + high) / 2).limit_denominator(_DENOMINATOR)
    return (guess, True) if value(polynomial, guess) == 0 else ((low + high) / 2, False)


def nonnegative_ranges(
    numerators: Sequence[Polynomial], denominator: Polynomial, span: tuple[Fraction, Fraction]
) -> list[Ends]:
    """Find where all quotients are at least 0, isolated points included where they are rational.

    Parameters
    ----------
    numerators : sequence of Polynomial
        The quotients' numerators.
    denominator : Polynomial
        Of all of them; not 0.
    span : tuple of Fraction
        Where to look.
    """

    def fits(x: Fraction) -> bool:
        d = value(denominator, x)
        return d != 0 and all(value(numerator, x) * d >= 0 for numerator in numerators)

    marks = {span[0]: True, span[1]: True}
    for polynomial in (denominator, *numerators):
        for x, exact in roots(polynomial, *span):
            near = next((mark for mark in marks if abs(mark - x) <= _SAME), None)
            if near is None:
                marks[x] = exact
            elif exact and not marks[near]:
                del marks[near]
                marks[x] = True
    stops = sorted(marks)
    found = [Ends(x, x, True) for x in stops if marks[x] and fits(x)]
    found += [Ends(a, b, marks[a] and marks[b]) for a, b in pairwise(stops) if fits((a + b) / 2)]
    return Ends.union(found)
