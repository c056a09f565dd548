"""A pseudo-market as the settings and tables of a problem folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.pseudomarket import NOT_ACCEPTABLE
from fairlot.io.tables import COUNT, Table, cell_text
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.hierarchy import UNBOUNDED
from fairlot.model.market import PseudoMarket


def market_tables(market: PseudoMarket) -> tuple[dict[str, Any], dict[str, Table]]:
    """Write a market as settings and tables: rules by lists of ids, values long.

    Parameters
    ----------
    market : PseudoMarket
        The market.

    Returns
    -------
    settings : dict
        What ``problem.toml`` says.
    tables : dict of Table
        Goods, agents and values.

    Raises
    ------
    InvalidProblemError
        If an id or a name is unprintable, or has space around it: it would not survive.
    """
    rules: list[Quota | Taper | Limit] = [*market.quotas, *market.tapers, *market.limits]
    clashes = [conflict.name for conflict in market.conflicts]
    odd = [
        Issue("not possible in a problem folder", found=text, expected="printable text, no space around it")
        for text in (*market.agents, *market.goods, *(rule.label for rule in rules), market.title, *clashes)
        if text != text.strip() or not text.isprintable()
    ]
    if odd:
        raise InvalidProblemError(odd)
    agents: dict[str, Sequence[str]] = {
        "agent": market.agents,
        "budget": [cell_text(budget) for budget in market.budgets.tolist()],
    }
    settings: dict[str, Any] = {"format": 1, "kind": "pseudomarket", "title": market.title}
    if not market.title:
        del settings["title"]
    settings["goods"], settings["agents"] = {}, {}
    settings["values"] = {"layout": "long", "missing": NOT_ACCEPTABLE}
    named = _Distinct()
    quotas: list[dict[str, Any]] = []
    for quota, bound in zip(market.quotas, market.bound_sets, strict=False):
        entry = {"name": named("quota", quota), **_members_of(quota)}
        if quota.agents != "all":
            entry["agents"] = list(quota.agents)
        everyone = np.arange(market.n_agents) if bound.agents is None else bound.agents
        for side, column, free in (("min", bound.lower, 0), ("max", bound.upper, UNBOUNDED)):
            mine = column[everyone]
            if len(mine) == 0 or (mine == free).all():
                continue
            if (mine == mine[0]).all():
                entry[side] = int(mine[0])
            else:
                name = f"quota {len(quotas) + 1} {side}"
                agents[name] = [str(number) for number in np.minimum(column, int(COUNT.high)).tolist()]
                entry[side] = name
        if "min" not in entry and "max" not in entry:
            entry["min"] = 0
        quotas.append(entry)
    tapers = [
        {
            "name": named("taper", taper),
            **_members_of(taper),
            "marginals": [float(m) for m in taper.marginals],
        }
        | ({} if taper.agents == "all" else {"agents": list(taper.agents)})
        for taper in market.tapers
    ]
    limits = [
        {"name": named("limit", limit), **_members_of(limit), "max": int(limit.max)}
        for limit in market.limits
    ]
    conflicts = [
        {"name": conflict.name, "pairs": [list(pair) for pair in conflict.pairs]}
        for conflict in market.conflicts
    ]
    rules_by_key = (("quota", quotas), ("taper", tapers), ("limit", limits), ("conflict", conflicts))
    for key, entries in rules_by_key:
        if entries:
            settings[key] = entries
    goods: dict[str, Sequence[str]] = {
        "good": market.goods,
        "capacity": [str(count) for count in market.capacities.tolist()],
        "per_agent": [str(count) for count in market.per_agent.tolist()],
    }
    values = {
        "agent": [market.agents[i] for i in market.pair_agent.tolist()],
        "good": [market.goods[j] for j in market.pair_good.tolist()],
        "value": [cell_text(value) for value in market.values.data.tolist()],
    }
    return settings, {
        "goods": _table("goods.csv", goods),
        "agents": _table("agents.csv", agents),
        "values": _table("values.csv", values),
    }


def _table(file: str, columns: Mapping[str, Sequence[str]]) -> Table:
    cells = tuple(columns.values())
    return Table(file, tuple(columns), cells, range(2, len(cells[0]) + 2))


class _Distinct:
    """Gives every rule a name of its own, that of its group included."""

    def __init__(self) -> None:
        self._taken: set[tuple[str, str]] = set()

    def __call__(self, kind: str, rule: Quota | Taper | Limit) -> str:
        base = f"{rule.name} [{rule.group}]" if rule.group else rule.name or kind
        name, k = base, 1
        while (kind, name) in self._taken:
            k += 1
            name = f"{base} ({k})"
        self._taken.add((kind, name))
        return name


def _members_of(rule: Quota | Taper | Limit) -> dict[str, Any]:
    return {} if rule.goods == "all" else {"goods": list(rule.goods)}
