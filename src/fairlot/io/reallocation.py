"""Reallocation problems as problem folders: tasks, agents, the status quo, costs, beliefs, caps.

Pairs of agent and task stand in long tables (``agent,task,number``) or wide ones (``agent``, then a column
per task). Pairs without a row have 0 in the status quo; every pair needs a cost and a belief unless the
task is forbidden to the agent. In the table of beliefs ``*`` stands for all agents or all tasks; a row for
one pair goes before a row for one agent, that before a row for one task, that before ``*,*``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.keys import SETTINGS, Keys, check_number
from fairlot.io.lookup import Lookup
from fairlot.io.source import Source
from fairlot.io.tables import (
    FINITE,
    NON_NEGATIVE,
    POSITIVE_COUNT,
    Rule,
    Table,
    fits_memory,
    numbers,
    parse_numbers,
    read_table,
    unique_ids,
)
from fairlot.model.beliefs import FAMILIES, Beliefs
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.tasks import Caps, ReallocationProblem

_BETA = Rule("a number of at least 1 (to 1e15)", 1.0, 1e15)
_FORBIDDEN = "forbidden.csv"
ALL = "*"
"""Stands for all agents or all tasks in the table of beliefs."""
_UNBOUNDED_FAMILIES = ("lognormal", "normal")
FLAGS: Mapping[str, tuple[str, str]] = {
    "transfer": ("no", "yes"),
    "total": ("fixed", "free"),
    "burden": ("yes", "no"),
}
"""Optional columns of the tasks: usual value, other value."""


def read_reallocation(source: Source, keys: Keys) -> ReallocationProblem | None:
    """Read a reallocation problem; None if faults leave nothing to build.

    A count that rescales the status quo gives a ``UserWarning``.
    """
    issues = source.issues
    title = keys.text("title", "")
    sections = {name: keys.table(name) for name in ("tasks", "agents", "status_quo", "cost", "preferences")}
    optional = {
        name: keys.table(name, required=False) for name in ("participation", "cap", "endowment", "forbidden")
    }
    tables = {name: source.table(name, section) if section else None for name, section in sections.items()}
    tasks, agents = tables["tasks"], tables["agents"]
    task_ids, counts, flags = _tasks(tasks, issues)
    agent_ids, sizes = _agents(agents, issues)
    beta = _beta(optional["participation"], agents, issues)
    caps = _caps(optional["cap"])
    pairs = None
    if agents and tasks and fits_memory(len(agent_ids), len(task_ids), SETTINGS, "agents and tasks", issues):
        pairs = _Pairs(agents, tasks, agent_ids, task_ids, issues)
    forbidden = _forbidden(source, optional["forbidden"], pairs)
    status_quo = _amounts(sections["status_quo"], tables["status_quo"], pairs)
    endowment = None
    if optional["endowment"]:
        table = source.table("endowment", optional["endowment"])
        endowment = _amounts(optional["endowment"], table, pairs)
    costs = None
    if sections["cost"]:
        layout = sections["cost"].choice("layout", ("long", "wide"), "long")
        if pairs and tables["cost"]:
            costs = pairs.read(tables["cost"], "cost", layout, FINITE)
    beliefs = _beliefs(tables["preferences"], pairs) if pairs and tables["preferences"] else None
    if pairs and costs is not None and forbidden is not None and not issues:
        pairs.require(~np.isnan(costs) | forbidden, "cost", tables["cost"])
    for section in (keys, *sections.values(), *optional.values()):
        if section:
            section.close()
    if issues or costs is None or beliefs is None or status_quo is None or forbidden is None:
        return None
    try:
        return ReallocationProblem.from_arrays(
            status_quo,
            np.where(np.isnan(costs), 0.0, costs),
            beliefs,
            agents=agent_ids,
            tasks=task_ids,
            counts=_counts(counts, sizes, status_quo),
            sizes=sizes,
            beta=beta,
            endowment=endowment,
            caps=caps,
            forbidden=forbidden,
            title=title,
            **flags,
        )
    except InvalidProblemError as error:
        issues += [
            Issue(fault.message, SETTINGS, found=fault.found, expected=fault.expected)
            for fault in error.issues
        ]
        return None


def _tasks(
    table: Table | None, issues: list[Issue]
) -> tuple[tuple[str, ...], FloatArray | None, dict[str, BoolArray]]:
    """Read ids, counts (NaN where blank, None without the column) and flags."""
    if table is None or not table.require(("task",), issues):
        return (), None, {}
    if not table.rows:
        issues.append(Issue("no tasks", table.file, expected="at least one row below the header"))
    counts = numbers(table, "count", NON_NEGATIVE, issues, blank=np.nan) if "count" in table else None
    flags = {}
    for column, (usual, other) in FLAGS.items():
        cells = table[column] if column in table else [usual] * len(table.rows)
        for row, cell in zip(table.rows, cells, strict=True):
            if cell not in ("", usual, other):
                issues.append(Issue("not known", table.file, row, column, cell, f"{usual} or {other}"))
        flags[column] = np.array([cell == other for cell in cells], dtype=np.bool_)
    named = {"transfer": flags["transfer"], "free_total": flags["total"], "burden": ~flags["burden"]}
    return unique_ids(table, "task", issues), counts, named


def _agents(table: Table | None, issues: list[Issue]) -> tuple[tuple[str, ...], FloatArray]:
    if table is None or not table.require(("agent",), issues):
        return (), np.empty(0)
    if not table.rows:
        issues.append(Issue("no agents", table.file, expected="at least one row below the header"))
    sizes = (
        numbers(table, "size", POSITIVE_COUNT, issues, blank=1)
        if "size" in table
        else np.ones(len(table.rows))
    )
    ids = unique_ids(table, "agent", issues)
    for row, identifier in zip(table.rows, table["agent"], strict=True):
        if identifier == ALL:
            issues.append(Issue("not possible as an id", table.file, row, "agent", ALL, "another id"))
    return ids, sizes


def _counts(counts: FloatArray | None, sizes: FloatArray, status_quo: FloatArray) -> FloatArray | None:
    """Take the sums of the status quo where no count is given."""
    if counts is None:
        return None
    return np.where(np.isnan(counts), sizes @ status_quo, counts)


def _beta(keys: Keys | None, agents: Table | None, issues: list[Issue]) -> FloatArray | float:
    """Read ``beta``: a number, or the name of a numeric column of the agents."""
    named = keys.get("beta") if keys else None
    if keys is None or named is None:
        return 1.0
    if not isinstance(named, str):
        return keys.number("beta", _BETA)
    if agents is None:
        return 1.0
    if named not in agents:
        expected = f"a number of at least 1, or a column of {agents.file}"
        keys.fault("beta", f"no column '{named}'", named, expected)
        return 1.0
    return numbers(agents, named, _BETA, issues)


def _caps(keys: Keys | None) -> Caps:
    if keys is None:
        return Caps()
    given = {name: keys.get(name) for name in ("load_growth", "task_growth")}
    return Caps(
        **{
            name: None if value is None else check_number(keys, name, value, NON_NEGATIVE)
            for name, value in given.items()
        }
    )


class _Pairs:
    """Reads tables of pairs of agent and task."""

    def __init__(
        self,
        agents: Table,
        tasks: Table,
        agent_ids: Sequence[str],
        task_ids: Sequence[str],
        issues: list[Issue],
    ) -> None:
        self.issues = issues
        self.agent_ids, self.task_ids = agent_ids, task_ids
        self.shape = (len(agent_ids), len(task_ids))
        self.agents = Lookup("agent", agents, agent_ids)
        self.tasks = Lookup("task", tasks, task_ids)

    def read(self, table: Table, column: str, layout: str, rule: Rule) -> FloatArray:
        """Read a number per pair, NaN where there is none; ``layout`` is long or wide."""
        found = np.full(self.shape, np.nan)
        if layout == "wide":
            if table.require(("agent",), self.issues):
                unique_ids(table, "agent", self.issues)
                rows = self.agents.positions(table["agent"], table, table.rows, "agent", self.issues)
                names = [name for name in table.columns if name != "agent"]
                columns = self.tasks.positions(names, table, [1] * len(names), None, self.issues)
                for name, task in zip(names, columns.tolist(), strict=True):
                    place = Issue("", table.file, None, name)
                    cells = parse_numbers(table[name], table.rows, place, rule, self.issues, blank=np.nan)
                    if task >= 0:
                        found[rows[rows >= 0], task] = cells[rows >= 0]
            return found
        if table.require(("agent", "task", column), self.issues):
            rows, columns = self.positions(table)
            cells = numbers(table, column, rule, self.issues)
            known = (rows >= 0) & (columns >= 0)
            found[rows[known], columns[known]] = cells[known]
        return found

    def positions(self, table: Table, wild: bool = False) -> tuple[IntArray, IntArray]:
        """Look both ids of a long table up; -1 where unknown, -2 for ``*`` where that is allowed."""
        looked = []
        for noun, lookup in (("agent", self.agents), ("task", self.tasks)):
            texts = np.array(table[noun], dtype=object)
            named = np.flatnonzero(texts != ALL) if wild else np.arange(len(texts))
            position = np.full(len(texts), -2, dtype=np.int64)
            rows = [table.rows[k] for k in named.tolist()]
            position[named] = lookup.positions(texts[named].tolist(), table, rows, noun, self.issues)
            looked.append(position)
        self._once(table, looked[0], looked[1])
        return looked[0], looked[1]

    def _once(self, table: Table, rows: IntArray, columns: IntArray) -> None:
        first: dict[tuple[int, int], int] = {}
        for k, pair in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
            if -1 in pair:
                continue
            if pair in first:
                found = f"agent '{table['agent'][k]}', task '{table['task'][k]}'"
                expected = f"each pair once (it is in row {first[pair]} already)"
                self.issues.append(Issue("duplicate pair", table.file, table.rows[k], None, found, expected))
            else:
                first[pair] = table.rows[k]

    def require(self, there: BoolArray, what: str, table: Table | None) -> None:
        """Record a fault for each pair that has no number."""
        for j, i in np.argwhere(~there).tolist():
            message = f"no {what} for agent '{self.agent_ids[j]}', task '{self.task_ids[i]}'"
            self.issues.append(Issue(message, table.file if table else None, expected="a row for every pair"))


def _amounts(keys: Keys | None, table: Table | None, pairs: _Pairs | None) -> FloatArray | None:
    """Read amounts per pair, 0 where there is no row."""
    if keys is None:
        return None
    layout = keys.choice("layout", ("long", "wide"), "long")
    if table is None or pairs is None:
        return None
    amounts = pairs.read(table, "amount", layout, NON_NEGATIVE)
    return np.where(np.isnan(amounts), 0.0, amounts)


def _forbidden(source: Source, keys: Keys | None, pairs: _Pairs | None) -> BoolArray | None:
    """Read forbidden pairs from the section's file, else from ``forbidden.csv`` if there is one."""
    table = None
    if keys is not None:
        table = source.table("forbidden", keys)
    elif _is_there(source, _FORBIDDEN):
        table = read_table(source.read, _FORBIDDEN, source.issues)
        if table is not None:
            source.tables["forbidden"] = table
    if pairs is None:
        return None
    forbidden = np.zeros(pairs.shape, dtype=np.bool_)
    if table is not None and table.require(("agent", "task"), pairs.issues):
        rows, columns = pairs.positions(table)
        known = (rows >= 0) & (columns >= 0)
        forbidden[rows[known], columns[known]] = True
    return forbidden


