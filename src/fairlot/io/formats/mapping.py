"""Which column of a spreadsheet means what, as flags say it and as ``mapping.toml`` keeps it for next term.

Three layouts are understood. *Long*: a row for each agent and good. *Wide*: a row for each agent, a column
of numbers for each good. *Choices*: a row for each agent, a column for each choice, with the ids of goods.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields, replace
from typing import Any

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.keys import Keys, write_toml
from fairlot.io.tables import COUNT, POSITIVE_COUNT, decode

MAPPING = "mapping.toml"
LAYOUTS = ("long", "wide", "choices")
SCALES = ("value", "rank")
DECIMALS = ("point", "comma")


@dataclass(frozen=True)
class ColumnMapping:
    """What the columns of a spreadsheet mean; None and () are still to be found.

    Parameters
    ----------
    layout : str, optional
        One of :data:`LAYOUTS`.
    header_row : int, optional
        Row of the header, as a spreadsheet counts.
    agent : str, optional
        Column of agents' ids.
    goods : tuple of str
        Long: the one column of goods' ids. Wide: the columns that are goods. Choices: first choice first.
    value : str, optional
        Long: column of values or ranks.
    scale : str, optional
        Whether numbers are values (more is better) or ranks (1 is best).
    decimal : str, optional
        Whether the decimal mark is a point or a comma.
    capacity : str, optional
        Long: column of the goods' capacities.
    seats : int, optional
        Capacity of every good.
    budget : str, optional
        Column of agents' budgets.
    load : int or str, optional
        Goods one agent may hold: a number, or a column.
    """

    layout: str | None = None
    header_row: int | None = None
    agent: str | None = None
    goods: tuple[str, ...] = ()
    value: str | None = None
    scale: str | None = None
    decimal: str | None = None
    capacity: str | None = None
    seats: int | None = None
    budget: str | None = None
    load: int | str | None = None

    def over(self, other: ColumnMapping) -> ColumnMapping:
        """Take what is said here, and the rest from the other mapping."""
        said = {
            f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) not in (None, ())
        }
        return replace(other, **said)


_NOTE = """\
# What the columns of the spreadsheet mean. Next term: fairlot import FILE --out FOLDER --mapping mapping.toml

"""


def write_mapping(mapping: ColumnMapping) -> bytes:
    """Write a mapping as ``mapping.toml``."""
    said = {f.name: getattr(mapping, f.name) for f in fields(mapping)}
    entries = {key: value for key, value in said.items() if value not in (None, ())}
    return _NOTE.encode() + write_toml({"format": 1, **entries})


def read_mapping(data: bytes, file: str) -> ColumnMapping:
    """Read ``mapping.toml``.

    Raises
    ------
    InvalidProblemError
        Listing every fault found.
    """
    issues: list[Issue] = []
    text = decode(data, file, issues)
    if text is None:
        raise InvalidProblemError(issues)
    try:
        entries = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidProblemError([Issue(f"not TOML: {error}", file)]) from None
    keys = Keys(entries, "", issues)
    keys.require_format()
    found: dict[str, Any] = {}
    for key, options in (("layout", LAYOUTS), ("scale", SCALES), ("decimal", DECIMALS)):
        if key in keys:
            found[key] = keys.choice(key, options)
    for key in ("agent", "value", "capacity", "budget"):
        if key in keys:
            found[key] = keys.text(key)
    for key, rule in (("header_row", POSITIVE_COUNT), ("seats", COUNT)):
        if key in keys:
            found[key] = keys.number(key, rule)
    if "load" in keys:
        found["load"] = keys.text("load") if isinstance(entries["load"], str) else keys.number("load", COUNT)
    goods = keys.get("goods")
    if goods is not None and not (isinstance(goods, list) and all(isinstance(name, str) for name in goods)):
        keys.fault("goods", "not a list of columns", goods, 'a list such as ["Chess", "Choir"]')
    keys.close()
    if issues:
        raise InvalidProblemError([replace(issue, file=file) for issue in issues])
    for key in ("header_row", "seats", "load"):
        if isinstance(found.get(key), float):
            found[key] = int(found[key])
    return ColumnMapping(**found, goods=tuple(goods or ()))
