"""Canonical bytes: the one form in which whatever a draw depends on is hashed.

JSON in UTF-8 with sorted keys, separators ``,`` and ``:``, nothing escaped that need not be, integers and no
other numbers, one trailing line feed. Lists of texts are hashed as *fields*: each text in UTF-8 after its
length in 8 bytes, big-endian, so that no two lists give the same bytes. Tables are CSV in UTF-8 with line
feeds, cells quoted where they hold ``,``, ``"`` or a line end, and one more apostrophe in front of what a
spreadsheet would run. The specification is ``docs/draw-specification.md``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from fairlot.model.lotteries import Assignment, Lottery

_RUNNABLE = re.compile(r"'*[=+\-@]")
_QUOTED = re.compile(r'[,"\n\r]')


def canonical_json(value: Any) -> bytes:
    r"""Write a JSON value of objects, lists, texts, integers and null.

    Examples
    --------
    >>> canonical_json({"b": [1, None], "a": "é"})
    b'{"a":"\xc3\xa9","b":[1,null]}\n'
    """
    return (json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n").encode()


def fields(texts: Sequence[str]) -> bytes:
    r"""Join texts, each after its length.

    Examples
    --------
    >>> fields(["a", ""])
    b'\x00\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x00\x00\x00\x00\x00\x00'
    """
    encoded = [text.encode() for text in texts]
    return b"".join(part for data in encoded for part in (len(data).to_bytes(8, "big"), data))


def digest(data: bytes) -> str:
    """Return the SHA-256 in 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def frozen_lottery(lottery: Lottery) -> bytes:
    """Return ``lottery.json`` as it is frozen: without terms that are only for reading."""
    return (lottery if lottery.drawn_by == "terms" else lottery.with_terms(None)).to_json()


def assignment_csv(lottery: Lottery, assignment: Assignment) -> bytes:
    """Write ``assignment.csv``: positive copies by agent and good, in ascending order of both ids."""
    header = "agent,good,copies" if lottery.kind == "pseudomarket" else "agent,task,amount"
    goods = [_cell(good) for good in assignment.goods]
    matrix = assignment.matrix
    lines = [header]
    for i, agent in enumerate(map(_cell, assignment.agents)):
        for k in range(matrix.indptr[i], matrix.indptr[i + 1]):
            lines.append(f"{agent},{goods[matrix.indices[k]]},{matrix.data[k]}")
    return ("\n".join(lines) + "\n").encode()


def _cell(text: str) -> str:
    safe = f"'{text}" if _RUNNABLE.match(text) else text
    return '"' + safe.replace('"', '""') + '"' if _QUOTED.search(safe) else safe