def _is_there(source: Source, file: str) -> bool:
    try:
        source.read(file)
    except OSError:
        return False
    return True


def _beliefs(table: Table, pairs: _Pairs) -> Beliefs | None:
    if "sample" in table:
        return _samples(table, pairs)
    if not table.require(("agent", "task", "low", "high"), pairs.issues):
        return None
    n_records = len(table.rows)
    rows, columns = pairs.positions(table, wild=True)
    families = (
        [cell or "uniform" for cell in table["family"]] if "family" in table else ["uniform"] * n_records
    )
    texts = table["parameters"] if "parameters" in table else [""] * n_records
    low, high = _ends(table, families, pairs.issues)
    codes = list(FAMILIES)
    values = np.full((n_records, 2), np.nan)
    for k, (family, text) in enumerate(zip(families, texts, strict=True)):
        place = Issue("", table.file, table.rows[k], "parameters", text)
        if family not in FAMILIES:
            expected = ", ".join(codes)
            pairs.issues.append(Issue("not known", table.file, table.rows[k], "family", family, expected))
        else:
            parsed = _parameters(text, family, place, pairs.issues)
            values[k, : len(parsed)] = parsed
    belief: IntArray = np.full(pairs.shape, -1, dtype=np.int64)
    # general rows first, so that special ones overwrite them
    special = 2 * (rows != -2) + (columns != -2)
    for k in np.argsort(special, kind="stable").tolist():
        if rows[k] != -1 and columns[k] != -1:
            at_row = slice(None) if rows[k] == -2 else int(rows[k])
            at_column = slice(None) if columns[k] == -2 else int(columns[k])
            belief[at_row, at_column] = k
    if not pairs.issues:
        pairs.require(belief >= 0, "belief", table)
    if pairs.issues:
        return None
    family_codes = np.array([codes.index(family) for family in families])
    return Beliefs(low[belief], high[belief], family_codes[belief].astype(np.int8), values[belief])


