"""Strict reading of ``problem.toml``: every key is asked for by name, what nobody asked for is a fault."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from fairlot.errors import Issue
from fairlot.io.tables import Rule

SETTINGS = "problem.toml"


class Keys:
    """The keys of one table of ``problem.toml``.

    Parameters
    ----------
    data : mapping
        The table.
    where : str
        How messages call it; "" for the top of the file.
    issues : list of Issue
        Faults are appended here.
    """

    def __init__(self, data: Mapping[str, Any], where: str, issues: list[Issue]) -> None:
        self._data = data
        self._where = where
        self._issues = issues
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def get(self, key: str) -> Any:
        """Return the raw value; None if absent."""
        self._asked.append(key)
        return self._data.get(key)

    def text(self, key: str, default: str | None = None) -> str:
        """Return one line of text that is not blank; a fault if absent without a default."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and value.strip() and value.strip().isprintable():
            return value.strip()
        message = "missing" if value is None else "not one line of text"
        self.fault(key, message, value, "a text in quotes")
        return ""

    def choice(self, key: str, options: Sequence[str], default: str | None = None) -> str:
        """Return one of the options."""
        value = self.text(key, default)
        if value and value not in options:
            self.fault(key, "not known", value, " or ".join(f'"{option}"' for option in options))
        return value

    def number(self, key: str, rule: Rule, default: float | None = None) -> float:
        """Return a number that follows the rule; a fault if absent without a default."""
        value = self.get(key)
        if value is None and default is not None:
            return default
        return check_number(self, key, value, rule)

    def require_format(self) -> None:
        """Record a fault unless ``format = 1``, the one version there is."""
        value = self.get("format")
        if isinstance(value, bool) or value != 1:
            self.fault("format", "missing or unknown", value, "format = 1")

    def table(self, key: str, *, required: bool = True) -> Keys | None:
        """Return the keys of a table such as ``[goods]``."""
        value = self.get(key)
        if isinstance(value, Mapping):
            return Keys(value, f"[{key}]", self._issues)
        if value is not None or required:
            self.fault(key, "missing" if value is None else "not a table", value, f"a table [{key}]")
        return None

    def tables(self, key: str) -> list[Keys]:
        """Return the keys of each table of an array such as ``[[quota]]``."""
        value = self.get(key)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(entry, Mapping) for entry in value):
            self.fault(key, "not an array of tables", value, f"[[{key}]] in double brackets")
            return []
        return [
            Keys(entry, f"[[{key}]] {k} ({entry.get('name', 'without a name')})", self._issues)
            for k, entry in enumerate(value, start=1)
        ]

    def fault(self, key: str, message: str, found: Any = None, expected: str | None = None) -> None:
        """Record a fault of a key."""
        place = f"{self._where} {key}".strip()
        text = None if found is None else found if isinstance(found, str) else str(found)
        self._issues.append(Issue(message, SETTINGS, None, place, text, expected))

    def close(self) -> None:
        """Record a fault for every key that was not asked for."""
        for key in self._data:
            if key not in self._asked:
                close = difflib.get_close_matches(key, self._asked, n=1, cutoff=0.6)
                expected = f"'{close[0]}'?" if close else f"one of {', '.join(dict.fromkeys(self._asked))}"
                self.fault(key, "unknown key", key, expected)


def check_number(keys: Keys, key: str, value: Any, rule: Rule) -> float:
    """Return the value as a float, or record the fault and return NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        keys.fault(key, "missing" if value is None else "not a number", value, rule.text)
        return float("nan")
    try:
        number = float(value)
        complaint = rule.complaint(number)
    except OverflowError:  # TOML has whole numbers of any length
        complaint = "too large"
    if complaint:
        keys.fault(key, complaint, value, rule.text)
        return float("nan")
    return number


def as_text(value: Any) -> str | None:
    """Write a TOML text or number as tables show it; None if it is neither."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def write_toml(data: Mapping[str, Any]) -> bytes:
    """Write settings as TOML: plain keys first, then tables, then arrays of tables.

    Examples
    --------
    >>> print(write_toml({"format": 1, "goods": {"file": "g.csv"}, "quota": [{"max": 2}]}).decode())
    format = 1
    <BLANKLINE>
    [goods]
    file = "g.csv"
    <BLANKLINE>
    [[quota]]
    max = 2
    <BLANKLINE>
    """
    lines: list[str] = []
    rest: list[str] = []
    for key, value in data.items():
        if isinstance(value, Mapping):
            rest += ["", f"[{_key(key)}]", *_entries(value)]
        elif isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
            for entry in value:
                rest += ["", f"[[{_key(key)}]]", *_entries(entry)]
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    return "\n".join([*lines, *rest, ""]).encode()


def _entries(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            # A JSON string is a TOML string, but for DEL, which TOML wants escaped.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case Mapping():
            return "{ " + ", ".join(_entries(value)) + " }"
        case list() | tuple():
            return "[" + ", ".join(_value(item) for item in value) + "]"
        case _:
            return repr(value)
