"""fairpyx instances: dictionaries, and the same as JSON.

An instance maps agents and items to numbers: ``valuations`` (agent to item to value), ``agent_capacities``
(items one agent may hold), ``item_capacities``, ``agent_entitlements`` (here: budgets), ``agent_conflicts``
(items an agent may not get) and ``item_conflicts`` (items nobody may hold together). A list stands for a
dictionary from 0, a number for the same number everywhere. As there, an agent without a capacity may hold
everything and an item without one exists once. A value that is stated, 0 included, is acceptable; an item
that an agent's dictionary leaves out is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.formats.draft import Draft, refuse_too_many
from fairlot.io.tables import COUNT, NON_NEGATIVE, POSITIVE, Rule, cell_text, decode

_KEYS = (
    "valuations",
    "agent_capacities",
    "agent_entitlements",
    "item_capacities",
    "item_weights",
    "agent_conflicts",
    "item_conflicts",
    "agents",
    "items",
)


def read_fairpyx(data: bytes, file: str) -> Draft:
    """Read a fairpyx instance written as JSON.

    Parameters
    ----------
    data : bytes
        One JSON object with the keys of fairpyx's ``Instance``.
    file : str
        Its name, for messages.

    Raises
    ------
    InvalidProblemError
        Listing every fault found, by key.
    """
    issues: list[Issue] = []
    text = decode(data, file, issues)
    if text is None:
        raise InvalidProblemError(issues)
    try:
        instance = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidProblemError([Issue(f"not JSON: {error}", file)]) from None
    return fairpyx_draft(instance, file)


def fairpyx_draft(instance: Any, file: str = "instance") -> Draft:
    """Turn a fairpyx instance, given as a dictionary, into a pseudo-market.

    Parameters
    ----------
    instance : mapping
        The arguments of fairpyx's ``Instance``, by name.
    file : str
        Where it came from, for messages.

    Raises
    ------
    InvalidProblemError
        Listing every fault found, by key.
    """
    reader = _Reader(file)
    if not isinstance(instance, Mapping) or "valuations" not in instance:
        raise InvalidProblemError(
            [Issue("no fairpyx instance", file, expected="an object with 'valuations'")]
        )
    draft = reader.draft(instance)
    if reader.issues:
        raise InvalidProblemError(reader.issues)
    return draft


class _Reader:
    """Reads one instance and collects its faults."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.issues: list[Issue] = []

    def draft(self, instance: Mapping[str, Any]) -> Draft:
        for key in instance:
            if key not in _KEYS:
                self._fault("unknown key", key, key, f"one of {', '.join(_KEYS)}")
        rows = self._by_id("valuations", instance["valuations"])
        values = {agent: self._by_id(f"valuations.{agent}", row) for agent, row in rows.items()}
        refuse_too_many(sum(map(len, values.values())), self._file)
        capacities, loads = instance.get("item_capacities"), instance.get("agent_capacities")
        agents = self._ids("agents", instance.get("agents"), rows)
        stated = capacities if isinstance(capacities, Mapping | list) else None
        items = self._by_id("item_capacities", stated) if stated is not None else {}
        everything = dict.fromkeys(item for row in values.values() for item in row)
        goods = self._ids("items", instance.get("items"), items or everything)
        seats = self._numbers("item_capacities", 1 if capacities is None else capacities, goods, COUNT)
        weights = self._numbers("item_weights", instance.get("item_weights", 1), goods, POSITIVE)
        if any(weight != "1" for weight in weights):
            self._fault(
                "not possible", "item_weights", None, "weights of 1: a load counts goods, not credit points"
            )
        entitlements = instance.get("agent_entitlements", 1)
        table = {
            "agent": agents,
            "budget": self._numbers("agent_entitlements", entitlements, agents, POSITIVE),
        }
        load: int | str | None = None
        if isinstance(loads, Mapping | list):
            table["load"], load = self._numbers("agent_capacities", loads, agents, COUNT), "load"
        elif loads is not None:
            load = int((self._numbers("agent_capacities", loads, ["every agent"], COUNT) or ["0"])[0])
        banned = self._lists("agent_conflicts", instance.get("agent_conflicts"))
        clashes = self._lists("item_conflicts", instance.get("item_conflicts"))
        known = set(goods)
        columns: dict[str, list[str]] = {"agent": [], "good": [], "value": []}
        for agent in agents:
            for item, value in values.get(agent, {}).items():
                if item not in known:
                    self._fault(
                        "unknown item", f"valuations.{agent}", item, "an item of item_capacities or items"
                    )
                elif item not in banned.get(agent, ()):
                    columns["agent"].append(agent)
                    columns["good"].append(item)
                    columns["value"].append(self._number(f"valuations.{agent}.{item}", value, NON_NEGATIVE))
        pairs = {tuple(sorted((a, b))) for a, others in clashes.items() for b in others if a != b}
        for a, b in sorted(pairs):
            for item in {a, b} - known:
                self._fault("unknown item", "item_conflicts", item, "an item of item_capacities or items")
        n_banned = sum(map(len, banned.values()))
        return Draft(
            goods={"good": goods, "capacity": seats},
            agents=table,
            values=columns,
            load=load,
            conflicts=[(a, b) for a, b in sorted(pairs)],
            notes=(
                f"fairpyx: {len(agents)} agents, {len(goods)} items, {len(columns['value'])} values",
                f"{n_banned} items barred by agent_conflicts; {len(pairs)} pairs of item_conflicts",
            ),
        )

    def _by_id(self, key: str, value: Any) -> dict[str, Any]:
        """Read a dictionary, or a list as one from 0."""
        if isinstance(value, Mapping):
            found: dict[str, Any] = {}
            for k, item in value.items():
                found.setdefault(str(k).strip(), item)
            if len(found) < len(value):
                self._fault("two ids that differ by space alone", key, None, "each id once")
            self._check_ids(key, found)
            return found
        if isinstance(value, list | tuple):
            return {str(k): item for k, item in enumerate(value)}
        self._fault("not a dictionary or list", key, value, "a number for each agent or item")
        return {}

    def _ids(self, key: str, value: Any, default: Iterable[str]) -> list[str]:
        if value is None:
            return list(default)
        if not isinstance(value, list | tuple) or not all(isinstance(k, str | int) for k in value):
            self._fault("not a list of ids", key, value, "a list")
            return []
        ids = [str(k).strip() for k in value]
        self._check_ids(key, ids)
        if len(set(ids)) < len(ids):
            self._fault("an id more than once", key, None, "each id once")
        return ids

    def _check_ids(self, key: str, ids: Iterable[str]) -> None:
        for name in ids:
            if not name or not name.isprintable():
                self._fault("blank or unprintable id", key, name, "letters, digits, signs and spaces")

    def _numbers(self, key: str, value: Any, ids: list[str], rule: Rule) -> list[str]:
        """Read a number for each id, as text."""
        if not isinstance(value, Mapping | list | tuple):
            return [self._number(key, value, rule)] * len(ids)
        found = self._by_id(key, value)
        for name in ids:
            if name not in found:
                self._fault("missing", f"{key}.{name}", None, rule.text)
        return [self._number(f"{key}.{name}", found[name], rule) for name in ids if name in found]

    def _number(self, key: str, value: Any, rule: Rule) -> str:
        try:
            number = float("nan") if isinstance(value, bool | str) else float(value)
            complaint = rule.complaint(number)
        except (TypeError, ValueError, OverflowError):
            complaint = "not a number"
        if complaint:
            self._fault(complaint, key, value, rule.text)
            return "0"
        return cell_text(number)

    def _lists(self, key: str, value: Any) -> dict[str, list[str]]:
        if value is None:
            return {}
        found: dict[str, list[str]] = {}
        for name, items in self._by_id(key, value).items():
            if not isinstance(items, list | tuple | set | frozenset):
                self._fault("not a list", f"{key}.{name}", items, "a list of items")
                continue
            found[name] = [str(item).strip() for item in items]
        return found

    def _fault(self, message: str, key: str, found: Any, expected: str) -> None:
        text = None if found is None else str(found)[:100] if not isinstance(found, int) else f"{found:.6g}"
        self.issues.append(Issue(message, self._file, None, key, text, expected))