def _ends(table: Table, families: Sequence[str], issues: list[Issue]) -> tuple[FloatArray, FloatArray]:
    """Read supports; blank ends are 0 and infinite for families that need none."""
    ends = []
    for column, free in (("low", 0.0), ("high", np.inf)):
        cells = numbers(table, column, NON_NEGATIVE, issues, blank=np.inf)
        for k in np.flatnonzero(np.isinf(cells)).tolist():
            if families[k] in _UNBOUNDED_FAMILIES:
                cells[k] = free
            else:
                issues.append(Issue("blank", table.file, table.rows[k], column, "", NON_NEGATIVE.text))
        ends.append(cells)
    for k in np.flatnonzero(ends[1] < ends[0]).tolist():
        found, expected = table["high"][k], f"at least low ({table['low'][k]})"
        issues.append(Issue("below low", table.file, table.rows[k], "high", found, expected))
    return ends[0], ends[1]


def _parameters(text: str, family: str, place: Issue, issues: list[Issue]) -> list[float]:
    """Read ``name=value;name=value``."""
    names = FAMILIES[family]
    expected = ";".join(f"{name}=number" for name in names) or "a blank cell"
    given: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, _, value = part.partition("=")
        try:
            given[name.strip()] = float(value)
        except ValueError:
            given[part] = np.nan
    if set(given) != set(names):
        issues.append(
            Issue("parameters do not fit the family", place.file, place.row, place.column, text, expected)
        )
    return [given.get(name, np.nan) for name in names]


