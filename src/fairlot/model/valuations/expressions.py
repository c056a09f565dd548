"""What valuations and matroids are written in: frozen, hashable, printable objects, from and to JSON.

An *expression* is a frozen dataclass whose fields are numbers, tuples, ``None`` or other expressions. Its
JSON is an object with ``kind`` and a member per field. Numbers stay exact: an integer is a JSON number, a
fraction the text ``"1/3"``, and ``-inf`` the text ``"-inf"``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import fields
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import Any, ClassVar, Self

from fairlot.errors import InvalidProblemError, Issue

Number = int | Fraction | float
"""Exact as long as only integers and fractions go in."""

INFINITY = math.inf


def number(given: Any, name: str = "a number") -> Number:
    """Return an integer, a fraction or a float, whatever library the number came from.

    Raises
    ------
    InvalidProblemError
        If it is no number, or NaN.
    """
    if isinstance(given, Integral) and not isinstance(given, bool):
        return int(given)
    if isinstance(given, Rational) and not isinstance(given, bool):
        return Fraction(int(given.numerator), int(given.denominator))
    if isinstance(given, Real) and not isinstance(given, bool) and not math.isnan(float(given)):
        return float(given)
    raise InvalidProblemError([Issue(name, found=repr(given), expected="an integer, a fraction or a float")])


def finite(given: Any, name: str = "a number") -> Number:
    """Return a number as :func:`number` does, refusing infinite ones.

    Raises
    ------
    InvalidProblemError
        If it is no finite number.
    """
    value = number(given, name)
    if isinstance(value, float) and math.isinf(value):
        raise InvalidProblemError([Issue(name, found=str(value), expected="a finite number")])
    return value


def rounding(values: Iterable[Number], share: float = 1e-9) -> float:
    """Return what floats of these sizes may miss an equation by; 0 where all numbers are exact."""
    listed = list(values)
    if not any(isinstance(value, float) for value in listed):
        return 0
    return share * max(abs(float(value)) for value in listed)


def mask_of(goods: Iterable[int]) -> int:
    """Return the bitmask of a set of goods: good j is bit j.

    Examples
    --------
    >>> mask_of([0, 2])
    5
    """
    mask = 0
    for j in goods:
        mask |= 1 << int(j)
    return mask


def goods_in(mask: int) -> tuple[int, ...]:
    """List the goods of a bitmask, ascending.

    Examples
    --------
    >>> goods_in(5)
    (0, 2)
    """
    goods = []
    while mask:
        low = mask & -mask
        goods.append(low.bit_length() - 1)
        mask ^= low
    return tuple(goods)


class Expression:
    """A frozen dataclass that can be written as JSON and read back.

    Subclasses set ``kind``, the word that names them in JSON.
    """

    kind: ClassVar[str] = ""
    _kinds: ClassVar[dict[str, type[Expression]]] = {}

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        if cls.kind:
            Expression._kinds[cls.kind] = cls

    def to_json(self) -> bytes:
        """Return JSON in UTF-8: keys sorted, numbers exact.

        Raises
        ------
        NotSupportedError
            If a part cannot be written, such as a Python callable on many goods.
        """
        text = json.dumps(_encoded(self), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return text.encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes | str) -> Self:
        """Read what :meth:`to_json` wrote.

        Raises
        ------
        InvalidProblemError
            If the text is not such JSON, or describes something else than this class.
        """
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise InvalidProblemError([Issue(f"not JSON: {error}")]) from None
        found = _decoded(document)
        if not isinstance(found, cls):
            raise InvalidProblemError(
                [Issue("JSON of another kind", found=type(found).__name__, expected=cls.__name__)]
            )
        return found

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        # What was computed on demand does not travel between processes; it is made anew from the fields.
        return type(self), tuple(getattr(self, field.name) for field in fields(self))  # type: ignore[arg-type]

    def _as_written(self) -> Expression:
        """Return the expression to write in JSON: itself, unless a part has no JSON of its own."""
        return self

    def _set(self, **values: Any) -> None:
        """Set fields of a frozen dataclass while it is made."""
        for name, value in values.items():
            object.__setattr__(self, name, value)


_FRACTION = re.compile(r"-?[0-9]{1,4000}(?:/0*[1-9][0-9]{0,4000})?")


def _encoded(part: Any) -> Any:
    if isinstance(part, Expression):
        part = part._as_written()
        members = {field.name: _encoded(getattr(part, field.name)) for field in fields(part)}
        return {"kind": part.kind, **members}
    if isinstance(part, tuple):
        return [_encoded(member) for member in part]
    if isinstance(part, Fraction):
        return f"{part.numerator}/{part.denominator}"
    if isinstance(part, float) and math.isinf(part):
        return "inf" if part > 0 else "-inf"
    return part


def _decoded(part: Any) -> Any:
    if isinstance(part, dict):
        members = {name: _decoded(member) for name, member in part.items() if name != "kind"}
        known = Expression._kinds.get(str(part.get("kind")))
        if known is None:
            expected = "one of " + ", ".join(sorted(Expression._kinds))
            raise InvalidProblemError([Issue("kind", found=str(part.get("kind")), expected=expected)])
        names = {field.name for field in fields(known)}  # type: ignore[arg-type]
        if members.keys() != names:
            raise InvalidProblemError(
                [
                    Issue(
                        f"members of a '{known.kind}'",
                        found=", ".join(sorted(members)),
                        expected=", ".join(sorted(names)),
                    )
                ]
            )
        try:
            return known(**members)
        except (TypeError, AttributeError, ValueError, ArithmeticError, LookupError) as error:
            if isinstance(error, InvalidProblemError):
                raise
            issue = Issue(f"members of a '{known.kind}' do not fit", found=str(error))
            raise InvalidProblemError([issue]) from None
    if isinstance(part, list):
        return tuple(_decoded(member) for member in part)
    if isinstance(part, str):
        if part in ("inf", "-inf"):
            return float(part)
        # A fraction that Python reads from 1e999999999 would fill the memory.
        if not _FRACTION.fullmatch(part):
            raise InvalidProblemError([Issue("a number", found=part, expected="a fraction as 1/3")])
        return Fraction(part)
    return part
