"""The shape of ``lottery.json``: which keys and what under each, numbers and ids not yet understood.

``denominator`` D; ``agents`` and ``goods``: ids; ``cells``: [agent, good, numerator, agent set, good set],
positions of ids and of the smallest set on either side that holds the cell, -1 for none; ``agent_sets``
and ``good_sets``: [parent, lower, upper, name], bounds null where none is declared; ``terms``, optional:
[weight, [copies of each cell]]; ``draw``, only where draws take a term: "terms".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fairlot.errors import InvalidProblemError, Issue

FORMAT = 1


def parse_lottery(data: bytes) -> dict[str, Any]:
    """Decode the bytes and check keys and types, so that what follows may rely on them.

    Raises
    ------
    InvalidProblemError
        Listing the faults found.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        if len(set(keys)) < len(keys):
            raise InvalidProblemError([Issue("lottery.json: a key is there twice")])
        return dict(pairs)

    try:
        document = json.loads(data.decode(), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise InvalidProblemError([Issue(f"lottery.json is not JSON in UTF-8: {error}")]) from None
    if not isinstance(document, dict):
        raise InvalidProblemError([Issue("lottery.json", expected="an object")])
    issues = []
    keys = {"format", "kind", "denominator", "agents", "goods", "cells", "agent_sets", "good_sets"}
    if not keys <= document.keys() <= keys | {"terms", "draw"}:
        found = ", ".join(sorted(document))
        expected = f"{', '.join(sorted(keys))}, and perhaps terms and draw"
        issues.append(Issue("keys", found=found, expected=expected))
        raise InvalidProblemError(issues)
    if document["format"] != FORMAT or type(document["format"]) is not int:
        issues.append(Issue("format", found=str(document["format"]), expected=str(FORMAT)))
    if type(document["denominator"]) is not int or document["denominator"] < 1:
        issues.append(
            Issue("denominator", found=str(document["denominator"]), expected="an integer from 1 to 2^62")
        )
    if document.get("draw", "terms") != "terms" or ("draw" in document and "terms" not in document):
        issues.append(Issue("draw", found=str(document["draw"]), expected='"terms", and terms, or neither'))
    shapes: dict[str, Callable[[Any], bool]] = {
        "agents": lambda row: type(row) is str and _encodable(row),
        "goods": lambda row: type(row) is str and _encodable(row),
        "cells": lambda row: _integers(row, 5),
        "agent_sets": _is_set,
        "good_sets": _is_set,
        "terms": lambda row: (
            type(row) is list and len(row) == 2 and type(row[0]) is int and _integers(row[1])
        ),
    }
    for key, shape in shapes.items():
        rows = document.get(key, [])
        if type(rows) is not list:
            issues.append(Issue(key, found=type(rows).__name__, expected="a list"))
            continue
        wrong = [k for k, row in enumerate(rows) if not shape(row)]
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            issues.append(Issue(f"{key}: entry {wrong[0]} is malformed{more}", found=str(rows[wrong[0]])))
    if not issues and any(len(row[1]) != len(document["cells"]) for row in document.get("terms", [])):
        issues.append(Issue("terms", expected="one number per cell in every term"))
    if issues:
        raise InvalidProblemError(issues)
    return document


def _encodable(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _integers(row: Any, length: int | None = None) -> bool:
    right_length = type(row) is list and length in (None, len(row))
    return right_length and all(type(value) is int for value in row)


def _is_set(row: Any) -> bool:
    return (
        type(row) is list
        and len(row) == 4
        and type(row[0]) is int
        and all(bound is None or (type(bound) is int and bound >= 0) for bound in row[1:3])
        and type(row[3]) is str
        and _encodable(row[3])
    )