def _samples(table: Table, pairs: _Pairs) -> Beliefs | None:
    """Read equally likely types: every sample has a cost for every pair."""
    issues = pairs.issues
    if not table.require(("sample", "agent", "task", "cost"), issues):
        return None
    if not table.rows:
        issues.append(Issue("no samples", table.file, expected="at least one row below the header"))
    labels = list(dict.fromkeys(table["sample"]))
    order = {label: s for s, label in enumerate(labels)}
    sample = np.array([order[label] for label in table["sample"]], dtype=np.int64)
    rows = pairs.agents.positions(table["agent"], table, table.rows, "agent", issues)
    columns = pairs.tasks.positions(table["task"], table, table.rows, "task", issues)
    costs = numbers(table, "cost", NON_NEGATIVE, issues)
    if issues:
        return None
    if not fits_memory(len(labels), pairs.shape[0] * pairs.shape[1], table.file, "samples and pairs", issues):
        return None
    samples = np.full((len(labels), *pairs.shape), np.nan)
    seen = np.zeros(samples.shape, dtype=np.int64)
    np.add.at(seen, (sample, rows, columns), 1)
    samples[sample, rows, columns] = costs
    for s, j, i in np.argwhere(seen != 1).tolist():
        found = f"{seen[s, j, i]} rows"
        pair = f"sample '{labels[s]}', agent '{pairs.agent_ids[j]}', task '{pairs.task_ids[i]}'"
        issues.append(Issue(pair, table.file, found=found, expected="one row"))
    return None if issues else Beliefs.from_samples(samples)
