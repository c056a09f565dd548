"""Pseudo-markets as problem folders: tables of goods, agents and values, and rules by attributes.

A rule (quota, taper, limit) names its goods as ``"all"``, a list of ids or a table of attribute = value;
``by`` cuts it into one rule per distinct value of a goods column. A pair of agent and good without a row,
or with a blank cell, is worth ``missing``: not acceptable, or a number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.conflicts import read_conflicts
from fairlot.io.keys import SETTINGS, Keys, as_text, check_number
from fairlot.io.lookup import Lookup, with_article
from fairlot.io.source import Source
from fairlot.io.tables import (
    COUNT,
    FINITE,
    NON_NEGATIVE,
    POSITIVE,
    POSITIVE_COUNT,
    Table,
    fits_memory,
    numbers,
    parse_numbers,
    unique_ids,
)
from fairlot.model.constraints import Limit, Members, Quota, Taper, by_group
from fairlot.model.hierarchy import UNBOUNDED, FloatArray, IntArray
from fairlot.model.market import PseudoMarket

Rule = TypeVar("Rule", Quota, Taper, Limit)
NOT_ACCEPTABLE = "not acceptable"


def read_market(source: Source, keys: Keys) -> PseudoMarket | None:
    """Read a pseudo-market; None if faults leave nothing to build."""
    title = keys.text("title", "")
    goods_keys, agents_keys = keys.table("goods"), keys.table("agents")
    values_keys = keys.table("values")
    goods = source.table("goods", goods_keys) if goods_keys else None
    agents = source.table("agents", agents_keys) if agents_keys else None
    values = source.table("values", values_keys) if values_keys else None
    issues = source.issues
    good_ids, capacities, per_agent = _goods(goods, issues)
    agent_ids, budgets = _agents(agents, agents_keys, issues)
    matrix = None
    if values_keys:
        layout = values_keys.choice("layout", ("long", "wide"), "long")
        missing = _missing(values_keys)
        if values and goods and agents and layout in ("long", "wide"):
            reader = _Values(values, agents, goods, agent_ids, good_ids, issues)
            matrix = reader.long() if layout == "long" else reader.wide()
            if missing is not None and fits_memory(
                len(agent_ids), len(good_ids), SETTINGS, "pairs with 'missing'", issues
            ):
                matrix = _fill(matrix, missing)
    rules = _Rules(goods, agents, issues)
    quotas = [quota for entry in keys.tables("quota") for quota in rules.quota(entry)]
    tapers = [taper for entry in keys.tables("taper") for taper in rules.taper(entry)]
    limits = [limit for entry in keys.tables("limit") for limit in rules.limit(entry)]
    conflicts = read_conflicts(keys.tables("conflict"), goods, source)
    for section in (keys, goods_keys, agents_keys, values_keys):
        if section:
            section.close()
    if issues or matrix is None:
        return None
    try:
        return PseudoMarket(
            agents=agent_ids,
            goods=good_ids,
            capacities=capacities.astype(np.int64),
            budgets=budgets,
            values=matrix,
            per_agent=per_agent.astype(np.int64),
            quotas=tuple(quotas),
            tapers=tuple(tapers),
            limits=tuple(limits),
            title=title,
            conflicts=tuple(conflicts),
        )
    except InvalidProblemError as error:
        issues += [
            Issue(fault.message, SETTINGS, found=fault.found, expected=fault.expected)
            for fault in error.issues
        ]
        return None


def _goods(table: Table | None, issues: list[Issue]) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    if table is None or not table.require(("good", "capacity"), issues):
        return (), np.empty(0), np.empty(0)
    if not table.rows:
        issues.append(Issue("no goods", table.file, expected="at least one row below the header"))
    capacities = numbers(table, "capacity", COUNT, issues)
    per_agent = (
        numbers(table, "per_agent", POSITIVE_COUNT, issues, blank=1)
        if "per_agent" in table
        else np.ones(len(table.rows))
    )
    return unique_ids(table, "good", issues), capacities, per_agent


def _agents(
    table: Table | None, keys: Keys | None, issues: list[Issue]
) -> tuple[tuple[str, ...], FloatArray]:
    """Read ids, and budgets from the column the key names, else the column ``budget``, else the key."""
    named = keys.get("budget") if keys else None
    column = named if isinstance(named, str) else "budget"
    default = keys.number("budget", POSITIVE, 1.0) if keys and column is not named else 1.0
    needed = ("agent", column) if column is named else ("agent",)
    if table is None or not table.require(needed, issues):
        return (), np.empty(0)
    if not table.rows:
        issues.append(Issue("no agents", table.file, expected="at least one row below the header"))
    budgets = (
        numbers(table, column, POSITIVE, issues) if column in table else np.full(len(table.rows), default)
    )
    return unique_ids(table, "agent", issues), budgets


def _missing(keys: Keys) -> float | None:
    value = keys.get("missing")
    if value is None or value == NOT_ACCEPTABLE:
        return None
    if isinstance(value, str):
        keys.fault("missing", "not known", value, f'"{NOT_ACCEPTABLE}" or a number of at least 0')
        return None
    return check_number(keys, "missing", value, NON_NEGATIVE)


def _fill(matrix: sp.csr_array, missing: float) -> sp.csr_array:
    """Give every pair that is not stored the value ``missing``."""
    dense = np.full(matrix.shape, missing)
    entries = matrix.tocoo()
    dense[entries.row, entries.col] = entries.data
    place = np.indices(matrix.shape)
    return sp.csr_array((dense.ravel(), (place[0].ravel(), place[1].ravel())), shape=matrix.shape)


class _Values:
    """Reads the table of values against the ids of agents and goods."""

    def __init__(
        self,
        table: Table,
        agents: Table,
        goods: Table,
        agent_ids: Sequence[str],
        good_ids: Sequence[str],
        issues: list[Issue],
    ) -> None:
        self._table = table
        self._issues = issues
        self._shape = (len(agent_ids), len(good_ids))
        self._agents = Lookup("agent", agents, agent_ids)
        self._goods = Lookup("good", goods, good_ids)

    def long(self) -> sp.csr_array:
        """Read rows of agent, good, value."""
        table = self._table
        if not table.require(("agent", "good", "value"), self._issues):
            return sp.csr_array(self._shape)
        rows = self._agents.positions(table["agent"], table, table.rows, "agent", self._issues)
        columns = self._goods.positions(table["good"], table, table.rows, "good", self._issues)
        cells = numbers(table, "value", NON_NEGATIVE, self._issues, blank=-1)
        self._duplicates(rows, columns)
        return self._matrix(rows, columns, cells)

    def wide(self) -> sp.csr_array:
        """Read one row per agent, one column per good."""
        table = self._table
        if not table.require(("agent",), self._issues):
            return sp.csr_array(self._shape)
        unique_ids(table, "agent", self._issues)
        agents = self._agents.positions(table["agent"], table, table.rows, "agent", self._issues)
        names = [column for column in table.columns if column != "agent"]
        goods = self._goods.positions(names, table, [1] * len(names), None, self._issues)
        parts = []
        for name, good in zip(names, goods.tolist(), strict=True):
            place = Issue("", table.file, None, name)
            cells = parse_numbers(table[name], table.rows, place, NON_NEGATIVE, self._issues, blank=-1)
            parts.append((agents, np.full(len(agents), good), cells))
        if not parts:
            return sp.csr_array(self._shape)
        rows, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
        return self._matrix(rows, columns, values)

    def _matrix(self, rows: IntArray, columns: IntArray, cells: FloatArray) -> sp.csr_array:
        """Collect the pairs with a value; blank cells were read as -1, faulty ones are NaN."""
        keep = (rows >= 0) & (columns >= 0) & (cells >= 0)
        return sp.csr_array((cells[keep], (rows[keep], columns[keep])), shape=self._shape)

    def _duplicates(self, rows: IntArray, columns: IntArray) -> None:
        known = np.flatnonzero((rows >= 0) & (columns >= 0))
        keys = rows[known] * self._shape[1] + columns[known]
        _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        again = np.flatnonzero(first[inverse] != np.arange(len(keys)))
        table = self._table
        for k in again.tolist():
            earlier = table.rows[int(known[first[inverse[k]]])]
            row = int(known[k])
            found = f"agent '{table['agent'][row]}', good '{table['good'][row]}'"
            expected = f"each pair once (it is in row {earlier} already)"
            self._issues.append(Issue("duplicate pair", table.file, table.rows[row], None, found, expected))


class _Rules:
    """Reads quotas, tapers and limits against the attributes of goods and agents."""

    def __init__(self, goods: Table | None, agents: Table | None, issues: list[Issue]) -> None:
        self._goods = goods if goods and "good" in goods else None
        self._agents = agents if agents and "agent" in agents else None
        self._issues = issues
        self._names: set[tuple[str, str]] = set()

    def quota(self, keys: Keys) -> list[Quota]:
        """Read a quota, cut by its ``by``."""
        goods, agents = self._members(keys, "good", self._goods), self._members(keys, "agent", self._agents)
        if "min" not in keys and "max" not in keys:
            keys.fault("max", "missing", None, "min, max or both")
        name = self._name(keys, "quota")
        low, high = self._bound(keys, "min", agents), self._bound(keys, "max", agents)
        return self._cut(keys, Quota(name, goods, 0 if low is None else low, high, agents))

    def taper(self, keys: Keys) -> list[Taper]:
        """Read a taper, cut by its ``by``."""
        goods, agents = self._members(keys, "good", self._goods), self._members(keys, "agent", self._agents)
        name, marginals = self._name(keys, "taper"), keys.get("marginals")
        if not isinstance(marginals, list) or not marginals:
            keys.fault("marginals", "missing or no list", marginals, "a list of non-increasing numbers")
            marginals = []
        steps = [check_number(keys, "marginals", step, FINITE) for step in marginals]
        rises = [(a, b) for a, b in pairwise(steps) if b > a]
        if rises:
            found = f"{rises[0][0]:g}, then {rises[0][1]:g}"
            keys.fault("marginals", "rising", found, "numbers that never rise, such as [0, 0, -1]")
        return self._cut(keys, Taper(name, tuple(steps), goods, agents))

    def limit(self, keys: Keys) -> list[Limit]:
        """Read a limit, cut by its ``by``."""
        goods, name = self._members(keys, "good", self._goods), self._name(keys, "limit")
        if keys.get("min") is not None:
            expected = "max only: there is no lower bound over all agents (a quota's min binds each agent)"
            keys.fault("min", "not possible", keys.get("min"), expected)
        most = keys.number("max", COUNT)
        return self._cut(keys, Limit(name, 0 if np.isnan(most) else int(most), goods))

    def _name(self, keys: Keys, kind: str) -> str:
        name = keys.text("name")
        if name and (kind, name) in self._names:
            keys.fault("name", f"another {kind} has this name", name, "a name of its own")
        self._names.add((kind, name))
        return name

    def _cut(self, keys: Keys, rule: Rule) -> list[Rule]:
        attribute = keys.get("by")
        keys.close()
        if attribute is None:
            return [rule]
        groups = self._attribute(keys, "by", attribute, "good", self._goods)
        if groups is None or self._goods is None:
            return []
        cut = by_group(rule, dict(zip(self._goods["good"], groups, strict=True)), attribute)
        if not cut:
            keys.fault("by", "forms no set", attribute, "a goods column with values")
        return cut

    def _members(self, keys: Keys, noun: str, table: Table | None) -> Members:
        """Read ``goods`` or ``agents``: "all", ids, or a table of attribute = value or values."""
        key = f"{noun}s"
        value = keys.get(key)
        if value is None or value == "all":
            return "all"
        if isinstance(value, list):
            texts = [as_text(item) for item in value]
            if table is not None:
                known = set(table[noun])
                for item, text in zip(value, texts, strict=True):
                    if text not in known and table.complete:
                        keys.fault(key, f"unknown {noun}", item, f"{with_article(noun)} of {table.file}")
            return tuple(text for text in texts if text)
        if not isinstance(value, Mapping) or not value:
            expected = '"all", a list of ids, or a table such as { column = "value" }'
            keys.fault(key, "not understood", value, expected)
            return ()
        if table is None:
            return ()
        chosen = np.ones(len(table.rows), dtype=bool)
        for attribute, wanted in value.items():
            cells = self._attribute(keys, key, attribute, noun, table)
            if cells is None:
                return ()
            texts = [as_text(item) for item in (wanted if isinstance(wanted, list) else [wanted])]
            for text in texts:
                if text not in cells or not text:
                    some = ", ".join(sorted(set(cells) - {""})[:5])
                    keys.fault(key, f"no {noun} has {attribute} = {text}", wanted, f"a value such as {some}")
            chosen &= np.isin(np.array(cells, dtype=object), [text for text in texts if text])
        if not chosen.any():
            keys.fault(key, f"no {noun} meets all of it", value, f"at least one {noun}")
        return tuple(np.array(table[noun], dtype=object)[chosen].tolist())

    def _attribute(
        self, keys: Keys, key: str, attribute: Any, noun: str, table: Table | None
    ) -> Sequence[str] | None:
        if table is None:
            return None
        if not isinstance(attribute, str) or attribute not in table:
            expected = f"a column of {table.file}: {', '.join(c for c in table.columns if c != noun)}"
            keys.fault(key, f"no column '{attribute}'", attribute, expected)
            return None
        return table[attribute]

    def _bound(self, keys: Keys, side: str, agents: Members) -> int | tuple[int, ...] | None:
        """Read ``min`` or ``max``: a number, or the name of a numeric column of the agents."""
        value = keys.get(side)
        if value is None:
            return None
        if not isinstance(value, str):
            number = check_number(keys, side, value, COUNT)
            return None if np.isnan(number) else int(number)
        table = self._agents
        if table is None or self._attribute(keys, side, value, "agent", table) is None:
            return None
        bound = np.ones(len(table.rows), dtype=bool)
        if agents != "all":
            bound = np.isin(np.array(table["agent"], dtype=object), list(agents))
        # Agents whom the rule does not bind may have anything in the column.
        cells = [text if binds else "0" for text, binds in zip(table[value], bound, strict=True)]
        place = Issue("", table.file, None, value)
        parsed = parse_numbers(cells, table.rows, place, COUNT, self._issues)
        free = 0 if side == "min" else UNBOUNDED
        return tuple(np.where(bound, np.nan_to_num(parsed), free).astype(np.int64).tolist())
