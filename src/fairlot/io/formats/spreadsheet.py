"""An arbitrary spreadsheet, its columns understood, as the tables of a pseudo-market."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.formats.columns import overlooked
from fairlot.io.formats.draft import Draft, refuse_too_many
from fairlot.io.formats.mapping import ColumnMapping
from fairlot.io.formats.rankings import RULE, WARNING, borda
from fairlot.io.formats.sheet import is_numeric, with_points
from fairlot.io.tables import (
    COUNT,
    NON_NEGATIVE,
    POSITIVE,
    POSITIVE_COUNT,
    Rule,
    Table,
    cell_text,
    parse_numbers,
)

_Pair = tuple[str, str, float, int]
"""Agent, good, number, and the row it stands in."""


def capacity_columns(table: Table) -> tuple[str, str]:
    """Find the goods and the capacities in a table of goods.

    Raises
    ------
    InvalidProblemError
        If there is no telling.
    """
    if not table.rows:
        expected = "at least one row below the header"
        raise InvalidProblemError([Issue("no goods", table.file, expected=expected)])
    plain = {column.strip().casefold(): column for column in table.columns}
    named = [plain[n] for n in ("good", "course", "item", "project", "section", "id") if n in plain]
    # A table of sections has a column of courses too: the goods are told apart by the one without repeats.
    good = next((c for c in named if len(set(table[c])) == len(table[c])), named[0] if named else None)
    seats = next((plain[n] for n in ("capacity", "seats", "places", "spots") if n in plain), None)
    numeric = [c for c in table.columns if all(map(is_numeric, table[c])) and c != good]
    good = good or table.columns[0]
    if seats is None and len(numeric) == 1 and numeric[0] != good:
        seats = numeric[0]
    if seats is None or seats == good:
        found, expected = ", ".join(table.columns[:6]), "columns 'good' and 'capacity'"
        raise InvalidProblemError(
            [Issue("no column of capacities found", table.file, 1, None, found, expected)]
        )
    return good, seats


def spreadsheet_draft(
    table: Table, mapping: ColumnMapping, capacities: Table | None = None, title: str = ""
) -> Draft:
    """Turn a spreadsheet into a pseudo-market.

    Parameters
    ----------
    table : Table
        The spreadsheet.
    mapping : ColumnMapping
        What its columns mean, nothing left open (:func:`fairlot.io.formats.columns.understand`).
    capacities : Table, optional
        Goods, their capacities and any attributes; instead of the mapping's ``capacity`` or ``seats``.
    title : str
        For people.

    Raises
    ------
    InvalidProblemError
        Listing every fault found, with row and column of the spreadsheet.
    """
    builder = _Builder(table, mapping, capacities)
    draft = builder.draft(title)
    if builder.issues:
        raise InvalidProblemError(builder.issues)
    return draft


class _Builder:
    """Reads cells as the mapping says and collects faults in the user's own file."""

    def __init__(self, table: Table, mapping: ColumnMapping, capacities: Table | None) -> None:
        self._table = table
        self._mapping = mapping
        self._capacities = capacities
        self._left: dict[str, list[str]] = {}
        self.issues: list[Issue] = []

    def draft(self, title: str) -> Draft:
        table, mapping = self._table, self._mapping
        if mapping.agent is None:
            raise InvalidProblemError([Issue("no column of agents", table.file, expected="its name")])
        rows = self._rows_with_ids(mapping.agent, "agent")
        ids = table[mapping.agent]
        agents = dict.fromkeys(ids[k] for k in rows)
        pairs = self._pairs(rows)
        refuse_too_many(len(pairs), table.file)
        goods_table = self._goods(pairs)
        warnings: tuple[str, ...] = ()
        if mapping.scale == "rank":
            pairs = self._ranked(pairs, len(goods_table["good"]))
            warnings = (WARNING,)
        wanted = {good for _, good, *_ in pairs}
        if ignored := [good for good in goods_table["good"] if good not in wanted]:
            shown = ", ".join(ignored[:10]) + (", ..." if len(ignored) > 10 else "")
            warnings += (f"nobody accepts {len(ignored)} of the goods (no column, or no value): {shown}",)
        if others := overlooked(table, mapping):
            warnings += (f"columns of numbers that are not taken for goods: {', '.join(others[:10])}",)
        agents_table: dict[str, Sequence[str]] = {"agent": list(agents)}
        for name, column, rule in (("budget", mapping.budget, POSITIVE), ("load", mapping.load, COUNT)):
            if isinstance(column, str):
                cells = self._per_agent(column, rows)
                agents_table[name] = [cells[agent] for agent in agents]
                self._check_numbers(column, rule)
        for column in self._attributes(set(goods_table)):
            name = column if column not in agents_table else f"{column} (as imported)"
            cells = self._per_agent(column, rows, tell=False)
            if cells:
                agents_table[name] = [cells[agent] for agent in agents]
        return Draft(
            goods=goods_table,
            agents=agents_table,
            values={
                "agent": [agent for agent, *_ in pairs],
                "good": [good for _, good, *_ in pairs],
                "value": [cell_text(number) for *_, number, _ in pairs],
            },
            load="load" if isinstance(mapping.load, str) else mapping.load,
            title=title,
            notes=tuple(self._notes(agents_table, goods_table, len(pairs))),
            warnings=warnings,
        )

    def _rows_with_ids(self, column: str, noun: str) -> list[int]:
        """Check the ids of a column; blank ones are told in one line, merged cells are their usual cause."""
        cells, rows = self._table[column], self._table.rows
        blank = [k for k, cell in enumerate(cells) if not cell]
        if blank:
            several = f" (and {len(blank) - 1} more rows)" if len(blank) > 1 else ""
            expected = f"the id of the {noun} in every row; unmerge merged cells and fill them down"
            self._fault(f"blank{several}", rows[blank[0]], column, "", expected)
        for k, cell in enumerate(cells):
            if not cell.isprintable():
                self._fault(
                    "unprintable character", rows[k], column, cell, "letters, digits, signs and spaces"
                )
        return [k for k, cell in enumerate(cells) if cell]

    def _pairs(self, rows: list[int]) -> list[_Pair]:
        match self._mapping.layout:
            case "long":
                return self._long(rows)
            case "choices":
                return self._choices(rows)
            case _:
                return self._wide(rows)

    def _long(self, rows: list[int]) -> list[_Pair]:
        table, mapping = self._table, self._mapping
        good, value = mapping.goods[0], mapping.value or ""
        numbers = self._numbers(value, self._rule())
        agents, goods = table[mapping.agent or ""], table[good]
        first: dict[tuple[str, str], int] = {}
        pairs = []
        for k in rows:
            if not goods[k]:
                if table[value][k]:
                    expected = "the id of the good; unmerge merged cells and fill them down"
                    self._fault("blank", table.rows[k], good, "", expected)
                continue
            if (earlier := first.setdefault((agents[k], goods[k]), table.rows[k])) != table.rows[k]:
                expected = f"each agent and good once (they are in row {earlier} already)"
                self._fault("duplicate pair", table.rows[k], good, f"{agents[k]}, {goods[k]}", expected)
            elif numbers[k] >= 0:
                pairs.append((agents[k], goods[k], float(numbers[k]), table.rows[k]))
        return pairs

    def _wide(self, rows: list[int]) -> list[_Pair]:
        table, mapping = self._table, self._mapping
        ids = table[mapping.agent or ""]
        self._once(rows)
        refuse_too_many(len(rows) * len(mapping.goods), table.file)
        columns = [(good, self._numbers(good, self._rule())) for good in mapping.goods]
        return [
            (ids[k], good, float(numbers[k]), table.rows[k])
            for k in rows
            for good, numbers in columns
            if numbers[k] >= 0
        ]

    def _choices(self, rows: list[int]) -> list[_Pair]:
        table, mapping = self._table, self._mapping
        ids = table[mapping.agent or ""]
        self._once(rows)
        pairs = []
        for k in rows:
            seen: dict[str, str] = {}
            for rank, column in enumerate(mapping.goods, start=1):
                good = table[column][k]
                if good and seen.setdefault(good, column) != column:
                    expected = f"each good once (it is under {seen[good]} already)"
                    self._fault("good chosen twice", table.rows[k], column, good, expected)
                elif good:
                    pairs.append((ids[k], good, float(rank), table.rows[k]))
        return pairs

    def _once(self, rows: list[int]) -> None:
        column = self._mapping.agent or ""
        first: dict[str, int] = {}
        for k in rows:
            row = self._table.rows[k]
            if (earlier := first.setdefault(self._table[column][k], row)) != row:
                expected = f"each agent once (she is in row {earlier} already)"
                self._fault("duplicate agent", row, column, self._table[column][k], expected)

    def _ranked(self, pairs: list[_Pair], n_goods: int) -> list[_Pair]:
        """Turn ranks into values by Borda's rule; equal ranks are ties."""
        groups: dict[str, dict[float, list[int]]] = {}
        for k, (agent, _, rank, _) in enumerate(pairs):
            groups.setdefault(agent, {}).setdefault(rank, []).append(k)
        values: dict[int, int] = {}
        for ranked in groups.values():
            values |= borda([ranked[rank] for rank in sorted(ranked)], n_goods)
        return [(agent, good, float(values[k]), row) for k, (agent, good, _, row) in enumerate(pairs)]

    def _goods(self, pairs: list[_Pair]) -> dict[str, Sequence[str]]:
        mapping, table = self._mapping, self._table
        wanted: dict[str, int] = {}
        for _, good, _, row in pairs:
            wanted.setdefault(good, row)
        if self._capacities is not None:
            return self._goods_from_table(self._capacities, wanted)
        names = list(mapping.goods) if mapping.layout == "wide" else list(wanted)
        if mapping.layout == "long":
            names = [good for good in dict.fromkeys(table[mapping.goods[0]]) if good]
        for name in names:
            if not name.isprintable():
                self._fault("unprintable character", None, None, name, "letters, digits, signs and spaces")
        if mapping.layout == "long" and mapping.capacity is not None:
            self._check_numbers(mapping.capacity, COUNT)
            cells = self._constant(mapping.capacity, table[mapping.goods[0]], "good")
            return {"good": names, "capacity": [cells.get(name, "") for name in names]}
        return {"good": names, "capacity": [str(mapping.seats)] * len(names)}

    def _goods_from_table(self, capacities: Table, wanted: dict[str, int]) -> dict[str, Sequence[str]]:
        good, seats = capacity_columns(capacities)
        known = set(capacities[good])
        for name, row in wanted.items():
            if name not in known:
                self._fault("good without a capacity", row, None, name, f"a good of {capacities.file}")
        place = Issue("", capacities.file, None, seats)
        parse_numbers(capacities[seats], capacities.rows, place, COUNT, self.issues)
        columns = {"good": capacities[good], "capacity": capacities[seats]}
        for column in capacities.columns:
            if column not in (good, seats):
                columns[column if column not in columns else f"{column} (as imported)"] = capacities[column]
        return columns

    def _attributes(self, taken: set[str]) -> list[str]:
        """List the columns that nothing has claimed."""
        mapping = self._mapping
        used = {mapping.agent, *mapping.goods, mapping.value, mapping.capacity, mapping.budget, mapping.load}
        return [column for column in self._table.columns if column not in used]

    def _per_agent(self, column: str, rows: list[int], *, tell: bool = True) -> dict[str, str]:
        """Read a column that is the same in all rows of an agent; empty if it is not and nobody minds."""
        ids = self._table[self._mapping.agent or ""]
        return self._constant(column, [ids[k] if ids[k] else "" for k in range(len(ids))], "agent", tell=tell)

    def _constant(self, column: str, ids: Sequence[str], noun: str, *, tell: bool = True) -> dict[str, str]:
        cells: dict[str, str] = {}
        texts = self._table[column]
        if tell:
            texts = with_points(texts, self._mapping.decimal)
        for name, text, row in zip(ids, texts, self._table.rows, strict=True):
            if name and cells.setdefault(name, text) != text:
                if not tell:
                    return {}
                expected = f"the same in every row of {noun} '{name}' ({cells[name]})"
                self._fault("differs from row to row", row, column, text, expected)
        return cells

    def _rule(self) -> Rule:
        return POSITIVE_COUNT if self._mapping.scale == "rank" else NON_NEGATIVE

    def _numbers(self, column: str, rule: Rule) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Read numbers, -1 where blank."""
        texts = with_points(self._table[column], self._mapping.decimal)
        place = Issue("", self._table.file, None, column)
        return parse_numbers(texts, self._table.rows, place, rule, self.issues, blank=-1)

    def _check_numbers(self, column: str, rule: Rule) -> None:
        texts = with_points(self._table[column], self._mapping.decimal)
        parse_numbers(texts, self._table.rows, Issue("", self._table.file, None, column), rule, self.issues)

    def _notes(
        self, agents: dict[str, Sequence[str]], goods: dict[str, Sequence[str]], n_pairs: int
    ) -> list[str]:
        mapping = self._mapping
        shown = ", ".join(mapping.goods[:12]) + (", ..." if len(mapping.goods) > 12 else "")
        where = {
            "long": f"a row for each pair: goods in '{shown}', {mapping.scale}s in '{mapping.value}'",
            "wide": f"a row for each agent, {mapping.scale}s of the goods in: {shown}",
            "choices": f"a row for each agent, her choices in: {shown}",
        }[mapping.layout or "wide"]
        side = [column for column in agents if column not in ("agent", "budget", "load")]
        kept = set(agents) | {column.removesuffix(" (as imported)") for column in agents}
        dropped = [column for column in self._attributes(set()) if column not in kept]
        budgets = f"column '{mapping.budget}'" if mapping.budget else "equal"
        load = f"column '{mapping.load}'" if isinstance(mapping.load, str) else str(mapping.load)
        seats = "from the table of capacities" if self._capacities else f"{mapping.seats} each"
        if self._capacities is None and mapping.capacity is not None:
            seats = f"column '{mapping.capacity}'"
        return [
            f"agents: column '{mapping.agent}' ({len(agents['agent'])})",
            f"{where} ({len(goods['good'])} goods, {n_pairs} acceptable pairs)",
            f"seats: {seats}; budgets: {budgets}; at most: {load}",
            *([f"decimal marks: {mapping.decimal}"] if mapping.decimal == "comma" else []),
            *([RULE] if mapping.scale == "rank" else []),
            *([f"kept as attributes of agents: {', '.join(side)}"] if side else []),
            *([f"left out (differ within an agent): {', '.join(dropped)}"] if dropped else []),
        ]

    def _fault(self, message: str, row: int | None, column: str | None, found: str, expected: str) -> None:
        self.issues.append(Issue(message, self._table.file, row, column, found, expected))
